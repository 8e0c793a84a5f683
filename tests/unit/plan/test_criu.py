"""What CRIU is asked: which mounts are external, what is refused, the plan of a restore, and the bytes of a message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import SpecError
from pyrunc.plan import cgroup_mounts
from pyrunc.plan.create import create
from pyrunc.plan.criu import mounts, protobuf, refusals, restore, rpc
from pyrunc.plan.criu.dump import dump
from pyrunc.plan.criu.wishes import Wishes
from pyrunc.spec.load import load_spec
from tests.support.config import default_config
from tests.unit.plan import hosts

if TYPE_CHECKING:
    from pyrunc.spec.types import Spec

INSIDE = {
    "/": ("8:1", "/b/rootfs", "ext4"),
    "/proc": ("0:50", "/", "proc"),
    "/proc/keys": ("0:5", "/null", "devtmpfs"),
    "/proc/acpi": ("0:51", "/", "tmpfs"),
    "/data": ("8:1", "/srv/data", "ext4"),
    "/data/below": ("0:60", "/", "tmpfs"),
    "/data/own": ("0:61", "/", "tmpfs"),
    "/data/frozen": ("8:1", "/srv/data/frozen", "ext4"),
    "/run": ("0:52", "/", "tmpfs"),
    "/run/name": ("8:1", "/srv/name", "ext4"),
}
HOST = {"/": ("8:1", "/", "ext4"), "/srv/data/below": ("0:60", "/", "tmpfs")}
SOURCES = {"/": "/b/rootfs", "/data": "/srv/data", "/var/run/name": "/srv/name"}
REAL = {"/": "/", "/data": "/data", "/var/run/name": "/run/name"}


def spec(**edits: Any) -> Spec:
    config = default_config()
    del config["mounts"], config["hostname"]
    config.update(edits)
    return load_spec(json.dumps(config).encode())


def test_what_the_host_has_mounted_is_external_and_nothing_else() -> None:
    found, null = mounts.external(INSIDE, HOST, SOURCES, REAL, ["/proc/keys", "/proc/acpi"], cgroups=False)
    assert found == {
        "/data": ("/data", ""),
        "/data/below": ("/data", "/below"),
        "/data/frozen": ("/data", "/frozen"),
        "/run/name": ("/var/run/name", ""),
    }
    assert null == ["/proc/keys"]


@pytest.mark.parametrize("cgroups", [False, True])
def test_cgroups_are_the_hosts_only_without_a_namespace_of_theirs(cgroups: bool) -> None:
    inside = {**INSIDE, "/sys/fs/cgroup": ("0:30", "/x", "cgroup2")}
    found, _ = mounts.external(inside, HOST, SOURCES, REAL, [], cgroups=cgroups)
    assert ("/sys/fs/cgroup" in found) == cgroups


def test_at_the_restore_the_config_says_where_external_mounts_are_from() -> None:
    saved = {"/run/name": ("/var/run/name", ""), "/data/below": ("/data", "/below"), "/gone": ("/gone", "")}
    config = spec(
        mounts=[
            {"destination": "/data", "type": "bind", "source": "/srv/other", "options": ["rbind"]},
            {"destination": "/var/run/name", "source": "name", "options": ["bind"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
        ]
    )
    assert mounts.sources(saved, config, "/b", {"": "/sys/fs/cgroup"}) == {
        "/dev/null": "/dev/null",
        "/data": "/srv/other",
        "/var/run/name": "/b/name",
        "/run/name": "/b/name",
        "/data/below": "/srv/other/below",
        "/sys/fs/cgroup": "/sys/fs/cgroup",
    }


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_restore_shows_the_cgroups_that_the_creation_did(layout: str, user: bool) -> None:
    facts = hosts.root_v2() if layout == "v2" else hosts.root_v1()
    facts["cgroup"]["own"] = dict.fromkeys(facts["cgroup"]["mounts"], "/caller")
    config: Any = spec(mounts=[{"destination": "/cg", "type": "cgroup", "source": "cgroup"}])
    config["linux"]["namespaces"] = [{"type": "mount"}]
    config["linux"].pop("maskedPaths", None)
    config["linux"].pop("readonlyPaths", None)
    if user:
        everyone = [{"containerID": 0, "hostID": 0, "size": 1 << 16}]
        config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = everyone
        config["linux"]["namespaces"].append({"type": "user"})
    made = create(config, facts, hosts.request())
    bound = {str(op.args[1]) for op in made.ops if op.name == "open_tree" and op.where == "mounts[0]"}
    for cgroups in (made.cgroups, {}):
        shown = cgroup_mounts.shown(facts, mounts.namespaces(config), cgroups)
        again = mounts.sources({}, config, "/b", shown)
        assert again.pop("/dev/null") == "/dev/null"
        if layout == "v1":
            assert set(again) == {f"/cg/{path.rsplit('/', 1)[1]}" for path in facts["cgroup"]["mounts"].values()}
        else:
            assert set(again) == {"/cg"}
        if cgroups:
            assert set(again.values()) == (bound or {"/sys/fs/cgroup"})
        elif layout == "v1":
            assert all(path.endswith("/caller") for path in again.values())


def test_what_a_restore_would_lose_is_refused_all_at_once() -> None:
    config = spec(
        mounts=[{"destination": "/data", "source": "/srv", "options": ["bind", "idmap=uids=0-1-1;gids=0-1-1"]}],
        linux={"namespaces": [{"type": "mount"}, {"type": "cgroup", "path": "/proc/1/ns/cgroup"}]},
    )
    with pytest.raises(SpecError) as raised:
        refusals.check(config, layers=True)
    assert [violation.path for violation in raised.value.violations] == [
        "linux.namespaces[1].path",
        "mounts[0]",
        "",
    ]


def test_a_dump_names_what_is_not_the_containers_own() -> None:
    options = dump(
        spec(annotations={"org.criu.config": ""}),
        Wishes(parent="../before", page_server=("::1", 27), cgroups_mode="full"),
        pid=5,
        rootfs="/b/rootfs",
        cgroups={"": "/sys/fs/cgroup/box"},
        namespaces={"network": 7, "ipc": 8},
        external=["/data"],
        masked=["/proc/keys"],
        descriptors=["pipe:[3]", "file[1:2]", "file[1:2]"],
    )
    assert options["external"] == ["net[7]:extRootNetNS", "file[1:2]"]
    assert options["ext_mnt"] == [{"key": "/data", "val": "/data"}, {"key": "/proc/keys", "val": "/dev/null"}]
    assert options["freeze_cgroup"] == "/sys/fs/cgroup/box"
    assert (options["parent_img"], options["track_mem"]) == ("../before", True)
    assert options["ps"] == {"address": "::1", "port": 27}
    assert options["manage_cgroups_mode"] == 4
    assert "config_file" not in options


def test_a_pre_dump_says_nothing_of_mounts() -> None:
    options = dump(
        spec(), Wishes(pre_dump=True), pid=5, rootfs="/r", cgroups={}, namespaces={}, external=["/data"], masked=[],
        descriptors=[],
    )  # fmt: skip
    assert "ext_mnt" not in options
    assert "freeze_cgroup" not in options


def test_a_restore_becomes_criu_in_the_cgroup_and_in_a_mount_namespace_of_its_own() -> None:
    config = spec(
        mounts=[
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/run/name", "source": "/srv/name", "options": ["bind"]},
            {"destination": "/data", "source": "/srv/data", "options": ["rbind"]},
        ],
        hooks={"createRuntime": [{"path": "/bin/true"}]},
    )
    plan = restore.restore(
        config, hosts.root_v2(), hosts.request(), program="/usr/sbin/criu", path="/usr/sbin", descriptors=1,
        directories=["/images"],
    )  # fmt: skip
    names = [op.name for op in plan.ops]
    assert names.index("join_cgroup") < names.index("unshare") < names.index("execve")
    assert plan.ops[-1].name == "runtime_hook"
    assert plan.ops[-2].args == (("criu", "swrk", "3"), ("PATH=/usr/sbin",))
    # What lies in the tmpfs comes back with it.
    assert [op.args[1] for op in plan.ops if op.name == "target"] == ["/proc", "/run", "/data"]
    assert "clone" not in names


def test_at_the_restore_descriptors_are_the_callers_where_they_led_outside() -> None:
    options = restore.options(
        spec(linux={"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "/ipc"}]}),
        Wishes(tcp_established=True),
        root="/criu-root",
        cgroups={"": "/box", "memory": "/m"},
        sources={"/data": "/srv"},
        descriptors=["/dev/null", "pipe:[3]", "pipe:[3]"],
        namespaces={"network": 4},
    )
    assert options["inherit_fd"] == [{"key": "pipe:[3]", "fd": 1}, {"key": "extRootNetNS", "fd": 4}]
    assert options["join_ns"] == [{"ns": "ipc", "ns_file": "/ipc"}]
    assert options["cg_root"] == [{"path": "/box"}, {"ctrl": "memory", "path": "/m"}]
    assert options["tcp_established"] is True
    assert protobuf.encode(rpc.REQUEST, {"type": rpc.RESTORE, "opts": options})


#: As protoc's Python writes them.
KNOWN = (
    ({"type": 1, "opts": {"images_dir_fd": 5, "pid": 300, "leave_running": True}}, "08011207080510ac021801"),
    ({"type": 6, "notify_success": False}, "08061800"),
    ({"type": 1, "opts": {"images_dir_fd": -1}}, "0801120b08ffffffffffffffffff01"),
    ({"type": 2, "opts": {"ext_mnt": [{"key": "/a", "val": "/b"}]}}, "0802120bba01080a022f6112022f62"),
)


@pytest.mark.parametrize(("message", "octets"), KNOWN)
def test_messages_are_written_as_protocol_buffers(message: dict[str, Any], octets: str) -> None:
    assert protobuf.encode(rpc.REQUEST, message).hex() == octets


@given(
    st.fixed_dictionaries(
        {"type": st.integers(0, 13)},
        optional={
            "success": st.booleans(),
            "cr_errno": st.integers(-(2**31), 2**31 - 1),
            "cr_errmsg": st.text(),
            "notify": st.fixed_dictionaries({}, optional={"script": st.text(), "pid": st.integers(1, 2**22)}),
        },
    )
)
def test_what_is_written_is_read(message: dict[str, Any]) -> None:
    assert protobuf.decode(rpc.RESPONSE, protobuf.encode(rpc.RESPONSE, message)) == message


@given(st.binary(max_size=60))
def test_other_bytes_are_an_error_or_a_message_and_nothing_else(data: bytes) -> None:
    try:
        protobuf.decode(rpc.RESPONSE, data)
    except ValueError:
        pass


def test_fields_that_are_not_known_are_skipped() -> None:
    data = bytes.fromhex("0806f00101fa0101618102" + "00" * 8 + "8d02" + "00" * 4)
    assert protobuf.decode(rpc.RESPONSE, data) == {"type": 6}
