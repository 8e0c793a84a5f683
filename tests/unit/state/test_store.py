"""The directory of a container: claimed once, replaced atomically, removed completely."""

from __future__ import annotations

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
    state: Any = {"status": "created", "bundle": "/b\udce9", "annotations": {"k": "ü"}}
    record.save(state)
    assert record.load() == state
    assert sorted(os.listdir(record.directory)) == ["lock", "state.json"]
    record.close()


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
