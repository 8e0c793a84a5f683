"""The host's facts, from texts of procfs where they can be had, else from this machine."""

from __future__ import annotations

import os

import pytest

from pyrunc.host import probe
from pyrunc.host.cgroups import tree

HYBRID = """\
23 1 8:1 / / rw - ext4 /dev/vda1 rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
35 23 0:29 / /srv/copy rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""
MEMBERSHIP = "2:cpu,cpuacct:/a/b\n1:name=systemd:/user.slice\n0::/unified:with colon\n"


@pytest.mark.parametrize(("own", "expected"), [("/a/b", "/cg/a"), ("/a", "/cg"), ("/", "/cg")])
def test_a_cgroup_beside_that_of_a_process_is_in_the_one_above(own: str, expected: str) -> None:
    assert probe.beside({"mode": "v2", "mounts": {"": "/cg"}, "own": {"": own}}) == expected


def test_controllers_named_hierarchies_and_cgroup2_are_found() -> None:
    facts = probe.cgroup_facts(HYBRID, MEMBERSHIP)
    assert facts == {
        "mode": "hybrid",
        "mounts": {
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "name=systemd": "/sys/fs/cgroup/systemd",
            "": "/sys/fs/cgroup/unified",
        },
        "own": {
            "cpu": "/a/b",
            "cpuacct": "/a/b",
            "name=systemd": "/user.slice",
            "": "/unified:with colon",
        },
    }


@pytest.mark.parametrize(
    ("mounts", "mode"),
    [
        ("", "none"),
        ("9 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "v2"),
        ("9 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "v1"),
    ],
)
def test_the_mode_follows_from_what_is_mounted(mounts: str, mode: str) -> None:
    assert probe.cgroup_facts(mounts, MEMBERSHIP)["mode"] == mode


def test_a_mount_above_hides_what_was_there() -> None:
    hidden = HYBRID + "40 31 0:31 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
    facts = probe.cgroup_facts(hidden, MEMBERSHIP)
    assert facts["mounts"] == {"": "/sys/fs/cgroup", "cpu": "/srv/copy", "cpuacct": "/srv/copy"}


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("/", "/a", "/a"),
        ("/docker/x", "/docker/x", "/"),
        ("/docker/x", "/docker/x/y", "/y"),
        ("/docker/x", "/docker/xy", "/"),
        ("/", "/../other", "/"),
    ],
)
def test_the_own_cgroup_is_told_as_the_mount_shows_it(root: str, path: str, own: str) -> None:
    mounts = f"9 1 0:1 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert probe.cgroup_facts(mounts, f"0::{path}\n")["own"] == {"": own}


def test_octal_escapes_of_mount_points_are_undone() -> None:
    assert probe.unescape(r"/mnt/with\040space\134and\011tab") == "/mnt/with space\\and\ttab"


def test_the_facts_of_this_machine_agree_with_what_python_knows() -> None:
    facts = probe.facts()
    assert (facts["uid"], facts["gid"]) == (os.geteuid(), os.getegid())
    assert facts["machine"] == os.uname().machine
    assert facts["kernel"] >= (4, 0)
    assert facts["caps"] & ~facts["bounding"] == 0 or facts["uid"] != 0
    assert {"mnt", "pid", "user", "net"} <= set(facts["namespaces"])
    for point in facts["cgroup"]["mounts"].values():
        assert os.path.ismount(point)


def test_subordinate_ids_are_found_by_name_and_by_number(tmp_path: object) -> None:
    path = f"{tmp_path}/subuid"
    with open(path, "w", encoding="ascii") as file:
        file.write("root:100:5\nnobody:1:1\n0:200:6\nbroken\nroot:x:1\n")
    assert probe.subids(path, 0) == ((100, 5), (200, 6))
    assert probe.subids(f"{tmp_path}/absent", 0) == ()


@pytest.mark.parametrize("character", "\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_a_newline_ends_a_line_of_a_table(character: str) -> None:
    name = f"/a{character}b"
    other = f"50 23 0:50 / /mnt{name} rw - tmpfs tmpfs rw\n"
    facts = probe.cgroup_facts(HYBRID + other, MEMBERSHIP.replace("/user.slice", name))
    assert facts["mode"] == "hybrid"
    assert facts["own"]["name=systemd"] == name
    assert probe.lines(other * 2) == [other[:-1]] * 2
    assert probe.lines("") == []


@pytest.mark.parametrize("name", [b"a\fTgid:\t1\f", b"\xff"])
def test_the_name_of_a_thread_cannot_pass_for_its_process(name: bytes) -> None:
    with open("/proc/self/comm", "r+b", buffering=0) as file:
        before = file.read()
        file.write(name)
        try:
            assert tree._processes([str(os.getpid())]) == [os.getpid()]
        finally:
            file.write(before.rstrip(b"\n"))


def test_the_own_name_cannot_pass_for_a_field() -> None:
    assert probe._hex_field("Name:\tCapEff:\tffff\nCapEff:\t00ff\n", "CapEff:") == 0xFF
