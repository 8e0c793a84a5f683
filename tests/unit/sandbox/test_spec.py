"""The config of a box: golden for the example of the documentation, valid and closed for any arguments."""

from __future__ import annotations

import json
import os
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from pyrunc.errors import UsageError
from pyrunc.plan.create import create
from pyrunc.sandbox import arguments, profile, spec
from pyrunc.sandbox.base import Base
from pyrunc.sandbox.shares import bind
from pyrunc.spec.isolation import read as isolation
from pyrunc.spec.load import load_value
from tests.unit.plan import hosts

GOLDEN = Path(__file__).parent / "golden"
HOST = Base(
    "/run/pyrunc/.host-rootfs/0123456789abcdef",
    [
        bind("/usr", "/usr", directory=True, readonly=True),
        bind("/etc/ld.so.cache", "/etc/ld.so.cache", directory=False, readonly=True),
    ],
)
PLAIN = Base("/srv/rootfs", [])


def build(base: Base = PLAIN, *, uid: int = 0, gid: int = 0, **given: Any) -> Any:
    """For root, or for somebody who has no ids but these."""
    base = copy(base)
    base.alone = uid != 0
    made: Any = spec.build(arguments.read(**given), base, uid=uid, gid=gid)
    return made


def compare(found: Any, name: str) -> None:
    """The profile has tests of its own, and would fill the file."""
    assert found["linux"].pop("seccomp") == profile.default()
    text = json.dumps(found, indent=2) + "\n"
    path = GOLDEN / name
    if os.environ.get("PYRUNC_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; PYRUNC_UPDATE_GOLDEN=1 writes it anew"


EXAMPLE: dict[str, Any] = {
    "rootfs": "host",
    "tmp": "64m",
    "workspace": "/work",
    "files": {"/data/data.csv": "/work/in.csv"},
    "memory": "256m",
    "pids": 64,
    "network": False,
    "user": 1000,
    "timeout": 10,
}


def test_the_config_of_the_example() -> None:
    compare(build(HOST, **EXAMPLE), "example.json")


def test_the_config_of_the_example_for_an_ordinary_user() -> None:
    compare(build(HOST, uid=12345, gid=54321, **EXAMPLE), "example-user.json")


SIZES = st.sampled_from(["64m", "1g", 4096, "10%", 12345])
PATHS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0:,"), min_size=1, max_size=6).filter(
        lambda name: name not in (".", "..", "proc", "sys", "dev")
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: "/" + "/".join(parts))
MODES = st.sampled_from(["ro", "rw", "cow"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
IDS = st.integers(0, 65535)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "writable": st.booleans() | SIZES,
        "tmp": st.booleans() | SIZES,
        "workspace": PATHS | st.tuples(PATHS, SIZES),
        "files": st.dictionaries(PATHS, st.tuples(PATHS, MODES) | PATHS, max_size=4),
        "mounts": st.dictionaries(PATHS, st.tuples(PATHS, MODES) | PATHS, max_size=4),
        "memory": st.sampled_from(["1m", "256m", 1 << 30]),
        "pids": st.integers(1, 1 << 20),
        "cpus": st.floats(0.01, 64),
        "network": st.booleans(),
        "user": IDS | st.tuples(IDS, IDS),
        "env": st.dictionaries(TEXTS.filter(lambda name: name and "=" not in name), TEXTS | st.none(), max_size=4),
        "cwd": PATHS,
        "hostname": TEXTS.filter(bool),
        "rlimits": st.dictionaries(
            st.sampled_from(["core", "nofile", "RLIMIT_STACK"]), st.integers(0, 9) | st.just("unlimited")
        ),
        "userns": st.booleans(),
        "debug": st.booleans(),
    },
)
SWAPS = st.booleans()
CALLERS = st.sampled_from([(0, 0), (12345, 12345), (1000, 0)])


@given(ARGUMENTS, SWAPS, st.booleans(), CALLERS)
def test_any_box_is_valid_and_has_no_more_than_was_named(
    given_: dict[str, Any], swap: bool, upper: bool, caller: tuple[int, int]
) -> None:
    try:
        wanted = arguments.read(**given_)
        base = Base("/srv/rootfs", HOST.mounts, swap=swap, upper=upper, alone=caller[0] != 0)
        made = spec.build(wanted, base, uid=caller[0], gid=caller[1])
    except UsageError:
        reject()  # two things at one place, or userns without root
    assert load_value(made) == made
    assert made == spec.build(wanted, base, uid=caller[0], gid=caller[1])
    process = made["process"]
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "inheritable", "permitted", "ambient"}
    assert not any(process["capabilities"].values())
    kinds = {entry["type"] for entry in made["linux"]["namespaces"]}
    assert {"pid", "ipc", "uts", "mount", "cgroup"} <= kinds
    assert ("network" in kinds) is not wanted.network
    assert ("user" in kinds) is (caller[0] != 0 or wanted.userns)
    named = {share.source for share in wanted.shares} | {mount["source"] for mount in base.mounts}
    assert {mount["source"] for mount in made["mounts"] if mount["type"] == "bind"} <= named
    assert made["root"]["readonly"] is (wanted.writable is None)
    asked = isolation(made.get("annotations") or {}, {})
    assert ("rootfs" in asked) is (wanted.writable is not None or upper)
    assert ("tmp" in asked) is (wanted.tmp is not None)
    assert set(asked["cow"]["destinations"] if "cow" in asked else ()) == {
        share.destination for share in wanted.shares if share.mode == "cow"
    }


def options(made: Any, destination: str) -> list[str]:
    (found,) = [mount["options"] for mount in made["mounts"] if mount["destination"] == destination]
    return list(found)


def test_only_what_is_to_be_written_to_can_be() -> None:
    made = build(
        files={"/a": "/a", "/b": ("/b", "rw"), "/c": ("/c", "cow")},
        mounts={"/d": "/d", "/e": ("/e", "rw"), "/f": ("/f", "cow")},
    )
    assert options(made, "/a") == ["bind", "nosuid", "nodev", "ro"]
    assert options(made, "/b") == options(made, "/c") == ["bind", "nosuid", "nodev"]
    # What is mounted below a directory is in the box, too, and no less read-only.
    assert options(made, "/d") == ["rbind", "rnosuid", "rnodev", "rro"]
    assert options(made, "/e") == options(made, "/f") == ["rbind", "rnosuid", "rnodev"]
    assert made["annotations"]["io.pyrunc.cow"] == "/c:/f"


def test_the_kernels_file_systems_are_closed_and_there_is_no_sys() -> None:
    made = build()
    assert {"nosuid", "noexec", "nodev"} <= set(options(made, "/proc"))
    assert {"nosuid", "noexec", "ro"} <= set(options(made, "/dev"))
    assert not [mount for mount in made["mounts"] if mount["destination"].startswith("/sys")]
    assert {"/proc/kcore", "/proc/pressure"} <= set(made["linux"]["maskedPaths"])
    assert "/proc/sys" in made["linux"]["readonlyPaths"]
    assert made["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]


def test_limits_of_the_cgroup() -> None:
    found = build(memory="256m", pids=64, cpus=1.5)["linux"]["resources"]
    assert found["memory"] == {"limit": 256 << 20, "swap": 256 << 20}
    assert (found["pids"], found["cpu"]) == ({"limit": 64}, {"quota": 150_000, "period": 100_000})
    assert build(Base("/r", [], swap=False), memory="1m")["linux"]["resources"]["memory"] == {"limit": 1 << 20}


BOTH = frozenset(("memory", "pids"))


def test_a_box_that_is_asked_for_no_limit_has_one_where_the_host_lets_it() -> None:
    found = build(Base("/r", [], controllers=BOTH))["linux"]["resources"]
    assert (found["memory"], found["pids"]) == ({"limit": 1 << 30, "swap": 1 << 30}, {"limit": 512})
    found = build(Base("/r", [], controllers=BOTH), memory=None, pids=7)["linux"]["resources"]
    assert "memory" not in found
    assert found["pids"] == {"limit": 7}
    assert set(build(Base("/r", [], controllers=BOTH), memory=None, pids=None)["linux"]["resources"]) == {"devices"}
    assert set(build(Base("/r", []))["linux"]["resources"]) == {"devices"}


@pytest.mark.parametrize(
    ("limit", "given"),
    [
        (512, {"uid": 1000}),
        (512, {"userns": True}),
        (100, {"uid": 1000, "base": Base("/r", [], ceilings={"RLIMIT_NPROC": 100})}),
        (None, {}),
        (None, {"uid": 1000, "pids": None}),
        (None, {"uid": 1000, "pids": 64}),
        (None, {"uid": 1000, "base": Base("/r", [], processes_apart=False)}),
        (None, {"userns": True, "base": Base("/r", [], controllers=BOTH)}),
        (9, {"uid": 1000, "rlimits": {"nproc": 9}}),
    ],
)
def test_without_a_cgroup_processes_are_limited_where_the_box_counts_its_own(
    limit: int | None, given: dict[str, Any]
) -> None:
    found = {one["type"]: one["hard"] for one in build(**given)["process"]["rlimits"]}
    assert found.get("RLIMIT_NPROC") == limit


def test_an_ordinary_user_is_the_only_one_in_its_box() -> None:
    made = build(uid=12345, gid=54321, user="5:6")
    assert made["linux"]["uidMappings"] == [{"containerID": 5, "hostID": 12345, "size": 1}]
    assert made["linux"]["gidMappings"] == [{"containerID": 6, "hostID": 54321, "size": 1}]
    assert "resources" not in made["linux"]
    assert "gid=5" not in options(made, "/dev/pts")


def test_nobody_becomes_root_where_root_is_not_mapped() -> None:
    for user, expected in ((1000, False), (0, True)):
        facts = hosts.user()
        made = build(uid=facts["uid"], gid=facts["gid"], user=user, tmp=None)
        plan = create(made, facts, hosts.request())
        assert ("become_root" in [op.name for op in plan.ops]) is expected


def test_a_user_namespace_of_root_has_ids_of_its_own() -> None:
    made = build(userns=True)
    assert made["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0x70000000, "size": 65536}]
    assert made["linux"]["gidMappings"] == made["linux"]["uidMappings"]
    assert {"type": "user"} in made["linux"]["namespaces"]
    assert "uidMappings" not in build()["linux"]


@pytest.mark.parametrize(
    ("given_", "uid", "line"),
    [
        (
            {"userns": True},
            5,
            "userns=True: needs root; the box of an ordinary user has a user namespace of one user anyway",
        ),
        ({"userns": True, "user": 70000}, 0, 'user="70000:70000": with userns=True, ids go up to 65535'),
    ],
)
def test_what_the_caller_cannot_have_is_refused(given_: dict[str, Any], uid: int, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(uid=uid, **given_)
    assert str(caught.value) == line


def test_the_environment_is_minimal_and_can_be_changed() -> None:
    assert build(workspace="/w")["process"]["env"] == [f"PATH={spec.PATH}", "HOME=/w", "LANG=C.UTF-8"]
    made = build(env={"LANG": None, "HOME": "/h", "A": "b=c"})
    assert made["process"]["env"] == [f"PATH={spec.PATH}", "HOME=/h", "A=b=c"]
    assert build()["process"]["env"][1] == "HOME=/tmp"


def test_what_a_bundle_brings_is_where_a_box_starts() -> None:
    base = Base(
        "/b/rootfs",
        [bind("/src", "/tmp", directory=True, readonly=True), bind("/x", "/x", directory=False, readonly=False)],
        env=("PATH=/bin", "A=1", "odd"),
        cwd="/srv",
    )
    made = build(base, env={"A": "2"}, files={"/y": "/x"})
    assert made["process"]["env"] == ["PATH=/bin", "HOME=/tmp", "LANG=C.UTF-8", "A=2"]
    assert made["process"]["cwd"] == "/srv"
    # The private /tmp and what is shared at the same place come instead of the bundle's.
    assert [mount["source"] for mount in made["mounts"] if mount["type"] == "bind"] == ["/y"]
    assert build(base, workspace="/w", tmp=None)["process"]["cwd"] == "/w"


def test_limits_of_a_process_are_the_defaults_and_those_given() -> None:
    found = {limit["type"]: limit["hard"] for limit in build(rlimits={"nofile": 64, "cpu": 5})["process"]["rlimits"]}
    per_user = {"RLIMIT_SIGPENDING": 1024, "RLIMIT_MSGQUEUE": 256 << 10}
    assert found == {"RLIMIT_NOFILE": 64, "RLIMIT_CORE": 1, "RLIMIT_CPU": 5, **per_user}


def test_one_run_differs_from_the_box_in_what_is_given() -> None:
    made = build(workspace="/w", env={"A": "1"})
    assert spec.process(made, ["true", Path("/x"), ""]) == {**made["process"], "args": ["true", "/x", ""]}
    task = spec.process(made, ("sh",), env={"A": None, "B": "2"}, cwd="/tmp/.", user=(5, 6))
    assert task["env"] == [*made["process"]["env"][:3], "B=2"]
    assert (task["cwd"], task["user"]) == ("/tmp", {"uid": 5, "gid": 6, "umask": 0o022})
    assert task["capabilities"] == made["process"]["capabilities"]
    assert made["process"]["args"] == ["/bin/sh"]


@pytest.mark.parametrize(
    ("argv", "given_", "lines"),
    [
        ("ls", {}, ['argv="ls": expected a list: the program and its arguments']),
        ([], {}, ["argv=[]: expected a list: the program and its arguments"]),
        (None, {}, ["argv=None: expected a list: the program and its arguments"]),
        (["a", 5], {}, ["argv[1]=5: expected a path"]),
        (["a\0"], {"cwd": "x"}, ['argv[0]="a\\u0000": contains a NUL character',
                                 'cwd="x": expected an absolute path inside the box']),
        (["a"], {"env": {"": "x"}, "user": "x"},
         ['env[""]="": expected a name without =', 'user="x": expected a uid, "uid:gid" or (uid, gid)']),
    ],
)  # fmt: skip
def test_a_run_that_makes_no_sense_is_refused(argv: Any, given_: dict[str, Any], lines: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        spec.process(build(), argv, **given_)
    assert str(caught.value).split("\n") == lines


def test_a_run_of_somebody_who_is_not_in_the_box_is_refused() -> None:
    made = build(uid=12345, gid=12345)
    assert spec.process(made, ["true"], user="1000:1000")["user"]["uid"] == 1000
    with pytest.raises(UsageError, match="user=0: is not mapped in the user namespace of the box"):
        spec.process(made, ["true"], user=0)
