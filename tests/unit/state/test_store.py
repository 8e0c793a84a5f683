"""The directory of a container: claimed once, replaced atomically, removed completely."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import HostError, NoContainer, StateError
from pyrunc.state import store
from pyrunc.state.store import Record, Store, check_id

if TYPE_CHECKING:
    from pathlib import Path


STATE: Any = {
    "ociVersion": "1.3.0", "id": "x", "status": "created", "pid": 2, "start_time": 1, "bundle": "/b",
    "rootfs": "/b/rootfs", "created": "2026-01-02T03:04:05.000000006Z", "annotations": {}, "cgroups": {},
    "hooks": {}, "start_ops": [],
}  # fmt: skip


@pytest.mark.parametrize("id", ["a", "a.b_c-d+e", "0", "A" * 255])
def test_a_good_id_is_taken(id: str) -> None:
    check_id(id)


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "../x", "a b", "ä", "a\n", "A" * 256, "a\0"])
def test_a_bad_id_is_refused(id: str) -> None:
    with pytest.raises(StateError, match=r"invalid container ID format|cannot be empty"):
        check_id(id)


@given(st.text())
def test_no_accepted_id_leaves_its_directory(id: str) -> None:
    try:
        check_id(id)
    except StateError:
        return
    assert os.path.normpath(f"/root/{id}") == f"/root/{id}"


def test_an_id_is_claimed_once(tmp_path: Path) -> None:
    first = Record(str(tmp_path / "root"), "x")
    first.claim()
    with pytest.raises(StateError, match="container with given ID already exists: x"):
        Record(str(tmp_path / "root"), "x").claim()
    first.remove()
    first.close()
    assert Store(str(tmp_path / "root")).ids() == []


def test_the_lock_tells_a_living_creator_from_a_dead_one(tmp_path: Path) -> None:
    creator = Record(str(tmp_path), "x")
    creator.claim()
    other = Record(str(tmp_path), "x")
    assert not other.lock(wait=False)
    creator.close()
    assert other.lock(wait=False)
    other.close()


def test_a_saved_state_is_loaded_back_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    record = Record(str(tmp_path), "x")
    record.claim()
    state = STATE | {"bundle": "/b\udce9", "annotations": {"k": "ü"}}
    record.save(state)
    assert record.load() == state
    assert sorted(os.listdir(record.directory)) == ["lock", "state.json"]
    record.close()


@pytest.mark.parametrize(
    "value",
    [
        *("", "[]", "{}", "null", "7"),
        *(json.dumps(STATE | {name: [[]]}) for name in ("pid", "cgroups", "status", "format")),
        *(json.dumps(STATE | {"pid": pid}) for pid in (-1, 1 << 31, 10**20)),
    ],
)
def test_a_state_that_is_none_is_damaged(tmp_path: Path, value: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/lock").touch()
    (tmp_path / "x/state.json").write_text(value)
    with pytest.raises(StateError, match=r"x: damaged: .*/x/state.json: .* \(use delete --force\)"):
        Record(str(tmp_path), "x").load()


def test_a_state_of_a_newer_format_may_have_other_members(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/lock").touch()
    (tmp_path / "x/state.json").write_text('{"format": 2, "pid": [1]}')
    with pytest.raises(HostError, match=r"state\.json has format 2, and this pyrunc knows 1"):
        Record(str(tmp_path), "x").load()


def test_a_state_in_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x/state.json")
    with pytest.raises(StateError, match="is empty"):
        Record(str(tmp_path), "x").load()


def test_a_directory_in_the_place_of_a_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "x/state.json").mkdir(parents=True)
    with pytest.raises(HostError, match=r"/x/state.json: is a directory"):
        Record(str(tmp_path), "x").load()


def test_a_container_that_does_not_exist_is_said_to_in_runcs_words(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="container does not exist"):
        Store(str(tmp_path)).load("nothing")


def test_an_unwritable_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="not a directory"):
        Record(str(tmp_path / "file"), "x").claim()


def test_a_directory_in_which_somebody_is_at_work_holds_no_container(tmp_path: Path) -> None:
    maker = Record(str(tmp_path), "one")
    maker.claim()
    with pytest.raises(NoContainer):
        Record(str(tmp_path), "one").load()
    maker.close()
    with pytest.raises(NoContainer):  # its maker may be between two calls
        Record(str(tmp_path), "one").load()


@pytest.mark.parametrize("lock", [True, False])
def test_what_has_rested_without_a_state_is_a_wreck(
    lock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "REST_SECONDS", -1)
    record = Record(str(tmp_path), "one")
    record.claim()
    record.close()
    if not lock:
        (tmp_path / "one/lock").unlink()
    with pytest.raises(StateError, match="container is incomplete") as caught:
        Record(str(tmp_path), "one").load()
    assert not isinstance(caught.value, NoContainer)


def test_who_holds_the_lock_knows_that_nobody_else_is_at_work(tmp_path: Path) -> None:
    record = Record(str(tmp_path), "one")
    record.claim()
    with pytest.raises(StateError, match="container is incomplete"):
        record.load()
    record.close()
