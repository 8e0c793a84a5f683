"""The cgroup2 side, on a mount of it without controllers: freeze, kill, membership and the device filter work there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root")


def device_bundle(made: Bundle) -> Bundle:
    caps = ["CAP_MKNOD"]
    made.edit(process__capabilities={"bounding": caps, "effective": caps, "permitted": caps})
    script = "mknod /tmp/loop b 7 0; true </tmp/loop && echo open; mknod /tmp/z c 1 5; true </tmp/z && echo zero"
    return made.edit(root__readonly=False).args("sh", "-c", script)


def test_the_device_filter_refuses_what_no_rule_allows(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    result = on_cgroup2(f"$P run --bundle {device_bundle(bundle()).path} {container_id}")
    assert result.stdout == "zero\n"
    assert "/tmp/loop: Operation not permitted" in result.stderr


def test_the_device_filter_lets_through_what_a_rule_allows(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = device_bundle(bundle())
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "r"}]
    made.edit(linux__resources={"devices": rules})
    assert on_cgroup2(f"$P run --bundle {made.path} {container_id}").stdout == "open\nzero\n"


def test_the_process_is_born_in_its_cgroup_which_goes_with_it(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = bundle().edit(linux__cgroupsPath=f"/{container_id}").args("grep", "^0:", "/proc/self/cgroup")
    result = on_cgroup2(f"$P run --bundle {made.path} {container_id}; ls -d /sys/fs/cgroup/{container_id}", status=2)
    assert result.stdout == f"0::/{container_id}\n"


def test_exec_joins_and_delete_force_kills_all(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = bundle().edit(linux__cgroupsPath=f"/{container_id}").args("sleep", "1000").without_namespace("pid")
    script = (
        f"$P run --detach --bundle {made.path} {container_id} </dev/null >/dev/null 2>&1; "
        f"$P exec {container_id} grep ^0: /proc/self/cgroup; "
        f"$P exec --detach {container_id} sleep 1000 </dev/null >/dev/null 2>&1; "
        f"$P ps --format json {container_id}; $P delete --force {container_id}; "
        f"test ! -e /sys/fs/cgroup/{container_id} && echo gone"
    )
    lines = on_cgroup2(script).stdout.splitlines()
    assert lines[0] == f"0::/{container_id}"
    assert len(lines[1].strip("[]").split(",")) == 2
    assert lines[2:] == ["gone"]


@pytest.mark.needs("cgroup1")  # whose controllers cgroup2 does not have
def test_a_controller_that_is_not_there_is_named_with_the_field(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str, root: Path
) -> None:
    made = bundle().edit(linux__resources={"memory": {"limit": 1 << 26}}, linux__cgroupsPath=f"/{container_id}")
    script = f"$P create --bundle {made.path} {container_id}; ls /sys/fs/cgroup | grep -c {container_id}"
    result = on_cgroup2(script, status=1)
    assert "linux.resources.memory.limit: cgroup2 has no memory controller" in result.stderr
    assert result.stdout == "0\n"
    assert not (root / container_id).exists()


def test_a_frozen_cgroup_is_refused(
    on_cgroup2: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    """pyrunc-init would freeze in it, and creation never end."""
    name = f"{container_id}-frozen"
    made = bundle().edit(linux__cgroupsPath=f"/{name}/below")
    result = on_cgroup2(
        f"mkdir /sys/fs/cgroup/{name} && echo 1 >/sys/fs/cgroup/{name}/cgroup.freeze && "
        f"until grep -q 'frozen 1' /sys/fs/cgroup/{name}/cgroup.events; do sleep 0.01; done; "
        f"$P run --bundle {made.path} {container_id}; echo $?; rmdir /sys/fs/cgroup/{name}"
    )
    assert result.stdout == "1\n"
    assert f"linux.cgroupsPath: container's cgroup unexpectedly frozen: /sys/fs/cgroup/{name}" in result.stderr
