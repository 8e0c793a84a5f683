"""Speaks with ``criu swrk``: one request over a socket, with CRIU's notices in between, each of which it waits for.

rpc.proto of CRIU has the messages.  Of the descriptors that a request names, the directories are those of whoever has
made the socket (CRIU opens them by /proc/PID/fd), and what the container is to inherit is CRIU's own.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import posix
from _struct import unpack_from

from pyrunc.errors import CriuFailed, HostError, PyruncError
from pyrunc.host import files
from pyrunc.plan.criu import protobuf, rpc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    #: What to do at a notice: its name, the pid it tells, a descriptor that came with it or -1.
    Notice = Callable[[str, int, int], None]

#: CRIU's socket; what else it is given follows.
SOCKET = 3
FIRST = SOCKET + 1
#: The oldest one that all of this works with.
LEAST = (3, 15)

#: Where CRIU and the programs that it runs (tar, ip, iptables-restore) are looked for when the caller has no PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INSTALL = "install it; distributions call the package criu"
_MSG_CMSG_CLOEXEC = 0x40000000
_LIMIT = 1 << 16


def search_path(environment: Mapping[bytes, bytes]) -> str:
    return environment.get(b"PATH", b"").decode("utf-8", "surrogateescape") or PATH


def find(path: str) -> str:
    """The executable, in the directories of ``path``; HostError where there is none."""
    for directory in path.split(":"):
        found = f"{directory}/criu"
        if directory.startswith("/") and posix.access(found, posix.X_OK) and not files.is_directory(found):
            return found
    raise HostError("criu: executable file not found in $PATH", hint=_INSTALL)


class Service:
    """One ``criu swrk``.  ``close`` is to be called however it ends; it does not wait for what CRIU has restored."""

    __slots__ = ("_socket", "pid")

    def __init__(self, socket: _socket.socket, pid: int) -> None:
        self._socket = socket
        self.pid = pid

    def ask(self, request: Mapping[str, Any], notice: Notice) -> dict[str, Any]:
        """CRIU's answer.  CriuFailed when it says no.

        What ``notice`` raises makes CRIU take back what it has done so far, and is raised then.
        """
        failed: BaseException | None = None
        self._send(request)
        while True:
            answer, fd = self._receive()
            if answer is None:
                if failed:
                    raise failed
                raise HostError("criu ended without an answer", hint="it may have been killed")
            if answer.get("type") != rpc.NOTIFY or not answer.get("success"):
                break
            try:
                told = answer.get("notify") or {}
                notice(told.get("script", ""), told.get("pid", 0), fd)
            except PyruncError as error:
                failed = error
            finally:
                if fd >= 0:
                    posix.close(fd)
            self._send({"type": rpc.NOTIFY, "notify_success": failed is None})
        if failed:
            raise failed
        if not answer.get("success"):
            name = rpc.TYPES.get(answer.get("type", 0), str(answer.get("type", 0)))
            said = answer.get("cr_errmsg", "").strip()
            raise CriuFailed(f"criu failed: type {name} errno {answer.get('cr_errno', 0)}", hint=said)
        return answer

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._socket.send(protobuf.encode(rpc.REQUEST, message))
        except (BrokenPipeError, ConnectionResetError):
            return  # its end shows at the next look

    def _receive(self) -> tuple[dict[str, Any] | None, int]:
        try:
            space = _socket.CMSG_SPACE(4)
            data, ancillary, _, _ = files.held(self._socket.recvmsg, _LIMIT, space, _MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None, -1
        fd = -1
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                (fd,) = unpack_from("=i", payload)
        if not data:
            return None, -1
        try:
            return protobuf.decode(rpc.RESPONSE, data), fd
        except ValueError as error:
            raise HostError(f"criu's answer is not understood: {error}") from None

    def stop(self) -> None:
        """End CRIU; whoever asks it is told that there is no answer."""
        if self.pid:
            posix.kill(self.pid, _signal.SIGTERM)

    def close(self, *, kill: bool = False) -> int:
        """End the talk and reap CRIU; its exit status."""
        self._socket.close()
        if not self.pid:
            return 0
        pid, self.pid = self.pid, 0
        if kill:
            posix.kill(pid, _signal.SIGKILL)
        return posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])


def pair() -> tuple[_socket.socket, _socket.socket]:
    """Our end, CRIU's end."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def spawn(program: str, path: str) -> Service:
    """A CRIU that outlives this process: killed in the middle of a dump, it would leave what it has put into others."""
    ours, theirs = pair()
    copy = -1
    try:
        # Above SOCKET, so that the move there is one, and clears close-on-exec.
        copy = files.held(fcntl.fcntl, theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST)
        actions: list[tuple[Any, ...]] = [(posix.POSIX_SPAWN_OPEN, fd, "/dev/null", posix.O_RDWR, 0) for fd in range(3)]
        actions.append((posix.POSIX_SPAWN_DUP2, copy, SOCKET))
        words = ["criu", "swrk", str(SOCKET)]
        defaults = (_signal.SIGPIPE, _signal.SIGXFSZ)
        pid = files.held(
            posix.posix_spawn,
            program,
            words,
            environment(path),
            file_actions=actions,
            setpgroup=0,  # what a terminal sends is not for CRIU
            setsigmask=(),
            setsigdef=defaults,
        )
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            text = posix.strerror(error.errno or 0).lower()
            raise HostError(text, where=program, hint="is it CRIU?") from None
        raise
    finally:
        theirs.close()
        if copy >= 0:
            posix.close(copy)
    return Service(ours, pid)


def environment(path: str) -> dict[str, str]:
    """What CRIU gets: it runs programs by their names, and nothing else of the caller's is its business."""
    return {"PATH": path}


def version(program: str, path: str) -> tuple[int, int, int]:
    """HostError for one that is too old."""
    service = spawn(program, path)
    try:
        said = service.ask({"type": rpc.VERSION}, _nothing).get("version") or {}
    finally:
        service.close()
    found = said.get("major_number", 0), said.get("minor_number", 0), said.get("sublevel", 0)
    if found < LEAST:
        text = ".".join(map(str, found))
        least = ".".join(map(str, LEAST))
        raise HostError(f"CRIU {text} is too old: it must be {least} or newer", where=program)
    return found


def require_feature(program: str, path: str, feature: str, option: str, hint: str = "") -> None:
    """HostError unless this kernel and CRIU have it, for that option."""
    service = spawn(program, path)
    try:
        answer = service.ask({"type": rpc.FEATURE_CHECK, "features": {feature: True}}, _nothing)
    finally:
        service.close()
    if not (answer.get("features") or {}).get(feature):
        raise HostError(f"this kernel and CRIU have no {feature}", where=option, hint=hint)


def _nothing(_script: str, _pid: int, _fd: int) -> None:
    """No notice comes with these requests."""


#: Error lines of a log that are quoted: the first is the cause, others follow from it.
QUOTED = 3
#: How they begin behind the time; a page server that is not there is told as if it were no error.
_MARKS = (b"Error (", b"Can't connect to server")


def errors(log: str) -> list[str]:
    """The first lines of CRIU's log that say an error, without the time and what only says that it has failed."""
    found: list[str] = []
    try:
        with open(log, "rb") as file:
            for line in file:
                for mark in _MARKS:
                    at = line.find(mark)
                    if at >= 0 and not line.rstrip().endswith(b"FAILED."):
                        found.append(line[at:].decode("utf-8", "backslashreplace").strip())
                        break
                if len(found) == QUOTED:
                    break
    except FileNotFoundError:
        return found
    return found


def explain(error: CriuFailed, log: str) -> HostError:
    """The error with what CRIU's log says, and where that is."""
    lines = "; ".join(errors(log)) or error.hint
    return HostError(f"{error.message}: {lines}" if lines else error.message, hint=f"CRIU's log is {log}")
