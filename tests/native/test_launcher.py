"""The launcher finds interpreter and package from where it lies, with nothing from its environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

MAIN = """\
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "executable": sys.executable, "called": sys._xoptions.get("pyrunc_called"),
    "isolated": sys.flags.isolated, "no_site": sys.flags.no_site, "utf8": sys.flags.utf8_mode,
    "environ": open("/proc/self/environ").read(),
    "stdio": [os.readlink(f"/proc/self/fd/{n}") for n in range(3)] if "stdio" in sys.argv else None}))
"""
VERSION = f"python3.{sys.version_info.minor}"
#: The interpreter itself: neither a link in a virtual environment nor a shim.
BASE = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]


@pytest.fixture
def prefix(ordinary: Path, tmp_path: Path) -> Path:
    path = tmp_path / "prefix"
    (path / "bin").mkdir(parents=True)
    shutil.copy2(ordinary.parent / "pyrunc", path / "bin" / "pyrunc")
    return path


def package(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "__main__.py").write_text(MAIN)
    return directory / "__main__.py"


def installed(prefix: Path, version: str = VERSION, kind: str = "site-packages") -> Path:
    return package(prefix / "lib" / version / kind / "pyrunc")


def environment_of(prefix: Path, home: Path = BASE.parent) -> None:
    (prefix / "pyvenv.cfg").write_text(f"homely = /x\nhome = {home}\ninclude-system-site-packages = false\n")


def launch(prefix: Path, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(prefix / "bin" / "pyrunc"), *args]
    return subprocess.run(command, env=env or {}, capture_output=True, text=True, check=False)


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", ["site-packages", "dist-packages"])
def test_in_a_virtual_environment_the_base_interpreter_runs_the_package(prefix: Path, kind: str) -> None:
    main = installed(prefix, kind=kind)
    environment_of(prefix)
    found = answer(launch(prefix, "--root", "/x y", "état", "", env={"A": "b=c"}))
    assert found["argv"] == [str(main), "--root", "/x y", "état", ""]
    assert (found["isolated"], found["no_site"], found["utf8"]) == (1, 1, 1)
    assert found["environ"] == "A=b=c\0"
    assert Path(str(found["executable"])).resolve() == BASE


def test_an_interpreter_beside_it_is_used(prefix: Path) -> None:
    installed(prefix)
    (prefix / "bin" / VERSION).symlink_to(BASE)
    assert answer(launch(prefix))["executable"] == str(prefix / "bin" / VERSION)


def test_the_newest_version_that_has_the_package_is_taken(prefix: Path) -> None:
    installed(prefix)
    (prefix / "lib" / "python3.99" / "site-packages").mkdir(parents=True)
    installed(prefix, "python3.9")
    installed(prefix, "python3.x")
    (prefix / "bin" / VERSION).symlink_to(BASE)
    assert VERSION in str(answer(launch(prefix))["argv"])


def test_an_editable_install_runs_the_source(builder: ModuleType, prefix: Path, tmp_path: Path) -> None:
    source = tmp_path / 'so "u"rce'
    main = package(source / "pyrunc")
    builder.build(prefix / "bin", source=source)
    (prefix / "lib" / VERSION).mkdir(parents=True)
    environment_of(prefix)
    assert answer(launch(prefix))["argv"] == [str(main)]


def test_a_symlink_to_it_says_by_which_name_it_was_called(prefix: Path, tmp_path: Path) -> None:
    installed(prefix)
    environment_of(prefix)
    (tmp_path / "runc").symlink_to(prefix / "bin" / "pyrunc")
    done = subprocess.run([tmp_path / "runc"], env={}, capture_output=True, text=True, check=False)
    assert answer(done)["called"] == "runc"
    assert answer(launch(prefix))["called"] is None


def test_a_shim_script_is_no_interpreter(prefix: Path) -> None:
    installed(prefix, "python3.98")
    home = prefix / "home"
    home.mkdir()
    for name in ("python3", "python3.98"):
        (home / name).write_text("#!/bin/sh\necho shim\n")
        (home / name).chmod(0o755)
    environment_of(prefix, home)
    done = launch(prefix)
    assert done.returncode == 127
    assert done.stdout == ""
    assert "no Python 3.11 or newer for" in done.stderr


def test_without_the_package_it_says_where_it_looked(prefix: Path) -> None:
    done = launch(prefix)
    assert done.returncode == 127
    assert str(prefix) in done.stderr
    assert "the package pyrunc is neither in" in done.stderr


def test_closed_stdio_becomes_dev_null(prefix: Path, tmp_path: Path) -> None:
    installed(prefix)
    environment_of(prefix)
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_CLOSE, 0), (os.POSIX_SPAWN_CLOSE, 2)]
        path = str(prefix / "bin" / "pyrunc")
        pid = os.posix_spawn(path, [path, "stdio"], {}, file_actions=actions)
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(out)
    assert json.loads((tmp_path / "out").read_text())["stdio"] == [
        "/dev/null",
        str(tmp_path / "out"),
        "/dev/null",
    ]


def test_a_deleted_directory_does_not_matter(prefix: Path, tmp_path: Path) -> None:
    installed(prefix)
    environment_of(prefix)
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [
        "/bin/sh",
        "-c",
        'cd "$1" && rmdir "$1" && exec "$2"',
        "sh",
        str(gone),
        str(prefix / "bin" / "pyrunc"),
    ]
    answer(subprocess.run(command, env={}, capture_output=True, text=True, check=False))


def test_thousands_of_arguments_arrive(prefix: Path) -> None:
    installed(prefix)
    environment_of(prefix)
    args = [str(n) for n in range(20000)]
    found = answer(launch(prefix, *args))
    assert found["argv"][1:] == args  # type: ignore[index]
