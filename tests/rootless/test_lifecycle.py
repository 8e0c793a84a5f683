"""An ordinary user creates, runs and deletes containers without any help of root."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.host.probe import subids
from tests.callers.enclosure import Enclosure, on_a_terminal
from tests.root.box import until, wait_for_exit
from tests.root.comparison import differences, lines, unexplained
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "setpriv", "busybox", "static")


def test_root_inside_is_the_user_outside(user: User, container_id: str) -> None:
    seen = json.loads(user.run("run", "--bundle", user.bundle(), container_id).stdout)
    assert seen["ids"]["uid"] == [0, 0, 0]
    assert seen["uid_map"][0].split() == ["0", str(user.uid), "1"]
    assert seen["gid_map"][0].split() == ["0", str(user.gid), "1"]
    assert seen["setgroups"] == "deny\n"
    assert seen["process"]["pid"] == 1
    assert seen["hostname"] == "container"
    assert seen["interfaces"] == ["lo"]


@pytest.mark.needs("timens")
def test_a_time_namespace_is_its_own(user: User, container_id: str) -> None:
    config = user.config()
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"boottime": {"secs": 86400}}
    seen = json.loads(user.run("run", "--bundle", user.bundle(config), container_id).stdout)
    assert seen["namespaces"]["time"] not in ("", os.readlink("/proc/self/ns/time"))
    assert [line.split() for line in seen["timens_offsets"]] == [["monotonic", "0", "0"], ["boottime", "86400", "0"]]


@pytest.mark.needs("runc")
def test_the_container_looks_as_under_runc(user: User, runc: Path, ids: Callable[[], str]) -> None:
    found = []
    for number, runtime in enumerate((runc, user.runtime)):
        bundle, id_ = user.bundle(), ids()
        root = user.home / f"state{number}"
        root.mkdir()
        user.give(root)
        done = run(*user.argv("--root", root, "run", "--bundle", bundle, id_, runtime=runtime), env=user.env)
        found.append(lines(json.loads(done.stdout), {id_: "<ID>", str(bundle.path): "<BUNDLE>"}))
    left = unexplained(differences(*found))
    assert not left, "- is runc, + is this runtime:\n" + "\n".join(left)


def test_the_whole_life(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/sleep", "1000")
    with open(os.devnull, "wb") as null:
        command = user.argv("create", "--bundle", bundle, "--pid-file", user.home / "pid", container_id)
        subprocess.run(command, env=user.env, stdin=null, stdout=null, stderr=null, check=True)
    pid = int((user.home / "pid").read_text())
    assert json.loads(user.run("state", container_id).stdout)["status"] == "created"
    user.run("start", container_id)
    assert json.loads(user.run("state", container_id).stdout)["status"] == "running"
    assert user.run("exec", container_id, "/bin/echo", "inside").stdout == "inside\n"
    assert user.run("list", "-q").stdout == f"{container_id}\n"
    user.run("kill", container_id, "KILL")
    wait_for_exit(pid)
    until(lambda: json.loads(user.run("state", container_id).stdout)["status"] == "stopped", lambda: "stopped")
    user.run("delete", container_id)
    assert user.run("list", "-q").stdout == ""
    assert not (user.home / "run" / "pyrunc" / container_id).exists()


def test_the_state_is_below_the_users_runtime_directory(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/true")
    user.run("run", "--keep", "--bundle", bundle, container_id)
    folder = user.home / "run" / "pyrunc"
    assert (folder / container_id).is_dir()
    assert folder.stat().st_mode & 0o066 == 0  # others may pass through to a directory that they own
    assert folder.stat().st_uid == user.uid
    user.run("delete", container_id)


def test_without_a_runtime_directory_the_way_out_is_named(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/true")
    result = user.run("run", "--bundle", bundle, container_id, env={"PATH": user.env["PATH"]}, status=None)
    if result.status != 0:
        assert "XDG_RUNTIME_DIR" in result.stderr or "--root" in result.stderr


def test_a_root_of_the_users_choice(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/true")
    user.run("--root", user.home / "mine", "run", "--bundle", bundle, container_id, env={"PATH": user.env["PATH"]})


@pytest.mark.parametrize("code", [0, 3])
def test_run_ends_with_the_programs_code(user: User, container_id: str, code: int) -> None:
    user.run("run", "--bundle", user.bundle().args("/bin/sh", "-c", f"exit {code}"), container_id, status=code)


def test_exec_is_in_the_user_namespace(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/sleep", "1000")
    with open(os.devnull, "wb") as null:
        subprocess.run(
            user.argv("run", "-d", "--bundle", bundle, container_id),
            env=user.env, stdin=null, stdout=null, stderr=null, check=True,
        )  # fmt: skip
    seen = json.loads(user.run("exec", container_id, "/bin/probe").stdout)
    assert seen["uid_map"][0].split() == ["0", str(user.uid), "1"]
    # The caller's groups stay, as setgroups(2) is denied: its own is the container's root, others are nobody's.
    own = [] if os.geteuid() == 0 else sorted({0 if group == user.gid else 65534 for group in os.getgroups()})
    assert sorted(set(seen["ids"]["groups"])) == own
    user.run("delete", "--force", container_id)


def test_a_terminal(user: User, container_id: str) -> None:
    bundle = (
        user.bundle()
        .args("/bin/sh", "-c", "until stty size 2>&1 | grep -q '22 66'; do :; done; stty size; exit 4")
        .edit(process__terminal=True)
    )
    code, screen = on_a_terminal(user.argv("run", "--bundle", bundle, container_id), env=user.env, size=(22, 66))
    assert code == 4, screen
    assert b"22 66" in screen


def test_hooks_run_as_the_user(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/true")
    log = user.home / "run" / "log"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >/dev/null; /usr/bin/id -u >>{log}"]}
    bundle.edit(hooks={"createRuntime": [hook], "poststop": [hook]})
    user.run("run", "--bundle", bundle, container_id)
    assert log.read_text() == f"{user.uid}\n" * 2


def test_writes_belong_to_the_user(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/touch", "/root/made")
    user.run("run", "--bundle", bundle, container_id)
    assert (bundle.rootfs / "root/made").stat().st_uid == user.uid


def test_cgroups_are_read_only(user: User, container_id: str) -> None:
    # CVE-2023-25809: with and without a cgroup namespace.
    for kinds in ((), ("cgroup",)):
        bundle = user.bundle().args("/bin/probe", "write=/sys/fs/cgroup/new", "print=write", "print=mounts")
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
        for kind in kinds:
            bundle.namespace(kind)
        result = user.run("run", "--bundle", bundle, container_id, status=None)
        if result.status == 0:
            seen = json.loads(result.stdout)
            assert "error" in seen["write"]["/sys/fs/cgroup/new"]
            points = [line for line in seen["mounts"] if " /sys/fs/cgroup" in line]
            assert all(" ro," in line.split(" - ")[0] for line in points), points


def test_without_a_user_namespace_the_config_is_refused(user: User, container_id: str) -> None:
    bundle = user.bundle()
    bundle.without_namespace("user").edit(linux__uidMappings=None, linux__gidMappings=None)
    result = user.run("run", "--bundle", bundle, container_id, status=1)
    assert "linux.namespaces" in result.stderr
    assert "user" in result.stderr


def test_a_user_that_is_not_mapped_is_refused(user: User, container_id: str) -> None:
    bundle = user.bundle().edit(process__user={"uid": 1, "gid": 0})
    assert "process.user" in user.run("run", "--bundle", bundle, container_id, status=1).stderr


def test_a_mapping_that_the_user_may_not_have_is_refused(user: User, container_id: str) -> None:
    bundle = user.bundle().edit(linux__uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}])
    assert "linux.uidMappings" in user.run("run", "--bundle", bundle, container_id, status=1).stderr


def test_limits_that_cannot_be_had_are_refused(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/bin/true").edit(linux__resources={"memory": {"limit": 64 << 20}})
    result = user.run("run", "--bundle", bundle, container_id, status=1)
    assert result.stderr.startswith("pyrunc: linux.resources.memory")


def test_a_failure_leaves_nothing(user: User, container_id: str) -> None:
    bundle = user.bundle().args("/no/such/file")
    result = user.run("run", "--bundle", bundle, container_id, status=1)
    assert 'exec: "/no/such/file": stat /no/such/file: no such file or directory' in result.stderr
    assert not (user.home / "run" / "pyrunc" / container_id).exists()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                root = os.readlink(f"/proc/{entry}/root")
            except OSError:
                continue
            assert not root.startswith(str(bundle.path))


def test_spec_rootless_makes_a_config_that_runs(user: User, container_id: str) -> None:
    bundle = user.bundle()
    (bundle.path / "config.json").unlink()
    user.run("spec", "--rootless", "--bundle", bundle.path)
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": user.uid, "size": 1}]
    config["process"]["args"] = ["/bin/echo", "it runs"]
    config["process"]["terminal"] = False
    config["root"]["readonly"] = False
    (bundle.path / "config.json").write_text(json.dumps(config))
    assert user.run("run", "--bundle", bundle, container_id).stdout == "it runs\n"


SUBORDINATE_IDS = """\
echo 'pyrunc-test-user:{uid}:300000:65536' | sed 's/:{uid}:/:/' >/run/subid
cp /etc/passwd /run/passwd
echo 'pyrunc-test-user:x:{uid}:{gid}::/:/bin/sh' >>/run/passwd
touch /etc/subuid /etc/subgid
mount --bind /run/subid /etc/subuid
mount --bind /run/subid /etc/subgid
mount --bind /run/passwd /etc/passwd
"""


@pytest.mark.needs("subids", "nsenter")
def test_ranges_of_subordinate_ids(user: User, container_id: str, tmp_path: Path) -> None:
    # newuidmap reads /etc/subuid: a user of the tests gets a range in an enclosure, where it hides the machine's.
    if os.geteuid() == 0:
        setup = SUBORDINATE_IDS.format(uid=user.uid, gid=user.gid)
        with Enclosure(tmp_path, setup=setup) as enclosure:
            in_ranges(user, container_id, 300000, enclosure.run)
        return
    (first, _), *_ = subids("/etc/subuid", user.uid)

    def directly(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    in_ranges(user, container_id, first, directly)


def in_ranges(
    user: User, container_id: str, first: int, call: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    """A container with the user as root and its subordinate ids, from ``first``, as the others; and one with ids that
    are not the user's."""
    ranges = [{"containerID": 0, "hostID": user.uid, "size": 1}, {"containerID": 1, "hostID": first, "size": 65535}]
    bundle = user.bundle().edit(linux__uidMappings=ranges, linux__gidMappings=ranges)
    bundle.edit(process__user={"uid": 1000, "gid": 50, "additionalGids": [7]})
    done = call(user.argv("run", "--bundle", bundle, container_id), env=user.env)
    assert done.returncode == 0, done.stderr.decode()
    seen = json.loads(done.stdout)
    assert seen["ids"] == {"uid": [1000] * 3, "gid": [50] * 3, "groups": [7]}
    assert [line.split() for line in seen["uid_map"]] == [["0", str(user.uid), "1"], ["1", str(first), "65535"]]
    bundle.edit(linux__uidMappings=[ranges[0], {"containerID": 1, "hostID": 500000, "size": 10}])
    done = call(user.argv("run", "--bundle", bundle, container_id), env=user.env)
    assert done.returncode == 1
    assert b"linux.uidMappings" in done.stderr
