"""Carries bytes between the caller's stdio and the container's pty, without ever blocking on either.

A Relay owns two small buffers and says to a poll object what it waits for; the loop is its user's
(``foreground``).  Full buffers stop the reading on the other side, so that no side outruns the other.
"""

from __future__ import annotations

import errno
import posix
import select

#: A pipe that poll calls writable takes this much without blocking (PIPE_BUF, pipe(7)).
CHUNK = 4096
#: More than a pty ever buffers (TTYB_DEFAULT_MEM_LIMIT is 64 KiB; the line discipline has 4).
_PTY_SIZE = 128 * 1024


class Relay:
    """stdin -> master, master -> stdout; ``master`` is set non-blocking."""

    __slots__ = ("_in_open", "_master", "_out_open", "_stdin", "_stdout", "_to_master", "_to_stdout")

    def __init__(self, master: int, stdin: int = 0, stdout: int = 1) -> None:
        self._master = master
        self._stdin = stdin
        self._stdout = stdout
        self._to_master = b""
        self._to_stdout = b""
        self._in_open = True
        self._out_open = True
        posix.set_blocking(master, False)

    def interests(self) -> dict[int, int]:
        """fd -> events to poll for; empty directions are left out, since POLLHUP cannot be masked."""
        wanted: dict[int, int] = {}
        if self._master >= 0:
            events = (select.POLLOUT if self._to_master else 0) | (0 if self._to_stdout else select.POLLIN)
            if events:
                wanted[self._master] = events
            if self._in_open and not self._to_master:
                wanted[self._stdin] = select.POLLIN
        if self._to_stdout:
            wanted[self._stdout] = wanted.get(self._stdout, 0) | select.POLLOUT
        return wanted

    def handle(self, fd: int, events: int) -> None:
        """React to what poll said of one descriptor."""
        if fd == self._master:
            if events & select.POLLOUT and self._to_master:
                self._write_master()
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._to_stdout:
                self._read_master()
        elif fd == self._stdin and not self._to_master:
            self._read_stdin()
        elif fd == self._stdout:
            self._write_stdout()

    def drain(self) -> None:
        """After the end of the container's process: pass on what the pty still holds.

        Not more than that: a process that was left behind may hold the slave and write for ever.
        """
        self._in_open = False
        chunks = 0
        while self._to_stdout or (self._master >= 0 and chunks < _PTY_SIZE // CHUNK):
            if self._to_stdout:
                poller = select.poll()
                poller.register(self._stdout, select.POLLOUT)
                poller.poll()
                self._write_stdout()
            elif self._read_master():
                chunks += 1
            else:
                return

    def _read_stdin(self) -> None:
        try:
            data = posix.read(self._stdin, CHUNK)
        except OSError as error:
            # EBADF: the caller has closed stdin.  EIO: its terminal is gone, or no longer this job's.
            if error.errno not in (errno.EBADF, errno.EIO):
                raise
            data = b""
        self._to_master = data
        # End of the caller's input is not end of the terminal's: nothing is typed any more, that is all.
        self._in_open = bool(data)

    def _write_master(self) -> None:
        try:
            self._to_master = self._to_master[posix.write(self._master, self._to_master) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._hang_up(error)

    def _read_master(self) -> bool:
        """False when there is nothing to read now, or ever."""
        try:
            data = posix.read(self._master, CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            self._hang_up(error)
            return False
        if self._out_open:
            self._to_stdout = data
        return True

    def _hang_up(self, error: OSError) -> None:
        """EIO: the last descriptor of the slave is closed (pty(7)).  Nothing comes or goes any more."""
        if error.errno != errno.EIO:
            raise error
        self._master = -1
        self._to_master = b""

    def _write_stdout(self) -> None:
        try:
            self._to_stdout = self._to_stdout[posix.write(self._stdout, self._to_stdout) :]
        except BlockingIOError:
            return  # somebody else made the caller's stdout non-blocking
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            # The reader is gone.  The container's output is still read, or its writes would hang for ever.
            self._out_open = False
            self._to_stdout = b""
