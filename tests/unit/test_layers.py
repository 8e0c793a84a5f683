"""The direction of the arrows: who may import whom, what a pure layer may not touch, what a fast start may
not load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc as package

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(package.__path__[0])

#: Left to right; a layer imports only what stands to its left, or itself.
LAYERS = ("errors", "spec", "plan", "host", "state", "runtime", "setup", "api")

#: Modules directly below pyrunc/, and which layer they belong to. ``cli`` and ``sandbox`` share the last one.
TOP = {"cli": "api", "container": "api", "doctor": "api", "sandbox": "api", "__init__": "api", "__main__": "api"}

#: Not imported by pyrunc at run time: the build's own scripts.
BUILD_SCRIPTS = {"spec/compile_schemas.py", "native/build.py", "native/generate.py"}

IMPURE = {
    "os", "posix", "posixpath", "io", "socket", "_socket", "time", "subprocess", "ctypes", "select",
    "selectors", "fcntl", "signal", "_signal", "resource", "termios", "mmap", "threading", "_thread",
    "random", "secrets", "uuid", "pathlib", "shutil", "tempfile", "glob", "platform", "getpass", "pwd",
    "grp", "asyncio", "multiprocessing",
}  # fmt: skip

#: What create, start, state, kill, delete, exec and run may load besides the interpreter's own and pyrunc's
#: modules. C modules cost microseconds; a Python module must be worth its milliseconds, and __future__ is
#: (0.1 ms).
ALLOWED = {
    "__future__", "_blake2", "_functools", "_json", "_posixsubprocess", "_signal", "_socket", "_struct", "array",
    "binascii", "errno", "fcntl", "gc", "math", "mmap", "resource", "select", "termios", "time",
}  # fmt: skip


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if relative(path) not in BUILD_SCRIPTS)


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def layer(name: str) -> str:
    """The layer of ``spec/load.py`` or of the module ``pyrunc.spec.load``."""
    first = name.removesuffix(".py").replace("/", ".").split(".")[0]
    return TOP.get(first, first)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those that only the type checker sees excepted."""
    tree = ast.parse(path.read_text(), filename=str(path))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{origin(path, node)}.{alias.name}") for alias in node.names)


def origin(path: Path, node: ast.ImportFrom) -> str:
    """The absolute dotted name behind ``from``."""
    if not node.level:
        return node.module or ""
    package = ("pyrunc", *path.relative_to(PACKAGE).parts[:-1])
    return ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))


def internal(path: Path) -> Iterator[tuple[int, str]]:
    """Line and layer of every import of a part of pyrunc."""
    for line, name in imports(path):
        if name == "pyrunc" or name.startswith("pyrunc."):
            inner = name.removeprefix("pyrunc").removeprefix(".")
            # `from pyrunc import errors` names a layer; `import pyrunc` and `from pyrunc import Container`
            # the API
            yield line, layer(inner) if layer(inner) in LAYERS else "api"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_a_layer_imports_only_what_stands_to_its_left(path: Path) -> None:
    own = layer(relative(path))
    if own == "native":
        own = "errors"
    assert own in LAYERS, f"{relative(path)} belongs to no layer"
    reach = LAYERS[: LAYERS.index(own) + 1]
    breaches = [f"{relative(path)}:{line} imports {other}" for line, other in internal(path) if other not in reach]
    assert not breaches


@pytest.mark.parametrize(
    "path", [p for p in sources() if layer(relative(p)) in {"errors", "spec", "plan"}], ids=relative
)
def test_a_pure_layer_does_no_io(path: Path) -> None:
    breaches = [
        f"{relative(path)}:{line} imports {name}" for line, name in imports(path) if name.split(".")[0] in IMPURE
    ]
    assert not breaches
    calls = [
        f"{relative(path)}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert not calls


def test_only_the_cli_prints() -> None:
    breaches = [
        f"{relative(path)}:{node.lineno}"
        for path in sources()
        if layer(relative(path)) != "api"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not breaches


def interpreter() -> str:
    """The base interpreter: what the launcher starts."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return str(Path(sys.base_prefix, "bin", version))


#: Runs pyrunc as its launcher does, and writes the names of the modules that it loaded to a descriptor when
#: it exits.
HOOK = """
import sys
descriptor, main = int(sys.argv[1]), sys.argv[2]
sys.argv = sys.argv[2:]
before = set(sys.modules)
import posix
leave = posix._exit
def report(status=0):
    names = sorted(name for name in set(sys.modules) - before)
    posix.write(descriptor, repr(names).replace("'", '"').encode())
    leave(status)
import os
posix._exit = os._exit = report
status = 0
try:
    exec(compile(open(main, "rb").read(), main, "exec"), {"__name__": "__main__", "__file__": main})
except SystemExit as error:
    status = error.code if isinstance(error.code, int) else int(error.code is not None)
report(status)
"""


def loaded(tmp_path: Path, *arguments: str) -> set[str]:
    """Modules that ``pyrunc ARGUMENTS`` loads beyond those of ``python -I -S -c 'import os'``."""
    report = tmp_path / "modules"
    hook = tmp_path / "hook.py"
    hook.write_text(HOOK)
    with report.open("wb") as file:
        subprocess.run(
            [
                interpreter(),
                "-I",
                "-S",
                "-X",
                "utf8",
                hook,
                str(file.fileno()),
                PACKAGE / "__main__.py",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=[file.fileno()],
            check=False,
            timeout=60,
        )
    text = report.read_text()
    assert text, f"pyrunc {' '.join(arguments)} left without passing by the hook"
    names: list[str] = json.loads(text)
    bare = subprocess.run(
        [interpreter(), "-I", "-S", "-X", "utf8", "-c", "import os, sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        check=True,
        text=True,
    )
    return set(names) - set(bare.stdout.split())


@pytest.mark.parametrize(
    "verb",
    [
        ("state", "absent"),
        ("start", "absent"),
        ("kill", "absent", "TERM"),
        ("delete", "absent"),
        ("delete", "--force", "absent"),
        ("exec", "absent", "true"),
        ("create", "--bundle", "{bundle}", "one"),
        ("run", "--bundle", "{bundle}", "one"),
        ("--private-tmp", "--workspace=/work", "--ephemeral-rootfs=size=1m", "create", "--bundle", "{bundle}", "one"),
    ],
    ids=" ".join,
)
def test_the_lean_path_loads_only_what_is_allowed(verb: tuple[str, ...], tmp_path: Path) -> None:
    """The bundle has a valid config and no rootfs: all the modules of create are loaded, and nothing is
    made."""
    from tests.support.config import default_config

    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(default_config()))
    arguments = [word.format(bundle=folder) for word in verb]
    names = loaded(tmp_path, "--root", str(tmp_path / "state"), *arguments)
    foreign = {name for name in names if name.split(".")[0] != "pyrunc"} - ALLOWED
    assert not foreign, f"pyrunc {verb[0]} loads {', '.join(sorted(foreign))}"


def test_what_is_allowed_on_the_lean_path_is_written_in_c() -> None:
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    python = {
        name
        for name in ALLOWED - {"__future__"}
        if (stdlib / f"{name}.py").exists() or (stdlib / name / "__init__.py").exists()
    }
    assert not python


def test_what_a_config_with_every_resource_adds_is_as_lean() -> None:
    """These are imported where a config asks for them, in the middle of create."""
    extra = [
        *PACKAGE.glob("plan/resources/*.py"),
        *PACKAGE.glob("host/cgroups/*.py"),
        PACKAGE / "spec/resource_checks.py",
    ]
    names = [".".join(("pyrunc", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in extra]
    script = f"import os, sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); before = set(sys.modules)\n"
    script += f"import {', '.join(name.removesuffix('.__init__') for name in names)}\n"
    script += "print(*(set(sys.modules) - before))"
    done = subprocess.run([interpreter(), "-I", "-S", "-c", script], capture_output=True, check=True, text=True)
    foreign = {name for name in done.stdout.split() if name.split(".")[0] != "pyrunc"} - ALLOWED
    assert not foreign
