"""config#root: the container's root filesystem."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from conformance import bundle
from conformance.marks import decides

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(None, id="no root", marks=decides("config.root.required")),
        pytest.param({}, id="no path", marks=decides("config.root.path-required")),
        pytest.param({"readonly": True}, id="readonly alone", marks=decides("config.root.path-required")),
        pytest.param({"path": "absent"}, id="absent", marks=decides("config.root.path-missing")),
        pytest.param({"path": "/no/such/directory"}, id="absent, absolute", marks=decides("config.root.path-missing")),
        pytest.param({"path": "config.json"}, id="file", marks=decides("config.root.path-no-directory")),
    ],
)
def test_a_root_that_cannot_be_is_refused(workshop: Workshop, container: Maker, root: dict[str, Any] | None) -> None:
    box = container()
    if root is None:
        del box.config["root"]
    else:
        box.config["root"] = root
    box.create(expect="error")
    box.gone()
    workshop.nothing_left()
    assert not (box.bundle.path / "absent").exists()


@decides("config.root.path-relative")
@pytest.mark.parametrize("path", ["rootfs", "./rootfs", "inner/../rootfs"])
def test_a_relative_path_is_relative_to_the_bundle(workshop: Workshop, runtime: Runtime, path: str) -> None:
    """The directory that create is called from has a rootfs, too."""
    elsewhere = workshop.directory("elsewhere")
    (elsewhere / "inner").mkdir()
    (elsewhere / "rootfs").mkdir()
    box = workshop.container("report", "stat=/mark")
    (box.bundle.path / "inner").mkdir()
    box.config["root"]["path"] = path
    (box.rootfs / "mark").touch()
    box.bundle.write()
    arguments = ("--bundle", box.bundle.path, "--pid-file", box.pid_file, box.id)
    runtime.call("create", *arguments, cwd=elsewhere).succeeded()
    box.exists, box.out = True, runtime.last.out
    box.watch()
    box.start()
    assert box.seen(box.wait()).errno("stat", "/mark") == 0


@decides("config.root.path-absolute")
def test_an_absolute_path_is_taken_as_it_is(workshop: Workshop, container: Maker) -> None:
    box = container()
    place = workshop.folder / "root-of-its-own"
    bundle.fill(place)
    (place / "mark").touch()
    box.config["root"]["path"] = str(place)
    assert box.report("stat=/mark").errno("stat", "/mark") == 0


@decides("config.root.path-is-root")
def test_the_directory_is_the_root(container: Maker) -> None:
    box = container()
    (box.rootfs / "mark").write_text("of the bundle")
    seen = box.report("stat=/", "stat=/..", "read=/mark", "list=/")
    assert seen.file("/mark") == "of the bundle"
    assert set(seen.answer("list", "/")) == set(os.listdir(box.rootfs))
    above, top = seen.answer("stat", "/.."), seen.answer("stat", "/")
    assert (above["device"], above["inode"]) == (top["device"], top["inode"])
    assert top["inode"] == box.rootfs.stat().st_ino


def marked(container: Maker, readonly: bool | None) -> Container:
    """A container with a file in /, and this value of readonly."""
    box = container("report", "create=/made", "mkdir=/made-directory", "remove=/mark", "+", "wait")
    (box.rootfs / "mark").touch()
    if readonly is not None:
        box.config["root"]["readonly"] = readonly
    return box.running()


@decides("config.root.readonly")
def test_a_readonly_root_cannot_be_written(container: Maker) -> None:
    box = marked(container, True)
    seen = box.seen()
    tried = (("create", "/made"), ("mkdir", "/made-directory"), ("remove", "/mark"))
    assert {seen.errno(*each) for each in tried} == {errno.EROFS}
    assert "ro" in seen.mount("/").options


@decides("config.root.readonly-inside")
def test_readonly_holds_inside_only(container: Maker) -> None:
    box = marked(container, True)
    assert box.seen().errno("create", "/made") == errno.EROFS
    for name in ("of-the-host", "mark"):
        (box.rootfs / name).write_text("written")


@decides("config.root.readonly-default")
@pytest.mark.parametrize("readonly", [None, False], ids=["absent", "false"])
def test_a_root_that_is_not_readonly_can_be_written(container: Maker, readonly: bool | None) -> None:
    box = marked(container, readonly)
    assert "rw" in box.seen().mount("/").options
    assert (box.rootfs / "made").is_file()
    assert (box.rootfs / "made-directory").is_dir()
    assert not (box.rootfs / "mark").exists()
