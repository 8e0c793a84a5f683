"""Running the programs that make a machine: with a deadline, and with what they said in the failure."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class VmError(Exception):
    """The machine could not be made or used; the message has the last lines of what was said."""


def call(*words: str | os.PathLike[str], log: Path, timeout: float = 60) -> None:
    """Run a program with its output appended to ``log``; VmError where it fails or is not done in time."""
    command = [os.fspath(word) for word in words]
    with log.open("ab") as out:
        try:
            # A session of its own: what the program has started ends with it.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        except FileNotFoundError:
            raise VmError(f"{command[0]} is not installed") from None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VmError(f"{command[0]} was not done after {timeout:g} s\n{tail(log)}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        raise VmError(f"{command[0]} failed with {status}\n{tail(log)}")


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a text file, "" if there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
