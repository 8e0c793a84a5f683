"""config-linux#masked-paths, config-linux#readonly-paths, config-linux#mount-label."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.container import Container
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop


def with_paths(box: Container, field: str) -> None:
    """A file and a directory that are listed, one of each that are not, and one listed that is absent."""
    etc = box.rootfs / "etc"
    for name in ("listed", "free"):
        (etc / name).write_text("content")
        (etc / f"{name}-directory").mkdir(mode=0o777)
        (etc / f"{name}-directory").chmod(0o777)
        (etc / f"{name}-directory" / "inner").write_text("content")
    config.set_path(box.config, f"linux.{field}", ["/etc/listed", "/etc/listed-directory", "/etc/absent"])


#: What the probe is asked about the listed file and directory, and about those that are not listed.
ASKED = tuple(
    word
    for name in ("listed", "free")
    for path in (f"/etc/{name}", f"/etc/{name}-directory")
    for word in (f"read={path}", f"read={path}/inner", f"list={path}", f"open-write={path}", f"create={path}/made")
)


class Observed:
    """What the probe saw, and what the host can still do meanwhile."""

    def __init__(self, workshop: Workshop, field: str) -> None:
        box = workshop.container("report", *ASKED, "+", "wait")
        with_paths(box, field)
        etc = box.rootfs / "etc"
        self.seen = box.running().seen()
        self.host = [(etc / name).read_text() for name in ("listed", "listed-directory/inner")]
        (etc / "listed").write_text("changed")
        (etc / "listed-directory" / "of-the-host").touch()

    def answer(self, kind: str, path: str) -> object:
        return self.seen.answer(kind, f"/etc/{path}")

    def errno(self, kind: str, path: str) -> int:
        return self.seen.errno(kind, f"/etc/{path}")


def masked(workshop: Workshop) -> Observed:
    return Observed(workshop, "maskedPaths")


def readonly(workshop: Workshop) -> Observed:
    return Observed(workshop, "readonlyPaths")


@decides("config-linux.masked-paths.file")
def test_a_masked_file_cannot_be_read(shared: Shared) -> None:
    found = shared(masked)
    assert found.answer("read", "listed") == "" or found.errno("read", "listed")
    assert found.answer("read", "free") == "content"


@decides("config-linux.masked-paths.directory")
def test_a_masked_directory_cannot_be_read(shared: Shared) -> None:
    found = shared(masked)
    assert found.answer("list", "listed-directory") == [] or found.errno("list", "listed-directory")
    assert found.errno("read", "listed-directory/inner")
    assert found.answer("list", "free-directory") == ["inner"]


@decides("config-linux.readonly-paths.file")
def test_a_readonly_file_cannot_be_written(shared: Shared) -> None:
    found = shared(readonly)
    assert found.errno("open-write", "listed") == errno.EROFS
    assert found.answer("read", "listed") == "content"
    assert found.errno("open-write", "free") == 0


@decides("config-linux.readonly-paths.directory")
def test_a_readonly_directory_cannot_be_written(shared: Shared) -> None:
    found = shared(readonly)
    assert found.errno("create", "listed-directory/made") == errno.EROFS
    assert found.answer("read", "listed-directory/inner") == "content"
    assert found.errno("create", "free-directory/made") == 0


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(masked, id="masked", marks=decides("config-linux.masked-paths.host")),
        pytest.param(readonly, id="readonly", marks=decides("config-linux.readonly-paths.host")),
    ],
)
def test_the_host_still_reads_and_writes(shared: Shared, make: Callable[[Workshop], Observed]) -> None:
    """Writing raises, where it cannot be done."""
    assert shared(make).host == ["content", "content"]


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("maskedPaths", marks=decides("config-linux.masked-paths.relative")),
        pytest.param("readonlyPaths", marks=decides("config-linux.readonly-paths.relative")),
    ],
)
def test_a_relative_path_is_refused(container: Maker, field: str) -> None:
    box = container()
    (box.rootfs / "etc" / "listed").touch()
    config.set_path(box.config, f"linux.{field}", ["etc/listed"])
    box.create(expect="error")
    box.gone()


@decides("config-linux.mount-label.not-available")
@needs("no-selinux")
def test_a_label_that_cannot_be_applied_is_refused(container: Maker) -> None:
    box = container()
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs")
    config.set_path(box.config, "linux.mountLabel", "system_u:object_r:container_file_t:s0:c1,c2")
    box.create(expect="error")
    box.gone()
