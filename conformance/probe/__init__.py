"""Builds the probe, once for each version of its source, with whatever C compiler there is.

The result is kept in $XDG_CACHE_HOME/oci-conformance (~/.cache/oci-conformance), under a name that depends on the
sources, so that it is never out of date.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1")
STATIC = ("-static", "-s")
SANITIZED = ("-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class CannotBuild(Exception):
    """There is no probe to be had; the message says what to install."""


def sources() -> list[Path]:
    return sorted(HERE.glob("*.c"))


def compiler() -> list[str]:
    """The command of a C compiler: $CC, cc, gcc or clang.  Raises CannotBuild."""
    wanted = shlex.split(os.environ.get("CC", ""))
    for command in [wanted] if wanted else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    if wanted:
        raise CannotBuild(f"CC={os.environ['CC']}: there is no such command")
    raise CannotBuild(
        "the suite needs a C compiler for its probe: install gcc and the C library's static part "
        "(Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc glibc-static; Alpine: apk add gcc "
        "musl-dev linux-headers), or set CC"
    )


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base, "oci-conformance")


@functools.cache
def fingerprint() -> str:
    """What the binary depends on, as 16 hexadecimal digits."""
    digest = hashlib.sha256(" ".join((platform.machine(), *FLAGS, *STATIC)).encode())
    for path in [*sources(), HERE / "probe.h"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def build(target: Path, *, sanitize: bool = False) -> None:
    """Compile; ``target`` appears complete or not at all.  Raises CannotBuild."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    flags = [*FLAGS, *(SANITIZED if sanitize else STATIC)]
    command = [*compiler(), *flags, *map(str, sources()), "-o", str(temporary)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = ""
        if "-lc" in done.stderr or "libc" in done.stderr:
            hint = "\nthe C library's static part is missing: libc6-dev, glibc-static or musl-dev has it"
        raise CannotBuild(f"`{shlex.join(command)}` fails:\n{done.stderr.strip()}{hint}")
    temporary.chmod(0o755)
    temporary.replace(target)


def path() -> Path:
    """The probe for this machine, built if need be.  Raises CannotBuild."""
    target = cache() / f"probe-{fingerprint()}"
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise CannotBuild(
                f"the probe cannot be kept in {target.parent}: {error.strerror}; set XDG_CACHE_HOME to a directory "
                "that can be written to"
            ) from None
        build(target)
    return target
