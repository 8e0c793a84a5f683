"""What making and driving a machine promises, as far as no machine is needed for that."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.vm import cache, project
from tests.vm.machine import Machine
from tests.vm.programs import VmError, call


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_an_artefact_is_made_once_and_old_ones_go() -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").touch()

    paths = [cache.obtain("kind", name, make) for name in ("a", "a", "b", "c", "d", "d")]
    assert len(made) == 4
    assert [path.exists() for path in paths] == [False, False, True, True, True, True]
    assert [path.name for path in cache.folder().iterdir() if path.is_dir()].count("kind-d") == 1


def test_what_is_half_made_is_no_artefact_and_goes() -> None:
    def fail(folder: Path) -> None:
        (folder / "file").touch()
        raise VmError("no")

    (cache.folder() / ".kind-killed").mkdir()
    with pytest.raises(VmError):
        cache.obtain("kind", "a", fail)
    assert [path.name for path in cache.folder().iterdir()] == ["kind.lock"]


def _make_slowly(folder: Path) -> None:
    with (cache.folder() / "calls").open("a") as calls:
        calls.write("made\n")


def _obtain(_: int) -> str:
    return str(cache.obtain("kind", "a", _make_slowly))


def test_of_several_callers_one_makes() -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_obtain, range(8)))) == 1
    assert (cache.folder() / "calls").read_text() == "made\n"


def test_a_program_that_fails_or_hangs_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(VmError, match=r"sh failed with 3\nwords$"):
        call("sh", "-c", "echo words; exit 3", log=log)
    with pytest.raises(VmError, match=r"was not done after 0.2 s\nwords$"):
        call("sh", "-c", "sleep 1000 & wait", log=log, timeout=0.2)
    with pytest.raises(VmError, match="no-such-program is not installed"):
        call("no-such-program", log=log)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(VmError, match="is no name for a machine"):
        Machine(name)


def test_a_layout_that_a_release_does_not_have_is_refused() -> None:
    with pytest.raises(VmError, match="Debian trixie has no layout hybrid: unified alone"):
        Machine("none").up("hybrid", "trixie")
    assert list(cache.folder().iterdir()) == []


def test_a_machine_that_is_not_there_has_no_commands() -> None:
    with pytest.raises(VmError, match=r"there is no machine nobody: \./dev vm up --name nobody"):
        Machine("nobody").run("true")


@pytest.mark.needs("git")
def test_the_project_is_what_git_tracks_and_not_what_it_ignores() -> None:
    names = project.files()
    assert "dev" in names
    assert "tests/vm/test_machine.py" in names
    assert not [name for name in names if name.startswith((".venv", ".cache")) or "__pycache__" in name]
