"""Spawns pyrunc-init and speaks with it; docs/internals.md has the protocol.

What is spawned is a sealed copy in memory, never a file of the host: a container can open the
executable behind its processes (CVE-2019-5736).  Only posix_spawn is used, so that threads are safe.
"""

from __future__ import annotations

import _signal
import _socket
import _thread
import errno
import fcntl
import posix
from _struct import unpack_from

from pyrunc.errors import HostError
from pyrunc.host import files
from pyrunc.host.message import CLONED, LIMIT, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The executor's binary; tests put one there that can fail or stop on demand.
INIT = files.parent(files.parent(__file__)) + "/native/pyrunc-init"
TEST_ARGS: tuple[str, ...] = ()

_MSG_CMSG_CLOEXEC = 0x40000000
_RIGHTS_SIZE = _socket.CMSG_SPACE(4)  # of one descriptor
#: How long pyrunc-init may take to say that it has cloned, when nobody wants the clone any more.
_CLONED_MILLISECONDS = 2000
_MFD_EXEC = 0x10
_F_ADD_SEALS = 1033
_SEALED = 0x0F  # F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
_SEAL_EXEC = 0x20
_EINVAL = 22

_lock = _thread.allocate_lock()
#: Where the copy is from, its descriptor, and its mode and time of change when it was made.
_binary: tuple[str, int, tuple[int, int]] | None = None


def sealed(name: str, data: bytes, *, executable: bool = False) -> int:
    """A memfd with this content that nobody can change any more."""
    flags = posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING
    try:
        # Since 6.3 the sysctl vm.memfd_noexec wants to be told; older kernels do not know the flag.
        fd = files.held(posix.memfd_create, name, flags | (_MFD_EXEC if executable else 0))
    except OSError as error:
        if not executable or error.errno != _EINVAL:
            raise
        fd = files.held(posix.memfd_create, name, flags)
    try:
        view = memoryview(data)
        while view:
            view = view[posix.write(fd, view) :]
        if executable:
            posix.fchmod(fd, 0o555)  # what is open for writing cannot be executed
        try:
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALED | (_SEAL_EXEC if executable else 0))
        except OSError as error:
            if not executable or error.errno != _EINVAL:  # before 6.3 there is no seal for the mode
                raise
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALED)
    except BaseException:
        posix.close(fd)
        raise
    return fd


def _state(fd: int) -> tuple[int, int]:
    found = posix.fstat(fd)
    return found.st_mode, found.st_ctime_ns


def _open_executable(least: int, opened: list[int]) -> int:
    """A descriptor, ``least`` or above, of the sealed copy that is made once per program; it is among ``opened`` then.

    What runs in a container as this program's user owns the copy: it can open it by /proc/PID/exe and take its mode
    away, by an ACL even with a seal on it.  A copy that was changed is replaced.  Whoever spawns has a descriptor of
    its own, since another thread may do so meanwhile.
    """
    global _binary
    with _lock:
        if _binary is None or _binary[0] != INIT or _binary[2] != _state(_binary[1]):
            fd = sealed("pyrunc-init", _read_init(), executable=True)
            try:
                state = _state(fd)
            except BaseException:
                posix.close(fd)
                raise
            changed, _binary = _binary, (INIT, fd, state)
            if changed is not None:
                posix.close(changed[1])
        opened.append(files.held(fcntl.fcntl, _binary[1], fcntl.F_DUPFD_CLOEXEC, least))
    return opened[-1]


def _read_init() -> bytes:
    try:
        fd = files.held(posix.open, INIT, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        unbuilt = error.errno == errno.ENOENT
        raise HostError(
            f"{INIT}: {posix.strerror(error.errno or 0).lower()}",
            hint="the native part of pyrunc is not built; install pyrunc again" if unbuilt else "",
        ) from None
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


class Inbox:
    """The messages that come out of a socket.  What an interruption keeps from the caller is not lost."""

    __slots__ = ("_packet", "_socket")

    def __init__(self, socket: _socket.socket) -> None:
        self._socket = socket
        self._packet: tuple[bytes, Sequence[tuple[int, int, bytes]], int, object] | None = None

    def receive(self) -> Message | None:
        """The next message; None when the other side has closed the socket."""
        try:
            self._packet = files.held(self._socket.recvmsg, LIMIT, _RIGHTS_SIZE, _MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it went away with something of ours unread
            return None
        message = self._parsed()
        self._packet = None
        return message

    def _parsed(self) -> Message | None:
        if self._packet is None or not self._packet[0]:
            return None
        fd = -1
        for level, kind, payload in self._packet[1]:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                (fd,) = unpack_from("=i", payload)
        return Message(self._packet[0], fd)

    def last(self, wanted: int) -> Message | None:
        """The message of that kind, if it comes or is there already, for whoever was interrupted before it or with it
        in hand.  The descriptors of others are closed.

        Nothing that waits for an answer goes on then.
        """
        if self._socket.fileno() < 0:
            return None
        self._socket.shutdown(_socket.SHUT_WR)
        import select

        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLIN)
        message = self._parsed()
        while message is None or message.kind != wanted:
            if message is not None and message.fd >= 0:
                posix.close(message.fd)
            self._packet = None
            # Bounded: an interruption may have left the other end open in this very process.
            if not poller.poll(_CLONED_MILLISECONDS):
                return None
            message = self.receive()
            if message is None:
                return None
        self._packet = None
        return message


class Init:
    """A spawned pyrunc-init: its socket, and the process to reap."""

    __slots__ = ("_inbox", "pid", "socket", "status")

    def __init__(
        self,
        program: bytes,
        *,
        stdio: Sequence[int] = (0, 1, 2),
        preserve_fds: int = 0,
        slots: Mapping[int, int] | None = None,
        given: Sequence[int] = (),
    ) -> None:
        """Spawn it with ``program``; ``slots`` are descriptors to hand over (slot -> fd).

        Descriptors 3 … 2+preserve_fds of the caller are inherited; or those ``given`` become 3 and so on.
        """
        base = 3 + max(preserve_fds, len(given))
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        self.pid = 0
        self.socket = ours
        self.status: int | None = None
        self._inbox = Inbox(ours)
        opened: list[int] = []
        try:
            actions: list[tuple[int, int, int]] = []

            def inherit(fd: int, at: int = -1) -> int:
                """Pass a copy of fd on, above what is preserved; a dup2 onto itself clears close-on-exec."""
                copy = files.held(fcntl.fcntl, fd, fcntl.F_DUPFD_CLOEXEC, base)
                opened.append(copy)
                actions.append((posix.POSIX_SPAWN_DUP2, copy, copy if at < 0 else at))
                return copy

            memfd = sealed("program", program)
            opened.append(memfd)
            executable = _open_executable(base, opened)
            arguments = [str(inherit(theirs.fileno())), str(inherit(memfd))]
            arguments += [f"{slot}={inherit(fd)}" for slot, fd in (slots or {}).items()]
            for target, fd in enumerate(stdio):
                if fd != target:
                    inherit(fd, target)
            for target, fd in enumerate(given, 3):
                inherit(fd, target)
            self.pid = files.held(
                posix.posix_spawn,
                f"/proc/self/fd/{executable}",
                ["pyrunc-init", *arguments, *TEST_ARGS],
                {},
                file_actions=actions,
                setsigmask=(),
                setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ),
            )
            theirs.close()
            files.close(opened)
        except BaseException:
            # First the other end, so that its end shows.
            theirs.close()
            files.close(opened)
            if self.pid:
                self._abandon()
            ours.close()
            raise

    def receive(self) -> Message | None:
        """The next message; None when the other side has closed the socket."""
        return self._inbox.receive()

    def cloned(self) -> Message | None:
        """The CLONED message, if there is one, for whoever was interrupted before; see ``Inbox.last``."""
        return self._inbox.last(CLONED)

    def go_on(self) -> None:
        """Answer a message that waits for it.  That nobody waits any more shows at the next ``receive``."""
        try:
            self.socket.send(b"\0")
        except (BrokenPipeError, ConnectionResetError):
            return

    def reap(self) -> int:
        """Wait for the spawned process (it ends at the clone); its wait status."""
        if self.status is None:
            try:
                self.status = posix.waitpid(self.pid, 0)[1]
            except ChildProcessError:  # an interrupted call had come as far as that
                self.status = 0
        return self.status

    def hand_over(self) -> int:
        """The pid, to be reaped by the caller from now on: of a program without a clone, which has become another."""
        self.status = 0
        return self.pid

    def close(self) -> None:
        self.socket.close()

    def __del__(self) -> None:
        """Whoever was to have it was interrupted before."""
        if getattr(self, "pid", 0) and self.status is None:
            self._abandon()
            self.socket.close()

    def _abandon(self) -> None:
        message = self.cloned()
        if message is not None:
            _end(message.value)
            posix.close(message.fd)
        _end(self.pid)
        self.status = 0


def _end(pid: int) -> None:
    """Kill and reap a child; nothing happens to what is none of this process."""
    try:
        if posix.waitpid(pid, posix.WNOHANG)[0] == 0:
            posix.kill(pid, _signal.SIGKILL)
            posix.waitpid(pid, 0)
    except ChildProcessError:
        return
