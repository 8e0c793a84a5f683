"""The caller's terminal while a program in a sandbox has it on its streams (``pyrunc sandbox``).

The program is in a session of its own: it has no controlling terminal, and what the kernel does for jobs of the shell
(to stop who reads in the background, to stop all at ^Z, to end all at ^C) does not reach it.  So ``pyrunc sandbox``,
which is the shell's job, does it in its place, and puts back the settings of the terminal that the program has
changed, whichever way it ends.
"""

from __future__ import annotations

import _signal
import errno
import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from pyrunc.host.foreground import Wakeup
    from pyrunc.sandbox.process import Process


class Terminal:
    """As a context manager it restores the settings.  Does nothing where no stream is a terminal."""

    __slots__ = ("_fd", "_mine")

    def __init__(self) -> None:
        self._fd = next((fd for fd in (0, 1, 2) if os.isatty(fd)), -1)
        self._mine = self._settings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._restore(self._mine)

    def is_of_keyboard(self, number: int) -> bool:
        """Whether it is a signal of the keyboard, ^C or ^\\, which the kernel sends to all processes of a job."""
        return self._fd >= 0 and number in (_signal.SIGINT, _signal.SIGQUIT)

    def await_foreground(self) -> None:
        """What the kernel does to who reads from its terminal in the background: stop until the shell says ``fg``."""
        while self._is_behind():
            os.killpg(0, _signal.SIGTTIN)

    def stop(self, program: Process, wakeup: Wakeup) -> bytes:
        """^Z: the program stops, then this process, with the terminal as the shell knows it, until that says ``fg``.

        Returns the signals that came meanwhile and are to be passed on; they end the pause as well.
        """
        program.send_signal(_signal.SIGSTOP, group=True)
        try:
            theirs = self._settings()
            self._restore(self._mine)
            came = self._pause(wakeup)
            self._restore(theirs)
        finally:
            program.send_signal(_signal.SIGCONT, group=True)
        return came

    def _pause(self, wakeup: Wakeup) -> bytes:
        """Stop, and again while the shell has only said ``bg``; the signals that came meanwhile."""
        came = b""
        before = _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
        try:
            os.kill(os.getpid(), _signal.SIGTSTP)
            while not (came := came + _others(wakeup.numbers())) and self._is_behind():
                os.kill(os.getpid(), _signal.SIGTSTP)
        finally:
            _signal.signal(_signal.SIGTSTP, before)
        return came

    def _is_behind(self) -> bool:
        """Whether input would be taken from a terminal that the shell has given to another job."""
        return os.isatty(0) and not self._in_front() and os.getsid(os.getppid()) == os.getsid(0)

    def _in_front(self) -> bool:
        """Whether the terminal is this job's, also where it is nobody's here."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not the terminal of this session
            return True

    def _settings(self) -> Any:
        """None without a terminal, or when it has been hung up."""
        try:
            return termios.tcgetattr(self._fd) if self._fd >= 0 else None
        except termios.error as error:
            if error.args[0] != errno.EIO:
                raise
            return None

    def _restore(self, settings: Any) -> None:
        if settings is None or not self._in_front():
            return
        try:
            termios.tcflow(self._fd, termios.TCOON)
            # At once: whoever has stopped the output may keep it from draining for ever.
            termios.tcsetattr(self._fd, termios.TCSANOW, settings)
        except termios.error as error:
            if error.args[0] != errno.EIO:
                raise


def _others(numbers: bytes) -> bytes:
    return bytes(number for number in numbers if number not in (_signal.SIGTSTP, _signal.SIGCONT))
