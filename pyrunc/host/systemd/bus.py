"""One connection to a systemd: calls of its manager's methods, with a deadline, and the ends of its jobs.

D-Bus specification "Authentication Protocol", org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import _socket
import time

from jeepney import DBusAddress, HeaderFields, Message, MessageType, Parser, new_method_call

from pyrunc.errors import HostError
from pyrunc.host import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

#: For connecting and for any answer; PID 1 may have much to do.
SECONDS = 30
_SERVICE = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_DAEMON = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
#: systemd's own socket, where no bus is between, ends like this.
PRIVATE = "/systemd/private"
_LINE = 4096


class Refused(HostError):
    """systemd, or the bus, answered with an error: ``name`` is that of the D-Bus, the message its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text or name)
        self.name = name


class Bus:
    """A connection by the socket at ``path``; HostError where it cannot be had, or does not answer in time."""

    __slots__ = ("_jobs", "_parser", "_serial", "_socket", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._serial = 0
        self._parser = Parser()
        self._jobs: dict[str, str] = {}  # of those that have ended, the result
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            self._connect()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _connect(self) -> None:
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect("\0" + self.path[1:] if self.path.startswith("@") else self.path)
            self._authenticate()
        except TimeoutError:
            raise self._silent(SECONDS) from None
        except OSError as error:
            raise HostError(f"cannot connect: {failure.reason(error)}", where=self.path) from error
        if not self.path.endswith(PRIVATE):
            self._method(_DAEMON, "Hello", "", ())

    def _authenticate(self) -> None:
        """By what the kernel says of the sender.  A uid would be wrong in a user namespace, where those of the other
        side are not ours.

        All lines at once: of a message that systemd's own socket reads together with BEGIN, as it may when systemd is
        busy, it takes no notice until more comes.
        """
        self._socket.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
        answers = b""
        while True:
            part = self._socket.recv(_LINE)
            answers += part
            # An empty challenge is answered by the empty DATA; nothing comes behind the line after that.
            line = answers.removeprefix(b"DATA\r\n")
            if line.endswith(b"\r\n"):
                break
            if not part or len(answers) > _LINE:
                raise HostError("is no D-Bus", where=self.path)
        if not line.startswith(b"OK "):
            said = line.split(b"\r\n")[0].decode("ascii", "replace")
            raise HostError(f"the D-Bus does not accept this user: {said}", where=self.path)

    def manager(self, method: str, signature: str = "", *body: object) -> tuple[Any, ...]:
        """Call a method of systemd's manager; raises Refused with its error."""
        return self._method(DBusAddress(_PATH, _SERVICE, _MANAGER), method, signature, body)

    def property(self, path: str, interface: str, name: str) -> Any:
        """A property of the object at ``path`` ("" is the manager); ``interface`` is the last word of its name."""
        address = DBusAddress(path or _PATH, _SERVICE, "org.freedesktop.DBus.Properties")
        return self._method(address, "Get", "ss", (f"{_SERVICE}.{interface}", name))[0][1]

    def watch_jobs(self) -> None:
        """From here on the ends of jobs are heard of; to be called before there is one."""
        if not self.path.endswith(PRIVATE):
            rule = f"type='signal',sender='{_SERVICE}',interface='{_MANAGER}',member='JobRemoved'"
            self._method(_DAEMON, "AddMatch", "s", (rule,))
        self.manager("Subscribe")

    def wait(self, job: str, seconds: float) -> str:
        """The result of a job by its path: ``done``, or one of org.freedesktop.systemd1(5) "JobRemoved"."""
        deadline = time.monotonic() + seconds
        while job not in self._jobs:
            self._receive(deadline, seconds)
        return self._jobs.pop(job)

    def _method(self, address: DBusAddress, method: str, signature: str, body: tuple[object, ...]) -> tuple[Any, ...]:
        message = new_method_call(address, method, signature or None, body)
        self._serial += 1
        deadline = time.monotonic() + SECONDS
        try:
            self._socket.sendall(message.serialise(serial=self._serial))
        except OSError as error:
            raise HostError(f"the D-Bus is gone: {failure.reason(error)}", where=self.path) from error
        while True:
            answer = self._receive(deadline, SECONDS)
            if answer.header.fields.get(HeaderFields.reply_serial) != self._serial:
                continue
            if answer.header.message_type is MessageType.error:
                text = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
                raise Refused(answer.header.fields[HeaderFields.error_name], text)
            return tuple(answer.body)

    def _receive(self, deadline: float, seconds: float) -> Message:
        """The next message, of whatever kind; the end of a job is noted."""
        while (message := self._parser.get_next_message()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silent(seconds)
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise self._silent(seconds) from None
            except OSError as error:
                raise HostError(f"the D-Bus is gone: {failure.reason(error)}", where=self.path) from error
            if not data:
                raise HostError("the D-Bus has closed the connection", where=self.path)
            self._parser.add_data(data)
        fields = message.header.fields
        if message.header.message_type is MessageType.signal and fields.get(HeaderFields.member) == "JobRemoved":
            _, job, _, result = message.body
            self._jobs[job] = result
        return message

    def _silent(self, seconds: float) -> HostError:
        return HostError(f"systemd does not answer within {seconds:.0f} s", where=self.path)
