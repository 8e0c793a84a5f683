"""The programs that run inside containers under test: static C programs of tests/support, and busybox.

A program is built once per content of its source and kept in .cache of the checkout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.support import compilers

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "programs"

#: sbin is not on every user's PATH, and iptables, runc or newuidmap may live there.
PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"


@cache
def static(name: str, folder: Path = HERE) -> Path:
    """Path of NAME.c of ``folder`` (tests/support), compiled to a static program."""
    source = folder / f"{name}.c"
    compiler = compilers.static()
    assert compiler, "no C compiler that links statically; mark the test needs('static')"
    key = hashlib.sha256(" ".join(compiler).encode() + source.read_bytes()).hexdigest()[:16]
    target = CACHE / f"{name}-{key}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # Built under a private name and renamed: several workers may build at once.
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fresh = Path(scratch, name)
            flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-s"]
            subprocess.run([*compiler, *flags, "-o", fresh, source], check=True)
            fresh.rename(target)
    return target


@cache
def busybox() -> Path | None:
    """Path of a static busybox, None where there is none."""
    for folder in ("/bin", "/usr/bin", "/usr/local/bin"):
        for name in ("busybox", "busybox.static", "busybox-static"):
            path = Path(folder, name)
            if path.exists() and is_static(path):
                return path.resolve()
    found = shutil.which("busybox", path=PATH)
    return Path(found).resolve() if found and is_static(Path(found)) else None


def is_static(path: Path) -> bool:
    """Is this an ELF program without an interpreter (elf(5): no PT_INTERP)?"""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or data[4] != 2:
        return False
    table = int.from_bytes(data[32:40], "little")
    size = int.from_bytes(data[54:56], "little")
    count = int.from_bytes(data[56:58], "little")
    pt_interp = 3
    kinds = (int.from_bytes(data[table + n * size :][:4], "little") for n in range(count))
    return pt_interp not in kinds
