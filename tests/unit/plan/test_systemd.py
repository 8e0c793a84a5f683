"""systemd as the cgroup manager: names of units, the order of things, annotations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.plan import describe
from pyrunc.plan.create import create
from pyrunc.plan.ops import INIT
from pyrunc.plan.systemd import names
from pyrunc.plan.systemd.gvariant import parse
from tests.unit.plan import hosts
from tests.unit.plan.test_create import spec
from tests.unit.plan.units import given_to, host, planned, wrong

# --- names


@pytest.mark.parametrize(
    ("path", "slice", "unit"),
    [
        ("", "system.slice", "pyrunc-golden.scope"),
        ("machine.slice:libpod:abc", "machine.slice", "libpod-abc.scope"),
        (":docker:1", "system.slice", "docker-1.scope"),
        ("::1", "system.slice", "-1.scope"),
        ("-.slice:a:b", "-.slice", "a-b.scope"),
        (
            "kubepods-burstable-pod1_2.slice:cri-containerd:x",
            "kubepods-burstable-pod1_2.slice",
            "cri-containerd-x.scope",
        ),
    ],
)
def test_a_path_names_slice_and_scope(path: str, slice: str, unit: str) -> None:
    found = planned(spec(linux__cgroupsPath=path))
    assert found.unit["name"] == unit
    assert given_to(found)["Slice"] == f"'{slice}'"
    assert found.cgroups == {"": f"/sys/fs/cgroup{names.expand(slice)}/{unit}"}


def test_a_slice_lies_in_those_that_its_name_begins_with() -> None:
    assert names.expand("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert names.expand("-.slice") == ""


def test_the_units_of_a_user_are_below_the_users_systemd() -> None:
    found = planned(spec(), host(user=True))
    assert found.cgroups[""] == (
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/pyrunc-golden.scope"
    )
    assert found.unit["socket"] == "/run/user/1000/bus"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/a/b", '"/a/b" is not of the form slice:prefix:name, which the cgroup manager systemd needs'),
        ("a:b", '"a:b" is not of the form slice:prefix:name, which the cgroup manager systemd needs'),
        (
            "a.slice:b:c:d",
            '"a.slice:b:c:d" is not of the form slice:prefix:name, which the cgroup manager systemd needs',
        ),
        ("a.slice:b:", '"a.slice:b:" has no name; expected slice:prefix:name'),
        ("a:b:c", '"a" is not the name of a slice, such as system.slice or machine-a.slice'),
        (".slice:b:c", '".slice" is not the name of a slice, such as system.slice or machine-a.slice'),
        ("a/b.slice:b:c", '"a/b.slice" is not the name of a slice, such as system.slice or machine-a.slice'),
        ("a--b.slice:b:c", '"a--b.slice" is not the name of a slice, such as system.slice or machine-a.slice'),
        ("-a.slice:b:c", '"-a.slice" is not the name of a slice, such as system.slice or machine-a.slice'),
        ("a-.slice:b:c", '"a-.slice" is not the name of a slice, such as system.slice or machine-a.slice'),
        ("a.slice:b:c/d", '"b-c/d.scope" cannot be the name of a unit: "/" is not allowed in one'),
        ("a.slice:b c:d", '"b c-d.scope" cannot be the name of a unit: " " is not allowed in one'),
        (
            "a.slice:b:c.slice",
            '"c.slice" would be a slice, and a slice takes no processes; name a scope: slice:prefix:name',
        ),
    ],
)
def test_a_path_of_another_form_is_refused(path: str, reason: str) -> None:
    assert wrong(spec(linux__cgroupsPath=path)) == [f"linux.cgroupsPath: {reason}"]


def test_an_id_that_no_unit_can_have_is_refused() -> None:
    reason = 'linux.cgroupsPath: "pyrunc-a+b.scope" cannot be the name of a unit: "+" is not allowed in one'
    assert wrong(spec(), id="a+b") == [reason]
    assert "at most" in wrong(spec(), id="a" * 255)[0]
    assert planned(spec(linux__cgroupsPath="a.slice:b:c"), id="a+b").unit["name"] == "b-c.scope"


@given(st.text(st.sampled_from("ab-./:@_\\é\n +"), max_size=20))
def test_whatever_the_path_its_cgroup_is_below_the_systemd(path: str) -> None:
    try:
        slice, unit = names.parse(path, "id", "system.slice")
    except ValueError:
        return
    parts = (names.expand(slice) + "/" + unit).split("/")
    assert parts[0] == ""
    assert all(part.endswith(".slice") and part not in (".", "..") for part in parts[1:-1])
    assert parts[-1].endswith(".scope")


def test_the_file_systems_manager_takes_the_form_for_a_relative_path() -> None:
    """As runc does."""
    found = create(spec(linux__cgroupsPath="system.slice:docker:1"), hosts.root_v2(), hosts.request())
    assert found.cgroups[""] == "/sys/fs/cgroup/system.slice:docker:1"


# --- the order of things


def test_the_process_that_clones_is_in_the_unit_before_it_clones() -> None:
    found = planned(spec(linux__resources={"memory": {"limit": 1 << 20}, "devices": []}))
    names = [op.name for op in found.ops]
    assert names[0] == "sync"
    assert names[1] == "systemd_property"
    start, clone = names.index("systemd_start"), names.index("clone")
    assert all(index > start for index, name in enumerate(names) if name.startswith("cgroup_"))
    assert all(index < clone for index, name in enumerate(names) if name.startswith(("cgroup_", "systemd_")))
    assert start < names.index("device_filter") < clone
    assert describe.stages(found)[0] == "host"


def test_runtime_ops_stand_behind_a_sync() -> None:
    names = [op.name for op in planned(spec(linux__resources={"pids": {"limit": 1}})).ops]
    kinds = ["init" if name in INIT else "runtime" for name in names]
    for index, kind in enumerate(kinds):
        if kind == "runtime":
            assert kinds[index - 1] == "runtime" or names[index - 1] == "sync"


def test_one_task_is_a_limit_for_when_the_cloner_has_gone() -> None:
    for resources in ({"pids": {"limit": 1}}, {"pids": {"limit": 0}}, {"unified": {"pids.max": "1"}}):
        found = planned(spec(linux__resources=resources))
        names = [op.name for op in found.ops]
        late = names.index("systemd_set")
        assert names.index("clone") < late
        assert found.ops[late - 1].args == ("TasksMax", "uint64 1")
        assert found.ops[late + 1].args[0].endswith("/pids.max")
        assert names.count("systemd_set") == 1
    assert "systemd_set" not in [op.name for op in planned(spec(linux__resources={"pids": {"limit": 2}})).ops]


def test_on_v1_pyrunc_makes_the_cgroups_that_systemd_does_not() -> None:
    found = planned(spec(), host(hosts.root_v1()))
    made = [op.args[0] for op in found.ops if op.name == "cgroup_create"]
    assert "/sys/fs/cgroup/freezer/system.slice/pyrunc-golden.scope" in made
    assert "/sys/fs/cgroup/systemd/system.slice/pyrunc-golden.scope" not in made
    assert "/sys/fs/cgroup/systemd/system.slice/pyrunc-golden.scope" in found.cgroups.values()
    joined = [op.args[0] for op in found.ops if op.name == "join_cgroup"]
    assert "/sys/fs/cgroup/freezer/system.slice/pyrunc-golden.scope/tasks" in joined


def test_on_cgroup2_only_systemd_makes_cgroups() -> None:
    names = [op.name for op in planned(spec(linux__resources={"memory": {"limit": 5}})).ops]
    assert "cgroup_create" not in names


def test_the_systemd_of_a_user_needs_cgroup2_alone() -> None:
    facts = {**hosts.root_v1(), "uid": 1000}
    reason = "the systemd of a user manages cgroups only where there is cgroup2 and none of v1"
    assert wrong(spec(), host(facts, user=True)) == [f"linux.cgroupsPath: {reason}"]


def test_a_container_of_a_user_has_a_unit_although_nothing_asks_for_limits() -> None:
    assert planned(spec(linux__resources={}), host(user=True)).unit is not None


def test_two_containers_have_two_descriptions() -> None:
    one = planned(spec(), state_dir="/run/a/x").unit["description"]
    assert one != planned(spec(), state_dir="/run/b/x").unit["description"]
    assert parse(planned(spec(), state_dir="/run/\udcff/'x").unit["description"])[0] == "s"


# --- annotations


def annotated(**annotations: str) -> Any:
    return {**spec(), "annotations": {f"org.systemd.property.{name}": text for name, text in annotations.items()}}


def test_annotations_are_properties() -> None:
    found = planned(annotated(TimeoutStopUSec="uint64 123456789", CollectMode="'inactive-or-failed'"))
    assert given_to(found)["TimeoutStopUSec"] == "uint64 123456789"
    assert given_to(found)["CollectMode"] == "'inactive-or-failed'"
    (op,) = [op for op in found.ops if op.args[:1] == ("CollectMode",)]
    assert op.where == 'annotations["org.systemd.property.CollectMode"]'


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5000000), ("uint64 2", 2000000), ("1.5", 1500000), ("byte 1", 1000000)]
)
def test_seconds_become_microseconds(text: str, value: int) -> None:
    found = given_to(planned(annotated(TimeoutStopSec=text)))
    assert found["TimeoutStopUSec"] == f"uint64 {value}"
    assert "TimeoutStopSec" not in found


def test_a_name_that_only_ends_like_seconds_is_left_alone() -> None:
    assert given_to(planned(annotated(FooSEC="5", CPUQuotaPerSecUSec="uint64 5")))["FooSEC"] == "5"


def test_what_the_config_limits_counts_more_than_an_annotation() -> None:
    config = annotated(MemoryMax="uint64 5", Description="'mine'")
    config["linux"]["resources"] = {"memory": {"limit": 4096}}
    found = planned(config)
    assert [op.args for op in found.ops if op.args[:1] == ("MemoryMax",)] == [("MemoryMax", "uint64 4096")]
    assert found.unit["description"] == "'mine'"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("CollectMode", "inactive", "'inactive' is no value in the text form of GVariant: a value was expected at"),
        ("CollectMode", "", "'' is no value in the text form of GVariant: a value was expected at character 1"),
        ("TimeoutStopSec", "'5'", "\"'5'\" is not a number of seconds"),
        ("TimeoutStopSec", "-1", "'-1' is out of range"),
        ("TimeoutStopSec", "1e30", "'1e30' is out of range"),
        ("TimeoutStopSec", "nan", "'nan' is out of range"),
        ("Slice", "'a.slice'", "cannot be set here: linux.cgroupsPath names the slice"),
        ("PIDs", "@au [1]", "cannot be set here: only the container's processes are in its unit"),
        ("Ab", "5", "'Ab' is not the name of a property: those have 3 letters or more, and no others"),
        ("Foo.Bar", "5", "'Foo.Bar' is not the name of a property: those have 3 letters or more, and no others"),
        ("", "5", "'' is not the name of a property: those have 3 letters or more, and no others"),
    ],
)
def test_a_malformed_annotation_is_refused_by_name(name: str, text: str, reason: str) -> None:
    (line,) = wrong(annotated(**{name: text}))
    assert line.startswith(f'annotations["org.systemd.property.{name}"]: {reason}')


def test_without_systemd_these_annotations_mean_nothing() -> None:
    """As in runc: an engine puts them there whatever its cgroup manager is."""
    create(annotated(CollectMode="inactive"), hosts.root_v2(), hosts.request())
