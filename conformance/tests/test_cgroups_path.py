"""config-linux#cgroups-path, and cgroups that are not empty or not thawed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import cgroup
from conformance.container import until
from conformance.marks import decides, needs
from conformance.support import limits
from conformance.verdict import Unsupported

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker, Workshop

#: Its hierarchy is the one that these tests look at on v1.
CONTROLLER = "pids"

pytestmark = [needs("root", *([f"controller-{CONTROLLER}"] if cgroup.version() == 1 else []))]


def top(controller: str = CONTROLLER) -> Path:
    """Where the hierarchy is mounted."""
    return cgroup.hierarchies()[controller if cgroup.version() == 1 else ""][0]


def place(box: Container, controller: str = CONTROLLER) -> Path:
    """The directory of the container's cgroup."""
    return cgroup.of(box.pid)[controller if cgroup.version() == 1 else ""]


def in_cgroup(workshop: Workshop, path: str) -> Container:
    """A container that is yet to be created, with that path; what stays of the path goes with the test."""
    box = workshop.container()
    box.config["linux"]["cgroupsPath"] = path
    for folder in {*(mounted for mounted, _ in cgroup.hierarchies().values()), *cgroup.of().values()}:
        workshop.held.callback(cgroup.remove, folder / path.strip("/").split("/")[0])
    workshop.held.callback(sweep, box, workshop.token)
    return box


def sweep(box: Container, token: str) -> None:
    """What stays of a path that begins at a place of the runtime's choice."""
    for path in box.cgroups:
        for each in (path, *path.parents):
            if token in each.name:
                cgroup.remove(each)


def made(workshop: Workshop, controller: str = CONTROLLER) -> Path:
    """A new cgroup at the top of the hierarchy, which goes with the test."""
    group = top(controller) / f"{workshop.token}-there"
    group.mkdir()
    workshop.held.callback(cgroup.remove, group)
    return group


@decides("config-linux.cgroups-path.absolute", "config-linux.cgroups-path.created")
def test_an_absolute_path_begins_at_the_mount_point_and_is_made(workshop: Workshop) -> None:
    path = f"{workshop.token}-new/deeper"
    box = in_cgroup(workshop, f"/{path}")
    assert not (top() / path).exists()
    box.create()
    assert place(box) == top() / path


@decides("config-linux.cgroups-path.relative")
def test_a_relative_path_is_refused_or_the_end_of_the_containers(workshop: Workshop) -> None:
    path = f"{workshop.token}-new/deeper"
    box = in_cgroup(workshop, path)
    if box.create(expect="any").status == 0:
        assert place(box).parts[-2:] == tuple(path.split("/"))
    else:
        box.gone()


@pytest.mark.parametrize("form", ["/{}-new/deeper", "{}-new/deeper"], ids=["absolute", "relative"])
@decides("config-linux.cgroups-path.consistent")
def test_the_same_path_is_the_same_place(workshop: Workshop, form: str) -> None:
    places = []
    for _ in range(2):
        box = in_cgroup(workshop, form.format(workshop.token))
        if box.create(expect="any").status:
            raise Unsupported("the runtime does not take this form of a path, as it may")
        places.append(cgroup.own(box.pid))
        box.delete(force=True)
    assert places[0]
    assert places[0] == places[1]


@decides("config-linux.cgroups-path.absent")
def test_a_container_needs_no_path(container: Maker) -> None:
    box = container("exit", "0")
    assert "cgroupsPath" not in box.config["linux"]
    assert box.run() in (0, None)


@pytest.mark.parametrize("form", ["/../../{0}-up", "../{0}-up", "/{0}-a/../../../{0}-up", "/./{0}-up/."])
@decides("config-linux.cgroups-path.invalid")
def test_a_path_with_dots_is_refused_or_leads_to_a_cgroup_below_the_mount_point(workshop: Workshop, form: str) -> None:
    box = in_cgroup(workshop, f"{workshop.token}-up")
    box.config["linux"]["cgroupsPath"] = form.format(workshop.token)
    if box.create(expect="any").status == 0:
        assert top() in place(box).resolve().parents
        assert place(box).name == f"{workshop.token}-up"
    else:
        box.gone()


@decides("config-linux.cgroups-path.existing")
def test_a_cgroup_that_is_there_is_used(workshop: Workshop) -> None:
    group = made(workshop)
    number = group.stat().st_ino
    box = in_cgroup(workshop, f"/{group.name}")
    box.create()
    assert place(box) == group
    assert group.stat().st_ino == number


@decides("config-linux.cgroups-path.without-resources")
def test_without_resources_a_limit_stays(workshop: Workshop) -> None:
    path = limits.existing(workshop, CONTROLLER, {"pids.max": "77"}, {"pids.max": "77"})
    box = in_cgroup(workshop, path)
    assert "resources" not in box.config["linux"]
    box.running()
    assert limits.Files(box.pid).read(CONTROLLER, "pids.max") == "77"


# --- cgroups that are in use -----------------------------------------------------------------------------------------


@decides("config-linux.control-groups.non-empty")
def test_a_cgroup_with_a_process_is_refused_or_shared(workshop: Workshop) -> None:
    """``delete`` may refuse to remove a cgroup in which somebody else is, but leaves that one alone."""
    group = made(workshop)
    with subprocess.Popen([workshop.host_probe(), "wait"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"waiting\n"
            (group / "cgroup.procs").write_text(str(other.pid))
            box = in_cgroup(workshop, f"/{group.name}")
            if box.create(expect="any").status == 0:
                box.start()
                assert place(box) == group
                box.kill("KILL")
                box.until_stopped()
                box.delete(expect="any")
            assert other.poll() is None
            assert cgroup.of(other.pid)[CONTROLLER if cgroup.version() == 1 else ""] == group
        finally:
            other.kill()


def thaw(file: Path) -> None:
    if file.exists():
        file.write_text("THAWED" if cgroup.version() == 1 else "0")


@decides("config-linux.control-groups.frozen")
def test_a_frozen_cgroup_is_refused_or_the_container_runs(workshop: Workshop) -> None:
    if cgroup.version() == 1 and "freezer" not in cgroup.hierarchies():
        pytest.skip("needs the freezer: there is no hierarchy of it")
    group = made(workshop, "freezer")
    file, text = ("freezer.state", "FROZEN") if cgroup.version() == 1 else ("cgroup.freeze", "1")
    (group / file).write_text(text)
    workshop.held.callback(thaw, group / file)
    until(lambda: (group / file).read_text().strip() == text, "an empty cgroup should freeze")
    box = in_cgroup(workshop, f"/{group.name}")
    box.config["process"]["args"] = ["/probe", "exit", "0"]
    if box.create(expect="any").status == 0:
        box.start()
        assert box.wait() in (0, None)
