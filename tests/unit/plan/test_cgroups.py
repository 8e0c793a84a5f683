"""Where the cgroups of a container are, which controllers they get, who owns them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plan import hosts
from tests.unit.plan.test_create import names, ops, refusals, spec

LIMITED = {"memory": {"limit": 1 << 20}, "pids": {"limit": 5}}


def enabled(config: Any, facts: Any = None) -> list[tuple[Any, ...]]:
    return [op.args for op in ops(config, "cgroup_enable", facts)]


def test_on_cgroup2_a_relative_path_is_beside_the_callers_cgroup_and_on_v1_below_it() -> None:
    facts = hosts.root_v2()
    facts["cgroup"]["own"][""] = "/user.slice/session.scope"
    assert ops(spec(), "cgroup_create", facts)[0].args == ("/sys/fs/cgroup/user.slice/golden",)
    assert ops(spec(linux__cgroupsPath="a/b"), "cgroup_create", facts)[0].args == ("/sys/fs/cgroup/user.slice/a/b",)
    assert ops(spec(linux__cgroupsPath="/a/b"), "cgroup_create", facts)[0].args == ("/sys/fs/cgroup/a/b",)
    v1 = hosts.root_v1()
    v1["cgroup"]["own"]["memory"] = "/job"
    assert ("/sys/fs/cgroup/memory/job/golden",) in [op.args for op in ops(spec(), "cgroup_create", v1)]


def test_a_caller_at_the_top_of_cgroup2_has_its_containers_there() -> None:
    facts = hosts.root_v2()
    facts["cgroup"]["own"][""] = "/"
    assert ops(spec(), "cgroup_create", facts)[0].args == ("/sys/fs/cgroup/golden",)


def test_without_privilege_there_is_a_cgroup_where_one_was_delegated_or_a_limit_asks_for_it() -> None:
    user = hosts.user()
    config = userns()
    assert ops(config, "cgroup_create", user) == []
    made = ops(config, "cgroup_create", {**user, "delegated": True})
    assert [(op.args, op.where) for op in made] == [(("/sys/fs/cgroup/golden",), "linux.cgroupsPath")]
    # It is the limit that cannot be had, where nobody has named a path.
    limited = userns(linux__resources=LIMITED)
    assert [op.where for op in ops(limited, "cgroup_create", user)] == ["linux.resources.memory"]
    placed = userns(linux__resources=LIMITED, linux__cgroupsPath="/a")
    assert [op.where for op in ops(placed, "cgroup_create", user)] == ["linux.cgroupsPath"]


def userns(**edits: Any) -> Any:
    """A config for the user of ``hosts.user``, who is root inside."""
    alone = [{"containerID": 0, "hostID": 1000, "size": 1}]
    config = spec(linux__uidMappings=alone, linux__gidMappings=alone, **edits)
    config["linux"]["namespaces"].append({"type": "user"})
    return config


def shown(config: Any, facts: Any) -> str:
    """What is mounted at the container's /sys/fs/cgroup: a file system, or a directory of the host's."""
    index = next(i for i, mount in enumerate(config["mounts"]) if mount["destination"] == "/sys/fs/cgroup")
    found = ops(config, "fsmount", facts) + ops(config, "open_tree", facts)
    return next(str(op.args[1]) for op in found if op.where == f"mounts[{index}]")


def test_without_a_cgroup_namespace_cgroup2_is_what_the_host_sees_unless_the_kernel_refuses() -> None:
    config = spec()
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "cgroup"]
    assert shown(config, hosts.root_v2()) == "cgroup2"
    delegated = {**hosts.root_v2(), "initial_userns": False, "delegated": True}
    assert shown(config, delegated) == "/sys/fs/cgroup/golden"
    mapped = {"containerID": 0, "hostID": 100000, "size": 65536}
    config["linux"].update(uidMappings=[mapped], gidMappings=[mapped])
    config["linux"]["namespaces"].append({"type": "user"})
    assert shown(config, hosts.root_v2()) == "/sys/fs/cgroup/golden"
    config["linux"]["namespaces"].append({"type": "cgroup"})
    assert shown(config, hosts.root_v2()) == "cgroup2"


def test_cgroup2_gives_what_the_config_needs_and_the_usual_controllers_where_it_can() -> None:
    needed = ("memory", "pids"), ("linux.resources.memory.limit", "linux.resources.pids.limit")
    found = enabled(spec(linux__resources=LIMITED))
    assert found == [("/sys/fs/cgroup/golden", "/sys/fs/cgroup", *needed, ("cpu", "cpuset", "hugetlb", "io"))]
    usual = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
    assert enabled(spec()) == [("/sys/fs/cgroup/golden", "/sys/fs/cgroup", (), (), usual)]
    order = names(spec(linux__resources=LIMITED))
    assert order.index("cgroup_create") < order.index("cgroup_enable") < order.index("cgroup_write")


def test_no_controller_of_cgroup2_is_enabled_where_v1_has_all_that_is_asked_for() -> None:
    facts = hosts.root_v1()
    facts["cgroup"]["mode"] = "hybrid"
    facts["cgroup"]["mounts"][""] = "/sys/fs/cgroup/unified"
    facts["cgroup"]["own"][""] = "/"
    assert enabled(spec(linux__resources=LIMITED), facts) == []
    huge = {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}
    assert enabled(spec(linux__resources=huge), facts) == [
        (
            "/sys/fs/cgroup/unified/golden",
            "/sys/fs/cgroup/unified",
            ("hugetlb",),
            ("linux.resources.hugepageLimits[0]",),
            (),
        )
    ]


def test_devices_without_a_hierarchy_of_v1_are_filtered_on_cgroup2() -> None:
    facts = hosts.root_v1()
    del facts["cgroup"]["mounts"]["devices"]
    assert refusals(spec(), facts) == ["linux.resources.devices: this host has no devices cgroup controller"]
    facts["cgroup"]["mounts"][""] = "/sys/fs/cgroup/unified"
    assert ops(spec(), "device_filter", facts)[0].args[0] == "/sys/fs/cgroup/unified/golden"


def test_a_cpuset_of_the_config_is_no_copy_of_the_one_above() -> None:
    config = spec(linux__resources={"cpu": {"cpus": "0"}}, linux__cgroupsPath="/pod/one")
    assert [op.args for op in ops(config, "cgroup_copy", hosts.root_v1())] == [
        ("/sys/fs/cgroup/cpuset/pod", "cpuset.cpus"),
        ("/sys/fs/cgroup/cpuset/pod/one", "cpuset.mems"),
    ]


def test_every_resource_is_refused_without_cgroups() -> None:
    wanted = {**LIMITED, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}], "unified": {"io.max": "x"}, "rdma": {}}
    assert [line.split(":")[0] for line in refusals(spec(linux__resources=wanted), cgroup_manager="disabled")] == [
        "linux.resources.memory",
        "linux.resources.pids",
        "linux.resources.hugepageLimits",
        "linux.resources.unified",
    ]


def test_members_of_resources_that_nobody_knows_are_no_wish() -> None:
    config = spec(linux__resources={"example": {"a": "future"}, "exampleNumber": 1.5})
    assert not ops(config, "cgroup_create", cgroup_manager="disabled")
    facts = {**hosts.root_v1(), "uid": 1000, "initial_userns": False}
    assert not ops(with_user_namespace(config), "cgroup_create", facts)


#: What engines send for options that nobody gave.
ZEROS = {
    "memory": {"limit": 0, "swap": 0, "disableOOMKiller": False},
    "cpu": {"shares": 0, "quota": 0, "cpus": ""},
    "blockIO": {"weight": 0, "weightDevice": []},
    "network": {"classID": 0, "priorities": []},
    "pids": {},
}


def test_zeros_are_no_wish() -> None:
    config = spec(linux__resources={**ZEROS, "devices": []})
    assert not ops(config, "cgroup_create", cgroup_manager="disabled")
    facts = {**hosts.root_v1(), "uid": 1000, "initial_userns": False}
    config = with_user_namespace(config)
    assert not ops(config, "cgroup_create", facts)
    config["linux"]["resources"]["pids"] = {"limit": 0}
    assert ops(config, "cgroup_create", facts)


def test_where_cgroups_are_disabled_devices_have_no_rules() -> None:
    config = spec(linux__resources={"devices": [{"allow": False, "access": "rwm"}]})
    for name in ("device_filter", "cgroup_create", "cgroup_write"):
        assert not ops(config, name, cgroup_manager="disabled")


def writable(**changes: Any) -> Any:
    config = spec(**changes)
    config["linux"]["namespaces"].append({"type": "cgroup"})
    mounts = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
    config["mounts"] = [*mounts, {"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup"}]
    return config


def with_user_namespace(config: Any) -> Any:
    config["linux"]["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    return config


def owners(config: Any, facts: Any = None) -> list[tuple[Any, ...]]:
    return [op.args for op in ops(config, "cgroup_own", facts)]


def test_a_container_that_may_write_to_its_cgroup2_owns_it() -> None:
    assert owners(with_user_namespace(writable())) == [("/sys/fs/cgroup/golden", 100000)]
    config = with_user_namespace(writable())
    config["process"]["user"]["uid"] = 1000
    assert owners(config) == [("/sys/fs/cgroup/golden", 101000)]
    without = writable()
    without["process"]["user"]["uid"] = 1000
    assert owners(without) == [("/sys/fs/cgroup/golden", 1000)]


@pytest.mark.parametrize(
    "why", ["read-only", "no mount", "the host's namespace", "v1", "root", "not mapped", "no right"]
)
def test_nobody_else_is_given_a_cgroup(why: str) -> None:
    config, facts = with_user_namespace(writable()), hosts.root_v2()
    if why == "read-only":
        config["mounts"][-1]["options"] = ["nosuid", "ro"]
    elif why == "no mount":
        config["mounts"].pop()
    elif why == "the host's namespace":
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "cgroup"]
    elif why == "v1":
        facts = hosts.root_v1()
    elif why == "root":
        config = writable()
    elif why == "not mapped":
        config["process"]["user"]["uid"] = 70000
    elif why == "no right":
        facts["caps"] &= ~1
    assert owners(config, facts) == []


def test_on_v1_a_container_without_a_cgroup_of_its_own_sees_its_callers() -> None:
    facts = hosts.user()
    facts["cgroup"] = hosts.root_v1()["cgroup"]
    facts["cgroup"]["own"]["memory"] = "/job"
    config = userns()
    config["mounts"] = [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}]
    shown = [op.args[1] for op in ops(config, "open_tree", facts) if "/sys/fs/cgroup" in str(op.args[1])]
    assert "/sys/fs/cgroup/memory/job" in shown
    assert "/sys/fs/cgroup/memory" not in shown
    assert "/sys/fs/cgroup/pids" in shown
