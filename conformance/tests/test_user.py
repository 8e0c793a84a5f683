"""config#posix-platform-user: ids, groups and umask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.config import ABSENT
from conformance.marks import decides, needs
from conformance.support import caller
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.config import Config
    from conformance.runtime import Runtime
    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop

#: Of the user namespaces here: the first host id of 100.
FIRST = 200_000


def seen_by(container: Maker, user: dict[str, Any]) -> Seen:
    box = container("report")
    box.config["process"]["user"] = user
    box.run()
    return box.seen()


@needs("root")
@pytest.mark.parametrize(
    ("field", "id"),
    [
        pytest.param("Uid", 1234, marks=decides("config.posix-platform-user.uid")),
        pytest.param("Gid", 70_000, marks=decides("config.posix-platform-user.gid")),
    ],
)
def test_every_id_of_the_process_is_the_configured_one(container: Maker, field: str, id: int) -> None:
    """Real, effective, saved, and of the file system."""
    seen = seen_by(container, {"uid": 1234, "gid": 70_000})
    assert seen.status(field).split() == [str(id)] * 4


@needs("root")
@decides(*(f"config.posix-platform-user.{name}" for name in ("uid", "gid", "additional-gids")))
def test_ids_have_32_bits(container: Maker) -> None:
    """2^32-1 stands for none (chown(2))."""
    seen = seen_by(container, {"uid": 2**31 + 5, "gid": 2**32 - 2, "additionalGids": [2**31 + 7]})
    assert seen.status("Uid").split() == [str(2**31 + 5)] * 4
    assert seen.status("Gid").split() == [str(2**32 - 2)] * 4
    assert set(seen["groups"]) - {2**32 - 2} == {2**31 + 7}


@needs("root")
@decides("config.posix-platform-user.additional-gids")
@pytest.mark.parametrize("gids", [[], [3, 70_000]], ids=["none", "some"])
def test_the_groups_are_the_configured_ones_and_none_of_the_caller_s(
    container: Maker, runtime: Runtime, gids: list[int]
) -> None:
    """A runtime may count the group of the process among them, as getgroups(2) leaves open."""
    runtime.prefix = caller.command(groups="21,22")
    seen = seen_by(container, {"uid": 0, "gid": 5, "additionalGids": gids})
    assert set(seen["groups"]) - {5} == set(gids)


@decides("config.posix-platform-user.umask")
@pytest.mark.parametrize("umask", [0, 0o027, 0o777], ids=oct)
def test_the_umask_is_the_configured_one(container: Maker, umask: int) -> None:
    assert seen_by(container, {"uid": 0, "gid": 0, "umask": umask})["umask"] == umask


@decides("config.posix-platform-user.umask-unset")
def test_without_umask_it_is_the_caller_s(container: Maker, runtime: Runtime) -> None:
    runtime.prefix = caller.command(umask="37")
    assert seen_by(container, {"uid": 0, "gid": 0})["umask"] == 0o37


def mapped(workshop: Workshop, **user: Any) -> Config:
    """With a user namespace of 100 ids."""
    made = config.user_namespace(workshop.config("report", "+", "wait"), FIRST, 100)
    made["process"]["user"].update(user)
    return made


@needs("root", "userns")
@pytest.mark.parametrize(
    ("field", "id"),
    [
        pytest.param("Uid", 7, marks=decides("config.posix-platform-user.uid-container-namespace")),
        pytest.param("Gid", 8, marks=decides("config.posix-platform-user.gid-container-namespace")),
        pytest.param("Groups", 9, marks=decides("config.posix-platform-user.additional-gids-container-namespace")),
    ],
)
def test_ids_are_those_of_the_user_namespace(workshop: Workshop, field: str, id: int) -> None:
    box = workshop.container(config=mapped(workshop, uid=7, gid=8, additionalGids=[9])).running()
    outside = {
        name: words.split() for name, _, words in (
            line.partition(":") for line in Path(f"/proc/{box.pid}/status").read_text().splitlines()
        )
    }  # fmt: skip
    inside = box.seen().status(field).split()
    if field == "Groups":
        assert set(inside) - {"8"} == {"9"}
        assert set(outside[field]) - {str(FIRST + 8)} == {str(FIRST + 9)}
    else:
        assert inside == [str(id)] * 4
        assert outside[field] == [str(FIRST + id)] * 4


@needs("root", "userns")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("uid", 100, marks=decides("config.posix-platform-user.uid-unmapped")),
        pytest.param("gid", 100, marks=decides("config.posix-platform-user.gid-unmapped")),
        pytest.param("additionalGids", [100], marks=decides("config.posix-platform-user.additional-gids-unmapped")),
    ],
)
def test_an_id_that_is_not_mapped_is_refused(workshop: Workshop, name: str, value: object) -> None:
    assert accepted(workshop, {f"process.user.{name}": value}, base=mapped(workshop)) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("uid", marks=decides("config.posix-platform-user.uid-required")),
        pytest.param("gid", marks=decides("config.posix-platform-user.gid-required")),
    ],
)
def test_a_user_has_both_ids(workshop: Workshop, name: str) -> None:
    assert accepted(workshop, {f"process.user.{name}": ABSENT}) == []
