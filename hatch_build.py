"""The build hook: compiles the native programs and the validator, makes manual pages and completions, and places them.

Only what concerns packaging lives here: which file goes where, and the wheel's tag.  How to compile is
known to ``pyrunc/native/build.py`` and ``pyrunc/spec/compile_schemas.py``, how to write manual pages and completions to
``pyrunc/cli/manual`` and ``pyrunc/cli/completion``.

A wheel gets everything from a temporary directory, so that building one never disturbs a checkout that is
installed editable.  An editable install gets the helper and the validator in the source tree (both are
ignored by git), and a launcher that has the path of the source tree compiled in.
"""

from __future__ import annotations

import atexit
import compileall
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType

# The native programs are static and use no libc at all, so that they run beside any of them.  A plain linux_*
# tag would say the same to pip, but no index accepts it; these two together are accepted by every pip on
# Linux.
PLATFORMS = ("manylinux_2_17", "musllinux_1_1")
MACHINES = ("x86_64", "aarch64")

#: Where each shell looks for the completions of programs, below the prefix.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/pyrunc",
    "zsh": "share/zsh/site-functions/_pyrunc",
    "fish": "share/fish/vendor_completions.d/pyrunc.fish",
}


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg, unused-ignore]
    """Adds pyrunc-init, the launcher, the compiled validator, the schemas, manual pages and completions to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        machine = platform.machine()
        if sys.platform != "linux" or machine not in MACHINES:
            self.app.abort(f"pyrunc needs Linux on {' or '.join(MACHINES)}; this is {sys.platform} on {machine}")
        root = Path(self.root)
        editable = version == "editable"
        native = load(root / "pyrunc/native/build.py")
        schemas = load(root / "pyrunc/spec/compile_schemas.py")
        image = load(root / "pyrunc/cli/image.py")
        self.scratch = Path(tempfile.mkdtemp(prefix="pyrunc-build-"))
        atexit.register(shutil.rmtree, self.scratch, ignore_errors=True)  # finalize does not see a failed build
        try:
            native.build(self.scratch, source=root if editable else None)
        except native.BuildError as error:
            self.app.abort(str(error))
        schemas.compile_all(root / "schemas", self.scratch / "_compiled.py")
        build_data["shared_scripts"][str(self.scratch / "pyrunc")] = "pyrunc"
        build_data["shared_data"].update(shared(root, self.scratch))
        if editable:
            install(self.scratch / "pyrunc-init", root / "pyrunc/native/pyrunc-init")
            install(self.scratch / "_compiled.py", root / "pyrunc/spec/_compiled.py")
            # Nobody compiles an editable install afterwards, and the launcher runs for users who may not
            # write here.
            compileall.compile_dir(root / "pyrunc", quiet=1)
            build_image(root / "pyrunc", root / "pyrunc" / image.name(), "--checked")
            return
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + ".".join(f"{name}_{machine}" for name in PLATFORMS)
        build_data["force_include"].update(
            {
                str(self.scratch / "pyrunc-init"): "pyrunc/native/pyrunc-init",
                str(self.scratch / "_compiled.py"): "pyrunc/spec/_compiled.py",
                str(root / "schemas"): "pyrunc/schemas",
                str(root / "docs/errors.md"): "pyrunc/errors.md",
            }
        )
        # The image serves the interpreter that builds it, which for `pip install .` is the one that it installs for.
        package = self.scratch / "image/pyrunc"
        shutil.copytree(root / "pyrunc", package, ignore=shutil.ignore_patterns("__pycache__", "image.cpython-*"))
        shutil.copy2(self.scratch / "_compiled.py", package / "spec/_compiled.py")
        build_image(package, self.scratch / "image/file")
        build_data["force_include"][str(self.scratch / "image/file")] = "pyrunc/" + image.name()


def load(path: Path) -> ModuleType:
    """Import a build script by its path: pyrunc itself must not be importable while it is being built."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def shared(root: Path, scratch: Path) -> dict[str, str]:
    """Manual pages and completions, which are made from the table of commands: each file, and where it goes."""
    places: dict[str, str] = {}
    for module, directory in (("manual", "man"), ("completion", "completion")):
        target = scratch / directory
        target.mkdir()
        # Without site: only what a build has may be needed.
        subprocess.run([sys.executable, "-S", "-m", f"pyrunc.cli.{module}", target], check=True, cwd=root)
        places.update((str(page), f"share/man/man8/{page.name}") for page in target.glob("*.8"))
    places.update((str(scratch / "completion" / shell), place) for shell, place in COMPLETIONS.items())
    return places


def build_image(package: Path, target: Path, *options: str) -> None:
    """In an interpreter of its own: tables of columns, which only tracebacks use, are left out by an option of it."""
    script = package / "cli/image.py"
    command: list[str | Path] = [sys.executable, "-I", "-S", "-X", "no_debug_ranges"]
    command += [script, package, target, *options]
    subprocess.run(command, check=True)


def install(source: Path, target: Path) -> None:
    """Replace in one step, so that a runtime that starts now has the old file or the new one."""
    beside = target.with_name(f".{target.name}.new")
    shutil.copy2(source, beside)
    beside.rename(target)
