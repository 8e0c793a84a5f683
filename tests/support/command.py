"""Running programs in tests: always with a deadline, always with the whole output in a failure's message."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

# posix_spawn, which subprocess prefers from Python 3.13 on, leaves glibc's own two signals ignored in the program, and
# a runtime hands that on to the container.  The switch is in subprocess' documentation.
subprocess._USE_POSIX_SPAWN = False  # type: ignore[misc]

PathLike = str | os.PathLike[str]


class Result:
    """What a program did: ``status`` (128 + n for a signal), ``stdout``, ``stderr`` as text."""

    __slots__ = ("command", "status", "stderr", "stdout")

    def __init__(self, command: tuple[str, ...], status: int, stdout: str, stderr: str) -> None:
        self.command = command
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"{' '.join(self.command)}\n-> {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def run(
    *command: PathLike,
    status: int | None = 0,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: PathLike | None = None,
    stdin: str | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Result:
    """Run ``command``; fail unless it exits with ``status`` (None: any) within ``timeout`` seconds.

    ``stdin`` is text to feed; without it the standard input is empty.
    """
    words = tuple(os.fspath(word) for word in command)
    # Into files, not pipes: what a detached container inherits would keep a pipe open after the runtime has
    # gone.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                words,
                input=(stdin or "").encode(),
                stdout=out,
                stderr=err,
                timeout=timeout,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            text = f"still runs after {timeout} s\n--- stdout\n{_text(out)}\n--- stderr\n{_text(err)}"
            raise AssertionError(f"{' '.join(words)}\n{text}") from None
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        result = Result(words, code, _text(out), _text(err))
    if status is not None and code != status:
        raise AssertionError(f"expected exit status {status}\n{result!r}")
    return result


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")
