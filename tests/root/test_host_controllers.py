"""cgroup2 gives controllers to what is below, unless processes or threads are in the way; then the error explains it.

With hugetlb, the one controller that a machine with cgroup v1 may leave to cgroup2.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import OpFailed
from pyrunc.host import execute
from pyrunc.host.cgroups.controllers import obtainable
from pyrunc.plan.ops import Op
from tests.conftest import token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "cgroup2-bare")

FIELD = "linux.resources.hugepageLimits[0]"


@pytest.fixture
def place(with_hugetlb: Path) -> Iterator[Path]:
    """A cgroup below the top; it goes with all that the test made in it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    path = with_hugetlb / f"pyrunc-test-{token()}-{worker}-controllers"
    path.mkdir()
    yield path
    for folder, _, _ in os.walk(path, topdown=False):
        os.rmdir(folder)


@pytest.fixture
def resident(place: Path) -> Iterator[Path]:
    """A process is in the cgroup."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        (place / "cgroup.procs").write_text(str(process.pid))
        yield place
        process.kill()


def enable(path: Path, top: Path, needed: tuple[str, ...] = ("hugetlb",), also: tuple[str, ...] = ()) -> None:
    fields = tuple(FIELD for _ in needed)
    op = Op("cgroup_enable", (str(path), str(top), needed, fields, also), "linux.resources")
    execute.execute(op, execute.Context(lambda: "{}", "/", print))


def given(path: Path) -> list[str]:
    """What the cgroup gives to those below it."""
    return (path / "cgroup.subtree_control").read_text().split()


def test_every_cgroup_above_passes_the_controller_on_and_no_other_is_touched(with_hugetlb: Path, place: Path) -> None:
    leaf, foreign = place / "one/two/leaf", place / "one/foreign"
    leaf.mkdir(parents=True)
    foreign.mkdir()
    enable(leaf, with_hugetlb, also=("memory", "no-such-controller"))
    assert [given(path) for path in (place, place / "one", place / "one/two")] == [["hugetlb"]] * 3
    assert given(leaf) == given(foreign) == given(place / "one/foreign") == []
    assert (leaf / "hugetlb.2MB.max").exists()


def test_what_is_given_already_is_not_written_again(with_hugetlb: Path, resident: Path) -> None:
    """The kernel would refuse it: the cgroup has a process by now."""
    enable(resident, with_hugetlb)
    with pytest.raises(OSError, match="busy"):
        (resident / "cgroup.subtree_control").write_text("+hugetlb")
    enable(resident, with_hugetlb)
    enable(resident / "leaf", with_hugetlb, needed=(), also=("no-such-controller",))


def test_processes_that_are_in_the_way_are_told(with_hugetlb: Path, resident: Path) -> None:
    leaf = resident / "leaf"
    leaf.mkdir()
    with pytest.raises(OpFailed) as caught:
        enable(leaf, with_hugetlb)
    assert str(caught.value) == (
        f'{FIELD}: write "+hugetlb" to {resident}/cgroup.subtree_control: device or resource busy (processes are in'
        f" {resident} itself, which keeps it from giving hugetlb to a container below it: move them to a cgroup of"
        " their own, or set linux.cgroupsPath to another place)"
    )
    # Nobody has asked for it: the cgroup does without.
    enable(leaf, with_hugetlb, needed=(), also=("hugetlb",))
    assert given(resident) == []


@pytest.mark.parametrize("kind", ["threaded", "domain invalid", "domain threaded"])
def test_threaded_cgroups_are_told(kind: str, with_hugetlb: Path, place: Path) -> None:
    (place / "thread/leaf").mkdir(parents=True)
    (place / "thread/cgroup.type").write_text("threaded")
    above, words = {
        "threaded": (place / "thread", "a threaded cgroup"),
        "domain invalid": (place / "other", "below a threaded cgroup, or below one with processes in it"),
        "domain threaded": (place, "the top of threaded cgroups"),
    }[kind]
    (above / "leaf").mkdir(parents=True, exist_ok=True)
    assert (above / "cgroup.type").read_text() == f"{kind}\n"
    with pytest.raises(OpFailed) as caught:
        enable(above / "leaf", with_hugetlb)
    message = str(caught.value)
    if kind == "domain threaded":
        assert message.endswith(f"operation not supported ({above} is {words}, where hugetlb cannot be used)")
    else:
        # The top of the threaded cgroups refuses to pass it on to them.
        assert f"({place} is the top of threaded cgroups" in message


def test_a_controller_that_the_host_does_not_have_is_told(with_hugetlb: Path, place: Path) -> None:
    with pytest.raises(OpFailed) as caught:
        enable(place, with_hugetlb, needed=("no-such-controller",))
    why = "the kernel lacks it, or a hierarchy of cgroup v1 uses it"
    assert str(caught.value) == f"{FIELD}: cgroup2 has no no-such-controller controller ({why})"


def test_a_file_that_is_absent_for_want_of_the_controller_is_told(place: Path) -> None:
    leaf = place / "leaf"
    leaf.mkdir()
    op = Op("cgroup_write", (f"{leaf}/hugetlb.2MB.max", "0"), FIELD)
    with pytest.raises(OpFailed) as caught:
        execute.execute(op, execute.Context(lambda: "{}", "/", print))
    assert str(caught.value).endswith("no such file or directory (the cgroup does not have the hugetlb controller)")


def test_a_container_in_a_threaded_cgroup_is_refused_with_words(place: Path, box: Box) -> None:
    (place / "thread").mkdir()
    (place / "thread/cgroup.type").write_text("threaded")
    box.bundle.edit(linux__cgroupsPath=f"/{place.name}/thread/{box.id}").args("/bin/sleep", "1")
    box.create(status=1)
    assert "the container's cgroup is threaded, or below a threaded one (EOPNOTSUPP)" in box.err.read_text()
    assert "linux.cgroupsPath" in box.err.read_text()
    leave(place, box)


def test_a_container_in_a_cgroup_that_gives_controllers_away_is_refused_with_words(
    with_hugetlb: Path, place: Path, box: Box
) -> None:
    (place / "inner/below").mkdir(parents=True)
    enable(place / "inner/below", with_hugetlb)
    box.bundle.edit(linux__cgroupsPath=f"/{place.name}/inner").args("/bin/sleep", "1")
    box.create(status=1)
    assert "the container's cgroup gives controllers to others below it, and so takes no process" in box.err.read_text()
    leave(place, box)


def leave(place: Path, box: Box) -> None:
    """Nothing of the container is left; where v1 had no such cgroups before, it has none now."""
    assert box.cgroups() == []
    assert [path for path in place.parent.parent.glob(f"*/{place.name}") if path != place] == []


@pytest.mark.needs("unshare")
def test_a_container_with_a_writable_cgroup2_owns_what_a_delegate_may_write(
    run_command: Callable[..., object], box: Box
) -> None:
    """The kernel lists the files; limits stay with the host."""
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    box.bundle.edit(linux__uidMappings=mapping, linux__gidMappings=mapping, linux__cgroupsPath=f"/{box.id}")
    box.bundle.namespace("user").namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "nodev")
    look = (
        "stat -c '%n %u' . cgroup.procs cgroup.subtree_control cgroup.max.depth; mkdir below && echo made; rmdir below"
    )
    box.bundle.args("sh", "-c", f"cd /sys/fs/cgroup && {look}")
    for path in (box.bundle.path, *box.bundle.path.parents):
        if path.name.startswith(("pytest-", "popen-", "test_", "bundle")):
            path.chmod(0o755)
    run_command("chown", "-hR", "100000:100000", box.bundle.rootfs)
    view = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
    script = f"{view} && exec {box.runtime} --root {box.root} run --bundle {box.bundle.path} {box.id}"
    result = run_command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    assert result.stdout.splitlines() == [  # type: ignore[attr-defined]
        ". 0",
        "cgroup.procs 0",
        "cgroup.subtree_control 0",
        "cgroup.max.depth 65534",
        "made",
    ]


def test_what_could_be_given_is_told_without_a_write(with_hugetlb: Path, place: Path) -> None:
    top = str(with_hugetlb)
    assert obtainable(str(place), top, "hugetlb")
    assert not obtainable(str(place), top, "absent")
    assert not obtainable(str(place / "absent"), top, "hugetlb")
    with subprocess.Popen(["sleep", "1000"]) as process:
        (place / "cgroup.procs").write_text(str(process.pid))
        assert not obtainable(str(place), top, "hugetlb")
        process.kill()
    assert given(place) == []
