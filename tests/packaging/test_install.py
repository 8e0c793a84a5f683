"""A wheel and an editable install: what is in them, their tag, and that the command works from each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.cli.manual import page
from tests.support import programs
from tests.support.command import Result, run

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(__file__).resolve().parents[2]
LIMIT = 128 * 1024


def new_environment(folder: Path, *install: str | Path) -> Path:
    """A virtual environment with ``install``, and links to the libraries of this one; returns its
    bin/pyrunc."""
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    run(base, "-I", "-m", "venv", "--without-pip", folder, timeout=120)
    (site,) = folder.glob("lib/python3*/site-packages")
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "pyrunc" not in entry.name:
            (site / entry.name).symlink_to(entry)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin/python",
        "install",
        *options,
        *install,
        timeout=180,
    )
    return folder / "bin/pyrunc"


def call(pyrunc: Path, *arguments: str, env: Mapping[str, str] | None = None, status: int | None = 0) -> Result:
    """As an engine calls it: an empty environment."""
    return run(pyrunc, *arguments, env=env or {}, status=status)


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_is_for_any_libc_of_this_machine_and_any_python(wheel: Path) -> None:
    machine = os.uname().machine
    assert wheel.name.endswith(f"-py3-none-manylinux_2_17_{machine}.musllinux_1_1_{machine}.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith(".dist-info/WHEEL"))
        metadata = archive.read(name).decode()
    assert "Root-Is-Purelib: false" in metadata
    assert f"Tag: py3-none-manylinux_2_17_{machine}\n" in metadata
    assert f"Tag: py3-none-musllinux_1_1_{machine}\n" in metadata


def test_the_wheel_has_what_runs_and_nothing_that_builds(wheel: Path) -> None:
    found = names(wheel)
    wanted = {
        "pyrunc/__main__.py",
        "pyrunc/native/pyrunc-init",
        "pyrunc/spec/_compiled.py",
        "pyrunc/schemas/config.json",
        "pyrunc/errors.md",
        "conformance/__main__.py",
        "conformance/probe/main.c",
        "conformance/pytest.ini",
        "conformance/report/page.css",
        "conformance/report/page.js",
        "conformance/statements/config.toml",
        "conformance/tests/test_state.py",
    }
    assert wanted <= found
    assert {name for name in found if ".data/scripts/" in name} == {
        next(name for name in found if name.endswith(".data/scripts/pyrunc"))
    }
    extra = {
        name
        for name in found
        if (name.endswith((".c", ".h", ".pyc")) and not name.startswith("conformance/probe/"))
        or "/build.py" in name
        or "/manual/" in name
        or name.startswith(("tests", "bundles"))
    }
    assert not extra


def test_the_native_programs_are_static_stripped_and_small(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(("pyrunc-init", "scripts/pyrunc")):
                path = Path(archive.extract(name, tmp_path))
                assert programs.is_static(path)
                assert path.stat().st_size <= LIMIT
                assert b".symtab" not in path.read_bytes()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/pyrunc of an environment that the wheel is installed in."""
    return new_environment(tmp_path_factory.mktemp("installed") / "venv", wheel)


def test_an_installed_wheel_works_with_an_empty_environment(installed: Path) -> None:
    pyrunc = installed
    assert pyrunc.is_file()
    assert not pyrunc.is_symlink()
    assert pyrunc.read_bytes()[:4] == b"\x7fELF"
    (package,) = pyrunc.parents[1].glob("lib/python3*/site-packages/pyrunc")
    assert os.access(package / "native/pyrunc-init", os.X_OK)
    assert list((package / "spec/__pycache__").glob("_compiled.*.pyc")), "bytecode is compiled on install"
    assert call(pyrunc, "state", "absent", status=1).stderr == "pyrunc: absent: container does not exist\n"
    assert call(pyrunc, "--version").stdout.startswith("pyrunc version ")
    assert "create" in call(pyrunc, "--help").stdout


def test_an_editable_install_works_and_runs_the_source_tree(checkout: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(checkout, tree)
    pyrunc = new_environment(tmp_path / "venv", "--editable", tree)
    assert pyrunc.read_bytes()[:4] == b"\x7fELF"
    assert call(pyrunc, "--version").stdout.startswith("pyrunc version ")
    assert list((tree / "pyrunc/spec/__pycache__").glob("_compiled.*.pyc")), "bytecode is compiled on install"
    edited = "import posix\ndef main(words):\n    posix.write(1, b'the source tree')\n    return 0\n"
    (tree / "pyrunc/cli/lean.py").write_text(edited)
    assert call(pyrunc, "state", "absent").stdout == "the source tree"


def test_manual_pages_and_completions_are_where_programs_look_for_them(installed: Path) -> None:
    share = installed.parents[1] / "share"
    assert {path.name: path.read_text() for path in (share / "man/man8").iterdir()} == page.pages()
    for shell, place in {
        "bash": "bash-completion/completions/pyrunc",
        "zsh": "zsh/site-functions/_pyrunc",
        "fish": "fish/vendor_completions.d/pyrunc.fish",
    }.items():
        assert (share / place).read_text() == call(installed, "completion", shell).stdout
    assert call(installed, "explain", "no-such-container").stdout.startswith("no-such-container\n")


@pytest.mark.needs("man")
def test_man_finds_the_pages_of_an_installation_on_the_path(installed: Path) -> None:
    where = {"PATH": f"{installed.parent}:/usr/bin:/bin"}
    for name in ("pyrunc", "pyrunc-create"):
        assert run("man", "-w", name, env=where).stdout == f"{installed.parents[1]}/share/man/man8/{name}.8\n"
    assert "pyrunc-create" in run("man", "pyrunc-create", env={**where, "MANPAGER": "cat", "MANWIDTH": "80"}).stdout


@pytest.mark.needs("root", "static")
def test_an_installed_wheel_runs_a_container(installed: Path, tmp_path: Path, root: Path, container_id: str) -> None:
    run(
        sys.executable,
        SOURCE / "bundles/rootfs.py",
        SOURCE / "bundles/minimal",
        "--output",
        tmp_path / "minimal",
    )
    call(installed, "--root", str(root), "run", "--bundle", str(tmp_path / "minimal"), container_id)


def test_a_missing_compiler_is_named_with_what_to_install(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    outcome = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, checkout],
        env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert outcome.returncode != 0
    assert "pyrunc needs a C compiler" in outcome.stdout + outcome.stderr
    assert "apt-get install gcc" in outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_the_version_is_the_same_everywhere(pyrunc: Path, wheel: Path) -> None:
    import pyrunc as package

    assert wheel.name.startswith(f"pyrunc-{package.__version__}-")
    assert call(pyrunc, "--version").stdout.split()[2] == package.__version__
