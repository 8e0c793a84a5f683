"""What a program of a sandbox reads and writes: pipes to this program, served without threads and without waiting
for anybody but the program itself.

What a payload has at the other end it may fill, drain, keep open or close as it likes; none of that blocks here.
"""

from __future__ import annotations

import _signal
import fcntl
import posix
import select
import stat
import time

from pyrunc.host import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[[bytes], object]

_CHUNK = 65536
_PIPE_CLOSED = frozenset((_signal.SIGPIPE,))


class Sink:
    """One stream of a program: what it wrote, up to ``limit`` bytes; the rest is read and dropped.

    ``callback`` is given everything, as it comes.
    """

    __slots__ = ("callback", "data", "ended", "fd", "limit", "truncated")

    def __init__(self, fd: int, limit: int, callback: Callback | None) -> None:
        self.fd = fd
        self.limit = limit
        self.callback = callback
        self.data = bytearray()
        self.truncated = False
        self.ended = False  # nobody can write to it any more

    def collect(self) -> int | None:
        """Read once; how much that was, 0 at the end, None when there is nothing to read now."""
        try:
            part = posix.read(self.fd, _CHUNK)
        except BlockingIOError:  # a payload that has opened the pipe anew may have been faster
            return None
        self.ended = not part
        room = self.limit - len(self.data)
        if len(part) > room:
            self.truncated = True
            self.data += part[:room]
        else:
            self.data += part
        if part and self.callback is not None:
            self.callback(part)
        return len(part)

    def drain(self) -> None:
        """Read what is there when the program has ended.  Whoever it has left behind may go on writing: no more than
        the pipe can hold was written before."""
        left = 0 if self.ended else fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ)
        while left > 0 and (got := self.collect()):
            left -= got


class Source:
    """What a program is given to read, written as it takes it."""

    __slots__ = ("fd", "left")

    def __init__(self, fd: int, data: bytes) -> None:
        self.fd = fd
        self.left = memoryview(data)

    def feed(self) -> bool:
        """Write once; whether there is more to write."""
        try:
            self.left = self.left[_write(self.fd, self.left) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # nobody reads it
            return False
        return bool(self.left)


def _write(fd: int, data: memoryview) -> int:
    """posix.write of a part to a pipe; BrokenPipeError also where SIGPIPE would end this program."""
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _PIPE_CLOSED)
    try:
        return posix.write(fd, data[:_CHUNK])
    except BrokenPipeError:
        if _signal.SIGPIPE not in before:
            _signal.sigtimedwait(_PIPE_CLOSED, 0)
        raise
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


class Stdio:
    """The three streams of one program: descriptors for it in ``theirs``, and this program's ends.

    ``owner`` is the host's uid of who will run it, where that is not the caller's own: a program may open
    /dev/stdout anew only if the pipe belongs to it.
    """

    __slots__ = ("_open", "_owner", "null", "sinks", "source", "theirs")

    def __init__(self, owner: int | None) -> None:
        self._open: list[int] = []  # what is to be closed; see ``files.held``
        self._owner = owner
        self.theirs: list[int] = []
        self.null = False  # one of them is the host's null device
        self.sinks: list[Sink] = []
        self.source: Source | None = None

    def add_null(self) -> None:
        """Add a stream that is empty, and drops what is written to it."""
        self.null = True
        fd = files.held(posix.open, "/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        self._open.append(fd)
        self.theirs.append(fd)

    def given(self, fd: int) -> None:
        """Add a descriptor of the caller's, which stays the caller's.  A pipe is given the program's user, as above."""
        self.null = True  # it may be
        copy = files.held(fcntl.fcntl, fd, fcntl.F_DUPFD_CLOEXEC, 3)
        self._open.append(copy)
        self.theirs.append(copy)
        if self._owner is not None and stat.S_ISFIFO(posix.fstat(fd).st_mode):
            posix.fchown(fd, self._owner, -1)

    def pipe_in(self) -> int:
        """Add a pipe that the program reads; the end to write to."""
        theirs, ours = self._pipe()
        self.theirs.append(theirs)
        return ours

    def pipe_out(self) -> int:
        """Add a pipe that the program writes to; the end to read from."""
        ours, theirs = self._pipe()
        self.theirs.append(theirs)
        return ours

    def _pipe(self) -> tuple[int, int]:
        ends = files.held(posix.pipe2, posix.O_CLOEXEC)
        self._open.extend(ends)
        if self._owner is not None:
            posix.fchown(ends[0], self._owner, -1)
        return ends

    def feed(self, data: bytes) -> None:
        """Add the program's input: as much as fits now, while a reader is sure to be there."""
        fd = self.pipe_in()
        posix.set_blocking(fd, False)
        source = Source(fd, data)
        self.source = source
        try:
            while source.left:
                source.left = source.left[posix.write(fd, source.left) :]
        except BlockingIOError:
            return
        self.stop_feeding()

    def capture(self, limit: int, callback: Callback | None) -> None:
        """Add a stream of output."""
        fd = self.pipe_out()
        posix.set_blocking(fd, False)
        self.sinks.append(Sink(fd, limit, callback))

    def _close(self, fd: int) -> None:
        at = self._open.index(fd)
        del self._open[at]  # not a call: see ``files.held``
        posix.close(fd)

    def close_theirs(self) -> None:
        while self.theirs:
            fd = self.theirs[-1]
            del self.theirs[-1]
            self._close(fd)

    def close(self) -> None:
        """Interrupted, it can be repeated."""
        files.close(self._open)

    def __del__(self) -> None:
        """Whoever was to close it was interrupted before."""
        if hasattr(self, "_open"):
            files.close(self._open)

    def stop_feeding(self) -> None:
        """End of file for the program."""
        if self.source is not None:
            fd, self.source = self.source.fd, None
            self._close(fd)

    def pump(self, ended: int, deadline: float | None) -> bool:
        """Serve the streams until there is something to read from ``ended``; False when the deadline came first."""
        poller = select.poll()
        poller.register(ended, select.POLLIN)
        sinks = {sink.fd: sink for sink in self.sinks}
        for fd in sinks:
            poller.register(fd, select.POLLIN)
        feeding = -1
        if self.source is not None:
            feeding = self.source.fd
            poller.register(feeding, select.POLLOUT)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            over = False
            for fd, _ in poller.poll(left):
                if fd == ended:
                    over = True
                elif fd == feeding:
                    if self.source is not None and not self.source.feed():
                        poller.unregister(fd)
                        self.stop_feeding()
                elif sinks[fd].collect() == 0:
                    poller.unregister(fd)
            if over:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def drain(self) -> None:
        for sink in self.sinks:
            sink.drain()
