"""Decisions of the plan that a golden file would hide: what is refused, with which path, and what depends on whom."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.plan import describe
from pyrunc.plan.create import create
from pyrunc.plan.failure import explain
from pyrunc.plan.ops import Op
from pyrunc.spec import template
from tests.unit.plan import hosts


def spec(**changes: Any) -> Any:
    found: Any = template.default(rootless=False, uid=0, gid=0)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = found
        for name in parents:
            place = place[name]
        place[last] = value
    return found


def refusals(config: Any, facts: Any = None, **request: Any) -> list[str]:
    with pytest.raises(SpecError) as error:
        create(config, facts or hosts.root_v2(), hosts.request(**request))
    return [str(violation) for violation in error.value.violations]


def names(config: Any, facts: Any = None, **request: Any) -> list[str]:
    return [op.name for op in create(config, facts or hosts.root_v2(), hosts.request(**request)).ops]


def ops(config: Any, name: str, facts: Any = None, **request: Any) -> list[Op]:
    found = create(config, facts or hosts.root_v2(), hosts.request(**request)).ops
    return [op for op in found if op.name == name]


def test_labels_need_their_security_module() -> None:
    config = spec(process__apparmorProfile="p", process__selinuxLabel="l", linux__mountLabel="m")
    assert [line.split(":")[0] for line in refusals(config)] == [
        "process.apparmorProfile",
        "process.selinuxLabel",
        "linux.mountLabel",
    ]


def test_every_reason_is_given_at_once() -> None:
    config = spec(process__apparmorProfile="p")
    config["mounts"] += [
        {"destination": "/proc/kcore", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/x", "source": "/y", "options": ["bind", "tmpcopyup"]},
        {"destination": "/z", "options": ["bind"]},
    ]
    assert len(refusals(config)) == 4


def test_an_option_of_a_file_system_on_a_bind_mount_is_a_warning_by_name() -> None:
    config = spec()
    config["mounts"].append({"destination": "/x", "source": "/y", "options": ["bind", "size=1", "sync"]})
    last = len(config["mounts"]) - 1
    found = create(config, hosts.root_v2(), hosts.request()).warnings
    assert [warning.path for warning in found] == [f"mounts[{last}].options[1]", f"mounts[{last}].options"]


@pytest.mark.parametrize("manager", ["disabled"])
def test_limits_without_cgroups_are_refused_not_ignored(manager: str) -> None:
    config = spec(linux__resources={"memory": {"limit": 1 << 20}, "pids": {"limit": 5}})
    assert [line.split(":")[0] for line in refusals(config, cgroup_manager=manager)] == [
        "linux.resources.memory",
        "linux.resources.pids",
    ]


def test_a_missing_v1_controller_is_named() -> None:
    facts = hosts.root_v1()
    del facts["cgroup"]["mounts"]["pids"]
    config = spec(linux__resources={"pids": {"limit": 5}})
    assert refusals(config, facts) == ["linux.resources.pids.limit: this host has no pids cgroup controller"]


def test_swap_counts_memory_too_and_is_converted_for_cgroup2() -> None:
    config = spec(linux__resources={"memory": {"limit": 100, "swap": 150}})
    values = {str(op.args[0]).rpartition("/")[2]: op.args[1] for op in ops(config, "cgroup_write")}
    assert values["memory.max"] == "100"
    assert values["memory.swap.max"] == "50"


def test_an_ordinary_user_without_wishes_gets_no_cgroup() -> None:
    config: Any = template.default(rootless=True, uid=1000, gid=1000)
    found = names(config, hosts.user())
    assert "cgroup_create" not in found
    assert "write_id_maps" in found


def test_a_single_own_id_is_mapped_directly_and_costs_setgroups() -> None:
    config: Any = template.default(rootless=True, uid=1000, gid=1000)
    assert ops(config, "write_id_maps", hosts.user())[0].args[2] == "deny"
    assert ops(config, "ids", hosts.user())[0].args[3] == 0
    config["process"]["user"]["additionalGids"] = [7]
    assert refusals(config, hosts.user())[0].startswith("process.user.additionalGids: cannot be set")


def test_a_range_of_subordinate_ids_goes_through_newuidmap() -> None:
    config: Any = template.default(rootless=True, uid=1000, gid=1000)
    mapping = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
    config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    assert ops(config, "new_id_maps", hosts.user())[0].args[0] == ("0", "1000", "1", "1", "100000", "65536")
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 5, "size": 1}, mapping[1]]
    assert refusals(config, hosts.user()) == [
        "linux.uidMappings[0]: host ids 5-5 are not yours to map: you have 1000-1000, 100000-165535 (see /etc/subuid)"
    ]


def test_root_mapping_others_writes_the_maps_itself() -> None:
    config = spec()
    config["linux"]["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    assert ops(config, "write_id_maps")[0].args == ("0 100000 65536\n", "0 100000 65536\n", "")


def test_root_is_hidden_from_its_birth_and_another_user_when_the_maps_are_written() -> None:
    """In namespaces that are joined nobody sees the process while it could be traced."""
    config = spec()
    config["linux"]["namespaces"].append({"type": "user", "path": "/proc/1/ns/user"})
    found = names(config)
    assert found.index("dumpable") < found.index("join_namespaces") < found.index("clone")
    assert found.count("dumpable") == 1
    found = names(template.default(rootless=True, uid=1000, gid=1000), hosts.user())
    assert found.index("write_id_maps") < found.index("dumpable") < found.index("become_root")


def test_offsets_of_a_time_namespace_need_root_or_a_new_user_namespace() -> None:
    config: Any = template.default(rootless=True, uid=1000, gid=1000)
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}
    found = names(config, hosts.user())
    assert found.index("proc_write") < found.index("enter_time_ns") < found.index("dumpable")
    next(each for each in config["linux"]["namespaces"] if each["type"] == "user")["path"] = "/proc/1/ns/user"
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    assert refusals(config, hosts.user()) == [
        "linux.timeOffsets: needs root, or a new user namespace in linux.namespaces"
    ]


def test_seccomp_comes_last_with_no_new_privs_and_before_the_capabilities_without() -> None:
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW"}
    with_it = names(spec(linux__seccomp=seccomp, process__noNewPrivileges=True))
    assert with_it[-2:] == ["seccomp", "execve"]
    assert with_it.index("caps") < with_it.index("ready")
    without = names(spec(linux__seccomp=seccomp, process__noNewPrivileges=False))
    assert without[-3:] == ["seccomp", "caps", "execve"]


def test_a_listener_is_fetched_while_the_runtime_is_still_there() -> None:
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chown"], "action": "SCMP_ACT_NOTIFY"}]}
    found = names(spec(linux__seccomp={**seccomp, "listenerPath": "/run/agent"}))
    assert found.index("seccomp") < found.index("ready")
    by_annotation = spec(linux__seccomp=seccomp)
    by_annotation["annotations"] = {"run.oci.seccomp.receiver": "/run/agent"}
    assert ops(by_annotation, "seccomp")[0].args[2] == 1


def test_a_listener_that_no_rule_asks_for_is_not_fetched() -> None:
    for action in ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"):
        rules = [{"names": ["chown"], "action": action}]
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "syscalls": rules}
        config = spec(linux__seccomp=seccomp)
        assert names(config).index("seccomp") > names(config).index("ready")
        assert ops(config, "seccomp")[0].args[2] == 0


def test_a_cgroup2_process_is_born_in_its_cgroup_and_a_v1_one_joins_before_the_clone() -> None:
    assert ops(spec(), "clone")[0].args[1] >= 0  # type: ignore[operator]
    found = names(spec(), hosts.root_v1())
    assert found.index("join_cgroup") < found.index("clone")


def test_a_shared_rootfs_becomes_shared_only_behind_pivot_root() -> None:
    config = spec(linux__rootfsPropagation="rshared")
    plan = describe.text(create(config, hosts.root_v2(), hosts.request()))
    before, _, after = plan.partition("pivot_root")
    assert "propagation=MS_SHARED" not in before.split("attach_root")[0]
    assert "propagation=MS_SHARED" in after


def test_the_clone_asks_only_for_namespaces_that_are_new() -> None:
    config = spec()
    config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "network", "path": "/run/netns/x"}]
    found = describe.text(create(config, hosts.root_v2(), hosts.request()))
    assert "clone flags=CLONE_NEWNS cgroup" in found
    assert "types=[CLONE_NEWNET]" in found


def test_of_a_variable_that_is_named_twice_the_last_value_counts() -> None:
    config = spec(process__env=["A=1", "PATH=/a", "A=2=x", "EMPTY=", "PATH=/b", "B", "B", "=x", "=x", ""])
    (execve,) = ops(config, "execve")
    assert execve.args[1] == ("A=2=x", "PATH=/b", "EMPTY=", "B", "B", "=x", "=x", "")


@pytest.mark.parametrize("env", [[], ["HOME="], ["HOME=/x", "HOME="], ["HOMER=/x"]])
def test_who_has_no_home_gets_that_of_the_container(env: list[str]) -> None:
    config = spec(process__env=env, process__user={"uid": 7, "gid": 8})
    (home,) = ops(config, "home")
    assert home.args == (7,)
    assert names(config).index("pivot_root") < names(config).index("home") < names(config).index("ids")
    assert "'HOME=" not in str(ops(config, "execve")[0].args[1])


def test_a_home_of_the_config_stays() -> None:
    config = spec(process__env=["HOME=", "HOME=/x"])
    assert ops(config, "home") == []
    assert ops(config, "execve")[0].args[1] == ("HOME=/x",)


def test_capabilities_that_the_kernel_does_not_have_are_left_out() -> None:
    facts = hosts.root_v2()
    facts["last_cap"] = 20
    config = spec(process__capabilities={"bounding": ["CAP_SYS_ADMIN", "CAP_KILL"]})
    assert ops(config, "bounding", facts)[0].args == (1 << 5,)


ABSENT = "source does not exist: no such file or directory"


@pytest.mark.parametrize(
    ("op", "errno", "detail", "expected"),
    [
        (
            Op("open_tree", (8, "/srv", 1), "mounts[3].source"),
            2,
            "open_tree /srv",
            f"mounts[3].source: /srv: {ABSENT} (ENOENT) (create it on the host, or remove the mount)",
        ),
        (
            Op("execve", ((), ()), "process.args"),
            8,
            "exec /x: exec format error",
            "exec /x: exec format error",
        ),
        (Op("hostname", ("h",), "hostname"), 22, "", "hostname: hostname h: bad (EINVAL)"),
    ],
)
def test_a_failed_op_becomes_one_sentence(op: Op, errno: int, detail: str, expected: str) -> None:
    assert str(explain(op, errno, detail, "bad")) == expected
