"""Builds the start-up image that the launcher runs instead of ``__main__.py`` when it is there.

Run by the build hook and by ``python pyrunc/cli/image.py``; never while a container starts.  The image belongs to one
version of the interpreter, like any bytecode, and its name says which.
"""

from __future__ import annotations
import __future__

import hashlib
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

#: What only people, builds and errors need: imported in the ordinary way when it is.
LEFT_OUT = (
    "cli/bootstrap.py",
    "cli/completion/",
    "cli/explain.py",
    "cli/image.py",
    "cli/manual/",
    "cli/rich.py",
    "cli/failure.py",
    "cli/engines.py",
    "doctor/",
    "host/libseccomp.py",
    "host/enosys.py",
    "host/netdev.py",
    "native/",
    "plan/describe.py",
    "runtime/features.py",
    "runtime/preview.py",
    "setup/",
    "spec/compile_schemas.py",
    "spec/shape.py",
)

_ALWAYS = ("pyrunc.cli.lean", "pyrunc.cli.verbs", "pyrunc.runtime.root")

#: What a command imports when all goes well; more than it needs costs time, less only the import machinery's.
ROOTS = {
    "create": (*_ALWAYS, "pyrunc.runtime.create"),
    "run": (*_ALWAYS, "pyrunc.runtime.run", "pyrunc.host.foreground"),
    "start": (*_ALWAYS, "pyrunc.runtime.start"),
    "state": (*_ALWAYS, "pyrunc.runtime.state"),
    "kill": (*_ALWAYS, "pyrunc.runtime.kill"),
    "delete": (*_ALWAYS, "pyrunc.runtime.delete"),
    "exec": (*_ALWAYS, "pyrunc.runtime.exec", "pyrunc.host.foreground"),
}


def name(minor: int = sys.version_info.minor) -> str:
    """The file below the package; the launcher looks for the one of the interpreter that it has found."""
    return f"native/image.cpython-3{minor}"


def build(package: Path, target: Path, *, checked: bool) -> None:
    """Compile the modules below ``package`` into ``target``.

    ``checked``: each module is compared with its source when it is imported, as for an editable install. Docstrings are
    left out: nothing on the lean path shows them, and they are a third of the bytes.
    """
    modules: dict[str, tuple[object, ...]] = {}
    codes: dict[str, CodeType] = {}
    for path in sorted(package.rglob("*.py")):
        below = path.relative_to(package).as_posix()
        if below == "__main__.py" or below.startswith(LEFT_OUT):
            continue
        # The flag stands for the statement: with it, the module __future__ need not be found, read and executed.
        source = path.read_bytes().replace(b"from __future__ import annotations\n", b"\n", 1)
        found = path.stat()
        flag = __future__.annotations.compiler_flag
        code = compile(source, str(path), "exec", flags=flag, dont_inherit=True, optimize=2)
        is_package = path.name == "__init__.py"
        parts = ["pyrunc", *below.removesuffix(".py").split("/")]
        dotted = ".".join(parts[:-1] if is_package else parts)
        size, mtime = (found.st_size, found.st_mtime_ns) if checked else (-1, -1)
        modules[dotted] = (below, is_package, size, mtime)
        codes[dotted] = code
    orders = {command: [name for name in order(package, roots) if name in modules] for command, roots in ROOTS.items()}
    data = assemble((package / "cli/bootstrap.py").read_text(), modules, orders, codes)
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(data)
    os.replace(beside, target)


def order(package: Path, roots: tuple[str, ...]) -> list[str]:
    """The modules of pyrunc that importing ``roots`` brings in, each behind those that it imports itself."""
    script = f"""
import sys
from _frozen_importlib_external import SourceFileLoader
sys.path.insert(0, {str(package.parent)!r})
names, execute = [], SourceFileLoader.exec_module
def exec_module(self, module):
    execute(self, module)
    names.append(module.__name__)
SourceFileLoader.exec_module = exec_module
import {", ".join(roots)}
print(*(name for name in names if name.split(".")[0] == "pyrunc"))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", script], check=True, capture_output=True, text=True)
    return done.stdout.split()


def fill(bootstrap: str, table: str, value: object) -> str:
    head, line, tail = bootstrap.partition(f"{table} = {{}}")
    if not line:
        raise ValueError(f"cli/bootstrap.py has no line {table} = {{}}")
    return f"{head}{table} = {value!r}{tail}"


def assemble(
    bootstrap: str, modules: dict[str, tuple[object, ...]], orders: dict[str, list[str]], codes: dict[str, CodeType]
) -> bytes:
    """The bootstrap as bytecode that the interpreter runs; behind it what each command needs, and every module.

    What is read together is written together: a name that many modules use is there once, and made once.
    """
    single = {name: marshal.dumps(code) for name, code in codes.items()}
    together = {command: marshal.dumps(tuple(codes[name] for name in names)) for command, names in orders.items()}
    stamp = hashlib.sha256(b"".join((repr(modules).encode(), *single.values(), *together.values()))).digest()[:16]
    places, length = _places(single, len(stamp))
    text = fill(bootstrap, "MODULES", {name: (*entry, *places[name]) for name, entry in modules.items()})
    text = fill(text, "STAMP", stamp)
    start = 0
    while True:
        commands, _ = _places(together, start + length)
        filled = fill(text, "ORDERS", {command: (names, *commands[command]) for command, names in orders.items()})
        filled = fill(filled, "SINGLES", (length, start))
        program = compile(filled, "bootstrap.py", "exec", dont_inherit=True, optimize=2)
        # The header of PEP 552 with a hash that is never checked: the interpreter runs it by its magic number.
        first = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(program)
        if len(first) <= start:
            return b"".join((first.ljust(start, b"\0"), stamp, *single.values(), *together.values()))
        start = len(first) + 64  # the offsets in it have grown; the next round fits


def _places(parts: dict[str, bytes], offset: int) -> tuple[dict[str, tuple[int, int]], int]:
    """Offset and length of each, one behind the other, and where they end."""
    places = {}
    for key, part in parts.items():
        places[key] = offset, len(part)
        offset += len(part)
    return places, offset


if __name__ == "__main__":
    # PACKAGE TARGET [--checked]; without arguments, the image of the source tree that this file is in
    here = Path(__file__).resolve().parents[1]
    given = sys.argv[1:] or [str(here), str(here / name()), "--checked"]
    build(Path(given[0]), Path(given[1]), checked="--checked" in given)
