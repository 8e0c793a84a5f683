"""config-linux#devices: nodes of the container."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from conformance.config import without_mount
from conformance.marks import decides, needs
from conformance.support.namespaces import map_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.container import Container
    from conformance.workshop import Maker

pytestmark = [needs("root", "cap_mknod")]


@pytest.fixture
def caller_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def device(path: str, type: str = "c", numbers: tuple[int, int] | None = (1, 3), **more: Any) -> dict[str, Any]:
    major = dict(zip(("major", "minor"), numbers, strict=True)) if numbers else {}
    return {"path": path, "type": type, **major, **more}


def looked_at(box: Container, *devices: dict[str, Any]) -> list[dict[str, Any]]:
    """What lstat says of each path in the container."""
    box.config["linux"]["devices"] = list(devices)
    paths = [each["path"] for each in devices]
    seen = box.report(*(f"stat={path}" for path in paths))
    return [seen.answer("stat", path) for path in paths]


@pytest.mark.parametrize(
    ("type", "numbers", "kind"),
    [
        pytest.param("c", (1, 5), "char", marks=decides("config-linux.devices.type-c")),
        pytest.param("u", (1, 5), "char", marks=decides("config-linux.devices.type-u")),
        pytest.param("b", (7, 200), "block", marks=decides("config-linux.devices.type-b")),
        pytest.param("p", None, "fifo", marks=decides("config-linux.devices.type-p")),
    ],
    ids="cubp",
)
def test_a_device_is_there(container: Maker, type: str, numbers: tuple[int, int] | None, kind: str) -> None:
    box = container()
    box.config["linux"]["devices"] = [device("/dev/conformance", type, numbers)]
    seen = box.report("stat=/dev/conformance", *(["peek=/dev/conformance"] if kind == "char" else []))
    found = seen.answer("stat", "/dev/conformance")
    assert found.get("type") == kind
    if numbers:
        assert (found["major"], found["minor"]) == numbers
    if kind == "char":
        assert seen.answer("peek", "/dev/conformance") == [0] * 8


@decides("config-linux.devices.path-anywhere")
def test_a_device_can_be_outside_of_dev(container: Maker) -> None:
    (found,) = looked_at(container(), device("/data/deep/null"))
    assert (found.get("type"), found.get("major"), found.get("minor")) == ("char", 1, 3)


@decides("config-linux.devices.numbers-of-a-fifo")
def test_a_fifo_needs_no_numbers(container: Maker) -> None:
    (found,) = looked_at(container(), device("/dev/fifo", "p", None))
    assert found.get("type") == "fifo"


@decides("config-linux.devices.file-mode")
def test_filemode_is_the_mode(container: Maker, caller_umask: None) -> None:
    wanted = {f"/dev/mode-{mode:o}": mode for mode in (0o666, 0o600, 0o640, 0)}
    found = looked_at(container(), *(device(path, fileMode=mode) for path, mode in wanted.items()))
    assert dict(zip(wanted, (each.get("mode") for each in found), strict=True)) == wanted


@decides("config-linux.devices.uid", "config-linux.devices.gid")
def test_uid_and_gid_own_the_node(container: Maker) -> None:
    (found,) = looked_at(container(), device("/dev/owned", uid=1234, gid=4321))
    assert (found.get("uid"), found.get("gid")) == (1234, 4321)


@decides("config-linux.devices.ids-container-namespace")
@needs("userns")
def test_uid_and_gid_are_those_of_the_containers_user_namespace(container: Maker) -> None:
    """Of a FIFO, which can be made in a user namespace."""
    box = container()
    map_ids(box)
    (found,) = looked_at(box, device("/dev/owned", "p", None, uid=12, gid=21))
    assert (found.get("uid"), found.get("gid")) == (12, 21)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"type": None}, id="no-type", marks=decides("config-linux.devices.type-required")),
        pytest.param({"path": None}, id="no-path", marks=decides("config-linux.devices.path-required")),
        *(
            pytest.param({"type": type}, id=f"type-{type}", marks=decides("config-linux.devices.type-unknown"))
            for type in ("x", "cb", "")
        ),
        *(
            pytest.param(
                {"type": type, which: None}, id=f"{type}-no-{which}",
                marks=decides("config-linux.devices.numbers-required"),
            )
            for type in "cbu" for which in ("major", "minor")
        ),
    ],
)  # fmt: skip
def test_a_device_that_is_not_complete_is_refused(container: Maker, wrong: dict[str, str | None]) -> None:
    box = container()
    wanted = {**device("/dev/conformance"), **wrong}
    box.config["linux"]["devices"] = [{key: value for key, value in wanted.items() if value is not None}]
    box.create(expect="error")
    box.gone()


@decides("config-linux.devices.path-conflict")
@pytest.mark.parametrize("what", ["file", "directory", "other-numbers", "fifo"])
def test_a_path_that_is_something_else_is_refused(container: Maker, what: str) -> None:
    box = container()
    without_mount(box.config, "/dev")
    place = box.rootfs / "dev" / "conformance"
    if what == "file":
        place.write_text("")
    elif what == "directory":
        place.mkdir()
    elif what == "fifo":
        os.mkfifo(place)
    else:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    box.config["linux"]["devices"] = [device("/dev/conformance")]
    box.create(expect="error")
    box.gone()


@decides("config-linux.devices.path-existing")
def test_a_device_that_is_there_already_is_no_error(container: Maker) -> None:
    box = container()
    without_mount(box.config, "/dev")
    os.mknod(box.rootfs / "dev" / "conformance", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (found,) = looked_at(box, device("/dev/conformance"))
    assert (found.get("type"), found.get("major"), found.get("minor")) == ("char", 1, 3)
