"""Builds the native part: pyrunc-init and the launcher ``pyrunc``.

Standard library only, and importable by a build backend: ``build(outdir)``.  Run by hand:
``python build.py --out DIR [--test] [--sanitize] [--source DIR]``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).resolve().parent
ARCHITECTURES = frozenset({"x86_64", "aarch64"})

WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
#: Without a libc there is no thread area, which a stack protector reads its canary from.
FREESTANDING = (
    "-Os",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-pie",
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
    "-Wl,-z,norelro",
    "-Wl,-z,noseparate-code",
    "-Wl,--gc-sections",
    "-s",
)
#: memcpy and memset are written as loops; gcc must not turn these loops into calls of themselves.
GCC_ONLY = ("-fno-tree-loop-distribute-patterns",)
SANITIZED = (
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-DPYRUNC_HOSTED",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


class BuildError(Exception):
    """The native part cannot be built here; the message says what to install."""


def compiler() -> list[str]:
    """The command of a C compiler: $CC, cc, gcc or clang."""
    if os.environ.get("CC"):
        command = shlex.split(os.environ["CC"])
        if shutil.which(command[0]) is None:
            raise BuildError(f"CC={os.environ['CC']}: there is no such command")
        return command
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            return [found]
    raise BuildError(
        "pyrunc needs a C compiler to build its helper: install gcc and the kernel's headers "
        "(Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc kernel-headers; Alpine: "
        "apk add gcc linux-headers), or set CC"
    )


def build(
    outdir: str | Path,
    *,
    cc: str | None = None,
    test: bool = False,
    sanitize: bool = False,
    source: str | Path | None = None,
) -> Path:
    """Build ``pyrunc-init`` and ``pyrunc`` into ``outdir``; returns the path of pyrunc-init.

    ``test`` adds the sync points and fault injection, ``sanitize`` builds pyrunc-init with a libc, ASan
    and UBSan (and no launcher), ``source`` is the directory that an editable install takes the package from.
    Raises BuildError.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES or sys.platform != "linux":
        wanted = " and ".join(sorted(ARCHITECTURES))
        raise BuildError(f"pyrunc runs on Linux on {wanted}; this is {sys.platform} on {machine}")
    out = Path(outdir)
    out.mkdir(parents=True, exist_ok=True)
    command = shlex.split(cc) if cc else compiler()
    ops = out / "ops.h"
    ops.write_text(_generator().header())
    defines = ["-DPYRUNC_TEST"] if test else []
    flags = list(SANITIZED if sanitize else FREESTANDING)
    if not sanitize and _is_gcc(command):
        flags += GCC_ONLY
    init = out / "pyrunc-init"
    _compile([*command, *WARNINGS, *flags, *defines, f"-I{out}"], "init.c", init)
    if not sanitize:
        if source is not None:
            # The text of a C string literal: octal for whatever is not plain.
            text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in os.fsencode(source))
            defines.append(f'-DPYRUNC_SOURCE="{text}"')
        _compile([*command, *WARNINGS, *flags, *defines], "launcher.c", out / "pyrunc")
    return init


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pyrunc_native_generate", HERE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_gcc(command: list[str]) -> bool:
    ask = [*command, "-dM", "-E", "-x", "c", os.devnull]
    result = subprocess.run(ask, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{shlex.join(command)} does not work: {result.stderr.strip()}")
    return "__clang__" not in result.stdout


def _compile(command: list[str], file: str, output: Path) -> None:
    """One compiler call; the output appears complete or not at all."""
    temporary = output.with_name(f"{output.name}.{os.getpid()}")
    result = subprocess.run(
        [*command, file, "-o", str(temporary)], cwd=HERE, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BuildError(f"{shlex.join(command)} {file}:\n{result.stderr}{_hint(result.stderr)}")
    temporary.chmod(0o755)
    temporary.replace(output)


def _hint(stderr: str) -> str:
    missing = "No such file" in stderr or "not found" in stderr
    if missing and ("linux/" in stderr or "asm/" in stderr):
        return "the kernel's headers are missing: install linux-libc-dev (Debian) or kernel-headers (Fedora)"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--source")
    options = parser.parse_args()
    try:
        print(build(options.out, test=options.test, sanitize=options.sanitize, source=options.source))
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
