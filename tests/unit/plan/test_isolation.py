"""Private state over shared input: which operations the annotations and flags add, where, and in whose name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pyrunc.plan import describe
from pyrunc.plan.create import create
from pyrunc.plan.ops import INIT, MAGIC, SLOT_ROOT
from pyrunc.plan.wire import encode
from pyrunc.spec import isolation
from tests.unit.plan import hosts
from tests.unit.plan.test_create import refusals, spec
from tests.unit.plan.test_golden import GOLDEN, ROOT, compare

if TYPE_CHECKING:
    from pyrunc.plan.builder import Plan
    from pyrunc.plan.facts import HostFacts
    from pyrunc.plan.ops import Op

ALL = {"tmp": "private,size=64m", "workspace": "/work,size=10%", "rootfs": "ephemeral,size=1g", "cow": "/in/file:/in/d"}
MAPS = [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 5000, "hostID": 300000, "size": 10}]
OWN = ("pid", "network", "ipc", "uts", "mount", "user")


def config(*mounts: tuple[str, str], userns: bool = False, **changes: Any) -> Any:
    found = spec(**changes)
    for destination, source in mounts:
        found["mounts"].append({"destination": destination, "type": "bind", "source": source, "options": ["rbind"]})
    if userns:
        found["linux"]["uidMappings"] = found["linux"]["gidMappings"] = MAPS
        found["linux"]["namespaces"] = [{"type": kind} for kind in OWN]
    return found


def plan(
    wishes: dict[str, str], found: Any = None, facts: HostFacts | None = None, *, flags: bool = False, **request: Any
) -> Plan:
    """The plan of a container with these annotations, or with flags that say the same."""
    keys = {f"io.pyrunc.{name}": value for name, value in wishes.items()}
    asked = isolation.read({} if flags else keys, keys if flags else {})
    return create(found or config(), facts or hosts.root_v2(), hosts.request(isolation=asked, **request))


def everything(**options: Any) -> Plan:
    found = config(("/in/file", "/srv/file"), ("/in/d", "/srv/d"), ("/work/below", "/srv/below"))
    return plan(ALL, found, cow_directories=("/srv/d",), **options)


def asked(found: Plan, name: str) -> list[Op]:
    """The operations that are there in an annotation's name."""
    return [op for op in found.ops if op.where == f'annotations["io.pyrunc.{name}"]']


def stage_of(found: Plan, wanted: Op) -> str:
    return next(stage for op, stage in zip(found.ops, describe.stages(found), strict=True) if op is wanted)


@pytest.mark.parametrize("who", ["root", "user"])
def test_the_plan_with_all_annotations_is_the_golden_one(who: str) -> None:
    if who == "root":
        found = everything()
    else:
        ids = [{"containerID": 0, "hostID": 1000, "size": 1}]
        user = config(("/in/file", "/srv/file"), ("/in/d", "/srv/d"), ("/work/below", "/srv/below"), userns=True)
        user["linux"]["uidMappings"] = user["linux"]["gidMappings"] = ids
        found = plan(ALL, user, hosts.user(), cow_directories=("/srv/d",))
    compare(describe.text(found), GOLDEN / f"isolation.{who}.txt")


def test_the_plan_fits_the_wire_and_its_schema() -> None:
    found = everything()
    assert encode(op for op in found.ops if op.name in INIT).startswith(MAGIC.to_bytes(4, "little"))
    schema = json.loads((ROOT / "schemas/plan.json").read_text())
    document = json.loads(json.dumps(describe.document(found)))
    assert list(jsonschema.Draft4Validator(schema).iter_errors(document)) == []


def test_without_a_wish_nothing_is_added() -> None:
    found = plan({})
    assert found.layers == []
    assert not [op for op in found.ops if op.name in ("overlay", "copy_file", "make_directory", "clone_mount")]


@pytest.mark.parametrize(("name", "flag"), [("tmp", "--private-tmp"), ("workspace", "--workspace"),
                                            ("rootfs", "--ephemeral-rootfs"), ("cow", "--cow")])  # fmt: skip
def test_an_operation_says_which_annotation_or_flag_has_asked_for_it(name: str, flag: str) -> None:
    by_annotation = everything()
    by_flag = everything(flags=True)
    there = [op.name for op in asked(by_annotation, name)]
    assert there
    assert [op.name for op in by_flag.ops if op.where == flag] == there
    assert [op.args for op in by_flag.ops] == [op.args for op in by_annotation.ops]


# Where


def test_where_the_caller_may_mount_layers_are_mounted_on_the_host() -> None:
    found = everything()
    for name in ("overlay", "copy_file", "clone_mount"):
        for op in found.ops:
            if op.name == name:
                assert stage_of(found, op) == "host"
    assert {layer["kind"] for layer in found.layers} == {"rootfs", "workspace", "cow"}
    paths = [layer["path"] for layer in found.layers]
    made = [op.args[0] for op in found.ops if op.name == "make_directory"]
    assert set(paths) < set(made), "and one for the copies of files"
    assert {str(Path(path).parent) for path in paths} == {"/run/pyrunc/golden/layers"}


def test_without_privilege_they_are_mounted_in_the_containers_namespace() -> None:
    ids = [{"containerID": 0, "hostID": 1000, "size": 1}]
    user = config(("/in/d", "/srv/d"), userns=True)
    user["linux"]["uidMappings"] = user["linux"]["gidMappings"] = ids
    found = plan({"rootfs": "ephemeral", "cow": "/in/d"}, user, hosts.user(), cow_directories=("/srv/d",))
    overlays = [op for op in found.ops if op.name == "overlay"]
    assert len(overlays) == 2
    for op in overlays:
        assert stage_of(found, op) == "container"
        assert "userxattr" in op.args[3]  # type: ignore[operator]
    assert [layer["userxattr"] for layer in found.layers] == [True, True]
    assert not any(layer["userxattr"] for layer in everything().layers)


def test_without_privilege_they_need_a_mount_namespace_of_their_own() -> None:
    user = config(userns=True)
    user["linux"]["namespaces"] = [
        {"type": "mount", "path": "/proc/7/ns/mnt"} if entry["type"] == "mount" else entry
        for entry in user["linux"]["namespaces"]
    ]
    user["linux"]["uidMappings"] = user["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 1}]
    keys = isolation.read({"io.pyrunc.rootfs": "ephemeral"}, {})
    said = refusals(user, hosts.user(), isolation=keys)
    assert any('annotations["io.pyrunc.rootfs"]: needs a new mount namespace' in line for line in said)


def test_an_overlay_of_the_host_has_nothing_but_what_diff_can_read() -> None:
    (op,) = [op for op in plan({"rootfs": "ephemeral"}).ops if op.name == "overlay"]
    assert op.args[0] == SLOT_ROOT
    assert op.args[3] == ("source=overlay", "redirect_dir=off", "metacopy=off", "index=off")


def test_layers_are_handed_over_only_where_asked_and_needed() -> None:
    ids = [{"containerID": 0, "hostID": 1000, "size": 1}]
    user = config(("/in/file", "/srv/file"), ("/in/d", "/srv/d"), userns=True)
    user["linux"]["uidMappings"] = user["linux"]["gidMappings"] = ids
    wishes = {**ALL, "cow": "/in/file:/in/d"}
    found = plan(wishes, user, hosts.user(), cow_directories=("/srv/d",), pass_layers=True)
    passed = [op.args[0] for op in found.ops if op.name == "pass_layer"]
    assert sorted(passed) == list(range(len(found.layers))), "a copy of a file is no layer"
    assert not [op for op in everything(pass_layers=True).ops if op.name == "pass_layer"]


# tmp and workspace


def mounted(found: Plan) -> list[str]:
    """Paths of mount points in order."""
    return [str(op.args[1]) for op in found.ops if op.name == "target"]


def test_tmp_is_below_all_mounts_of_the_config() -> None:
    found = plan({"tmp": "private"}, config(("/tmp/a", "/srv")))
    assert mounted(found)[0] == "/tmp"
    assert mounted(found).index("/tmp/a") > 0


def test_sizes_are_passed_on() -> None:
    found = everything()
    for name, size in {"rootfs": "size=1g", "tmp": "size=64m", "workspace": "size=10%"}.items():
        (op,) = [op for op in asked(found, name) if op.name == "fsmount"]
        assert size in op.args[3]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("size", "inodes"),
    [
        ("64m", ["nr_inodes=16384"]),
        ("1G", ["nr_inodes=262144"]),
        ("8192k", ["nr_inodes=2048"]),
        ("16777217", ["nr_inodes=4096"]),
        ("1", ["nr_inodes=1024"]),
        ("999999999g", ["nr_inodes=262143999737856"]),
        ("10%", []),
        ("", []),
    ],
)
def test_a_size_in_bytes_limits_the_number_of_files_too(size: str, inodes: list[str]) -> None:
    value = f",size={size}" if size else ""
    found = plan({"tmp": f"private{value}", "workspace": f"/work{value}", "rootfs": f"ephemeral{value}"})
    for name in ("tmp", "workspace", "rootfs"):
        (op,) = [op for op in asked(found, name) if op.name == "fsmount"]
        assert [option for option in op.args[3] if option.startswith("nr_inodes")] == inodes  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("mounts", "order"),
    [
        ([], ["/work"]),
        (["/other"], ["/work", "/other"]),
        (["/work/a"], ["/work", "/work/a"]),
        (["/work2"], ["/work", "/work2"]),
        (["/work"], ["/work", "/work"]),
        (["/work/a", "/work", "/work/b"], ["/work/a", "/work", "/work", "/work/b"]),
        (["/work//"], ["/work", "/work"]),
    ],
)
def test_a_workspace_comes_behind_the_last_mount_at_or_above_it(mounts: list[str], order: list[str]) -> None:
    found = config(*((destination, "/srv") for destination in mounts))
    made = plan({"workspace": "/work"}, found)
    assert [path for path in mounted(made) if path in {*order, "/work"}] == order
    targets = [op for op in made.ops if op.name == "target" and op.args[1] == "/work"]
    assert targets[-1].where == 'annotations["io.pyrunc.workspace"]' or mounts == []


def test_a_workspace_below_a_mount_is_mounted_in_it() -> None:
    made = mounted(plan({"workspace": "/data/work"}, config(("/data", "/srv"), ("/data/work/x", "/srv"))))
    assert [path for path in made if path.startswith("/data")] == ["/data", "/data/work", "/data/work/x"]


def test_cwd_is_that_of_the_process() -> None:
    assert "/home/user" in mounted(plan({"workspace": "cwd"}, config(process__cwd="/home/user/")))


def owner(found: Plan) -> list[str]:
    (op,) = [op for op in asked(found, "workspace") if op.name == "fsmount"]
    words: Any = op.args[3]
    return [word for word in words if word[:3] in ("uid", "gid")]


def test_a_workspace_belongs_to_the_user_as_the_host_knows_it() -> None:
    user = {"uid": 5, "gid": 5003}
    assert owner(plan({"workspace": "/w"}, config(process__user=user))) == ["uid=5", "gid=5003"]
    assert owner(plan({"workspace": "/w"}, config(process__user=user, userns=True))) == ["uid=100005", "gid=300003"]


def test_a_user_that_is_not_mapped_owns_no_workspace() -> None:
    keys = isolation.read({"io.pyrunc.workspace": "/w"}, {})
    said = refusals(config(process__user={"uid": 2000, "gid": 0}, userns=True), isolation=keys)
    assert any("process.user.uid: 2000 is not mapped" in line for line in said)


# cow


def test_only_what_is_named_is_copied() -> None:
    found = plan({"cow": "/a"}, config(("/a", "/srv/a"), ("/b", "/srv/b")))
    assert [op.args[1] for op in found.ops if op.name == "copy_file"] == ["/srv/a"]
    assert "/srv/b" in [op.args[1] for op in found.ops if op.name == "open_tree"]


def test_a_source_is_relative_to_the_bundle() -> None:
    found = plan({"cow": "/a:/b"}, config(("/a", "file"), ("/b", "d")), cow_directories=("/bundle/d",))
    assert [op.args[1] for op in found.ops if op.name == "copy_file"] == ["/bundle/file"]
    assert [layer["lower"] for layer in found.layers] == ["/bundle/d"]


def test_copies_of_files_share_one_tmpfs() -> None:
    found = plan({"cow": "/a:/b:/c"}, config(*((f"/{name}", f"/srv/{name}") for name in "abc")))
    copies = [str(op.args[2]) for op in found.ops if op.name == "copy_file"]
    assert len(set(copies)) == 3
    assert {str(Path(copy).parent) for copy in copies} == {"/run/pyrunc/golden/layers/0"}
    assert found.layers == []


def test_each_directory_has_a_layer_of_its_own() -> None:
    found = plan({"cow": "/a:/b"}, config(("/a", "/srv/a"), ("/b", "/srv/b")), cow_directories=("/srv/a", "/srv/b"))
    assert [(layer["destination"], layer["lower"]) for layer in found.layers] == [("/a", "/srv/a"), ("/b", "/srv/b")]
    assert len({layer["path"] for layer in found.layers}) == 2
