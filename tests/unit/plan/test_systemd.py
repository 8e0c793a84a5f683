"""systemd as the cgroup manager: names of units, what becomes a property, what is refused with which text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.plan import describe
from pyrunc.plan.create import create
from pyrunc.plan.ops import INIT, Op
from pyrunc.plan.systemd import names
from pyrunc.plan.systemd.gvariant import parse
from pyrunc.plan.systemd.properties import INFINITY, properties
from tests.unit.plan import hosts
from tests.unit.plan.test_create import refusals, spec

V2 = {"": "/two"}
V1 = {"memory": "/memory", "cpu": "/cpu", "pids": "/pids", "blkio": "/blkio", "": "/unified"}


def host(facts: Any = None, *, user: bool = False) -> Any:
    return hosts.with_systemd(facts or (hosts.user() if user else hosts.root_v2()), user=user)


def planned(config: Any, facts: Any = None, **request: Any) -> Any:
    return create(config, facts or host(), hosts.request(cgroup_manager="systemd", **request))


def given_to(plan: Any) -> dict[str, str]:
    return {op.args[0]: op.args[1] for op in plan.ops if op.name == "systemd_property"}


def wrong(config: Any, facts: Any = None, **request: Any) -> list[str]:
    return refusals(config, facts or host(), cgroup_manager="systemd", **request)


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


# --- resources


def shown(resources: Any, cgroups: dict[str, str], version: int = 252, *, bfq: bool = False) -> dict[str, str]:
    systemd = hosts.with_systemd(hosts.root_v2(), version=version, bfq=bfq)["systemd"]
    assert systemd is not None
    ops: list[Op] = properties(resources, cgroups, systemd)
    assert all(parse(str(op.args[1])) for op in ops)
    return {str(op.args[0]): str(op.args[1]).removeprefix("uint64 ") for op in ops}


NONE = str(INFINITY)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 4096}}, {"MemoryMax": "4096"}),
        ({"memory": {"limit": -1}}, {"MemoryMax": NONE, "MemorySwapMax": NONE}),
        ({"memory": {"limit": 4096, "swap": 8192}}, {"MemoryMax": "4096", "MemorySwapMax": "4096"}),
        ({"memory": {"limit": 4096, "swap": 4096}}, {"MemoryMax": "4096", "MemorySwapMax": "0"}),
        ({"memory": {"swap": -1}}, {"MemorySwapMax": NONE}),
        ({"memory": {"reservation": 4096}}, {"MemoryLow": "4096"}),
        ({"memory": {"limit": 0, "swap": 0}}, {}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": "100"}),
        ({"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": "0"}),
        ({"cpu": {"shares": 1024, "idle": 0}}, {"CPUWeight": "100"}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": NONE}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": "500000"}),
        ({"cpu": {"quota": 1}}, {"CPUQuotaPerSecUSec": "10000"}),
        ({"cpu": {"quota": 10001, "period": 20000}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": "510000"}),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPerSecUSec": NONE}),
        ({"cpu": {"period": 20000}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": NONE}),
        (
            {"cpu": {"cpus": "0-1,9", "mems": "0"}},
            {"AllowedCPUs": "@ay [0x03, 0x02]", "AllowedMemoryNodes": "@ay [0x01]"},
        ),
        ({"cpu": {"cpus": "x"}}, {}),
        ({"pids": {"limit": 5}}, {"TasksMax": "5"}),
        ({"pids": {"limit": 0}}, {"TasksMax": "1"}),
        ({"pids": {"limit": -1}}, {"TasksMax": NONE}),
        ({"blockIO": {"weight": 1000}}, {"IOWeight": "10000"}),
        ({"unified": {"memory.high": "1M"}}, {"MemoryHigh": "1048576"}),
        ({"unified": {"memory.max": "max"}}, {"MemoryMax": NONE}),
        ({"unified": {"memory.max": "0"}}, {}),
        ({"unified": {"memory.min": "0"}}, {"MemoryMin": "0"}),
        ({"unified": {"memory.max": "many"}}, {}),
        ({"unified": {"cpu.max": "max 20000"}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": NONE}),
        ({"unified": {"cpu.max": "5000"}}, {"CPUQuotaPerSecUSec": "50000"}),
        ({"unified": {"cpu.max": "5000 0 0"}}, {}),
        ({"unified": {"cpu.idle": "1"}}, {"CPUWeight": "0"}),
        ({"unified": {"cpuset.cpus": "1\n"}}, {"AllowedCPUs": "@ay [0x02]"}),
        ({"unified": {"io.weight": "50"}}, {"IOWeight": "50"}),
        ({"unified": {"io.weight": "8:0 50"}}, {}),
        ({"unified": {"io.weight": "default 70\n8:0 50"}}, {"IOWeight": "70"}),
        ({"unified": {"io.bfq.weight": "70"}}, {}),
        ({"unified": {"misc.max": "a 1", "cgroup.max.depth": "2"}}, {}),
        ({"memory": {"limit": 4096}, "unified": {"memory.max": "8192"}}, {"MemoryMax": "8192"}),
    ],
)
def test_a_resource_is_a_property_on_cgroup2(resources: Any, expected: dict[str, str]) -> None:
    assert shown(resources, V2) == expected


@pytest.mark.parametrize("weight", [1, 10, 99, 100, 101, 200, 500, 999, 1000])
@pytest.mark.parametrize("version", [243, 248, 250, 252, 257])
def test_with_bfq_systemd_is_told_the_weight_of_which_it_makes_the_one_that_is_wanted(
    weight: int, version: int
) -> None:
    for resources in (
        {"blockIO": {"weight": weight}},
        {"unified": {"io.bfq.weight": f"default {weight}\n8:0 5"}},
    ):
        told = int(shown(resources, V2, version, bfq=True)["IOWeight"])
        assert 1 <= told <= 10000
        assert (told if version < 250 else _bfq(told)) == weight


def _bfq(weight: int) -> int:
    """systemd's own conversion from 250 on: 1…100 stay, 100…10000 become 100…1000."""
    return weight if weight <= 100 else 100 + (weight - 100) * 900 // 9900


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 4096, "swap": 8192, "reservation": 1}}, {"MemoryLimit": "4096"}),
        ({"memory": {"limit": -1}}, {"MemoryLimit": NONE}),
        ({"cpu": {"shares": 512, "cpus": "0", "idle": 1}}, {"CPUShares": "512"}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": "500000"}),
        ({"pids": {"limit": 5}}, {"TasksMax": "5"}),
        ({"blockIO": {"weight": 100}}, {"BlockIOWeight": "100"}),
        ({"unified": {"hugetlb.2MB.max": "0"}}, {}),
    ],
)
def test_on_v1_those_that_systemd_manages_there_are(resources: Any, expected: dict[str, str]) -> None:
    assert shown(resources, V1) == expected


def test_what_a_systemd_is_too_old_for_is_left_to_the_files() -> None:
    resources = {"cpu": {"period": 20000, "quota": 5000, "cpus": "0", "idle": 1}, "unified": {"memory.oom.group": "1"}}
    assert shown(resources, V2, 239) == {"CPUQuotaPerSecUSec": "250000"}
    assert shown(resources, V2, 253)["OOMPolicy"] == "'kill'"


# --- devices


def devices(rules: list[dict[str, Any]]) -> dict[str, str]:
    return given_to(planned(spec(linux__resources={"devices": rules}), host(hosts.root_v1())))


def test_on_v1_systemd_has_the_list_of_what_is_allowed() -> None:
    found = devices([{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}])
    assert found["DevicePolicy"] == "'strict'"
    entries = parse(found["DeviceAllow"])[1]
    assert ("/dev/char/10:229", "rw") in entries
    assert ("char-*", "m") in entries
    assert ("char-136", "rwm") in entries


def test_on_v1_everything_is_everything() -> None:
    found = devices([{"allow": True, "access": "rwm"}])
    assert found["DevicePolicy"] == "'auto'"
    assert found["DeviceAllow"] == "@a(ss) []"


@pytest.mark.parametrize(
    "rule",
    [
        {"allow": True, "type": "c", "minor": 5, "access": "rw"},
        {"allow": False, "type": "c", "major": 10, "access": "w"},
    ],
)
def test_on_v1_a_rule_that_systemd_has_no_words_for_is_refused(rule: dict[str, Any]) -> None:
    first = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    (line,) = wrong(spec(linux__resources={"devices": [first, rule]}), host(hosts.root_v1()))
    assert line.startswith("linux.resources.devices[1]: systemd on cgroup v1 takes only a list")


def test_on_cgroup2_the_program_is_pyruncs_alone() -> None:
    found = planned(spec(linux__resources={"devices": [{"allow": False, "access": "rwm"}]}))
    assert not {"DevicePolicy", "DeviceAllow"} & given_to(found).keys()
    assert [op.name for op in found.ops].count("device_filter") == 1
