"""Fields of config.json whose effect the comparison with runc 1.1 cannot show: runc has them later, or not at all."""

from __future__ import annotations

import array
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


# process


def test_the_umask(box: Box) -> None:
    box.bundle.edit(process__user={"uid": 0, "gid": 0, "umask": 0o137})
    assert box.sees()["umask"] == "0137"


def test_the_domain_name(box: Box) -> None:
    box.bundle.edit(domainname="example.org")
    assert box.sees()["domainname"] == "example.org"


@pytest.mark.parametrize(
    ("scheduler", "wanted"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, {"policy": 0, "nice": 7}),
        ({"policy": "SCHED_BATCH", "nice": 3}, {"policy": 3, "nice": 3}),
        ({"policy": "SCHED_IDLE"}, {"policy": 5}),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, {"policy": 0, "flags": 1}),
    ],
)
def test_the_scheduler(box: Box, scheduler: dict[str, Any], wanted: dict[str, int]) -> None:
    box.bundle.edit(process__scheduler=scheduler)
    assert wanted.items() <= box.sees()["scheduler"].items()


@pytest.mark.parametrize(("name", "number"), [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_the_io_priority(box: Box, name: str, number: int) -> None:
    box.bundle.edit(process__ioPriority={"class": name, "priority": 5})
    assert box.sees()["ioprio"] == {"class": number, "priority": 5}


@pytest.mark.needs("processors")
def test_the_affinity_of_an_executed_process(sleeper: Box, tmp_path: Path) -> None:
    process = {"user": {"uid": 0, "gid": 0}, "args": ["/bin/probe", "print=affinity"], "cwd": "/", "env": []}
    process["execCPUAffinity"] = {"initial": "0", "final": "1"}
    (tmp_path / "process.json").write_text(json.dumps(process))
    seen = json.loads(sleeper.exec("--process", str(tmp_path / "process.json"), "ID").stdout)
    assert seen["affinity"] == [1]


@pytest.mark.parametrize(("domain", "value"), [("LINUX", 0), ("LINUX32", 8)])
def test_the_personality(box: Box, domain: str, value: int) -> None:
    box.bundle.edit(linux__personality={"domain": domain})
    assert box.sees()["personality"] == value


def test_what_the_environment_lacks_is_found_and_what_is_there_twice_has_the_last_value(box: Box) -> None:
    (box.bundle.rootfs / "etc/passwd").write_text("a:x:0:0::/of/a:/bin/sh\nb:x:7:7::/of/b:/bin/sh\n")
    box.bundle.edit(process__env=["A=1", "B=1", "A=2"])
    assert box.sees()["env"] == ["A=2", "B=1", "HOME=/of/a"]


def test_environment_entries_are_passed_as_they_are(box: Box) -> None:
    env = ["A=1", "HOME=/x", "NO_VALUE", "=x", "", "SPACE= a  b ", "UTF8=grün", "PATH=/bin"]
    box.bundle.edit(process__env=env)
    seen = box.sees()["env"]
    assert [entry.encode("latin-1").decode() for entry in seen] == env


# Mounts


def nested(tmp_path: Path) -> Path:
    (tmp_path / "outer/inner").mkdir(parents=True)
    return tmp_path / "outer"


@pytest.mark.needs("unshare")
@pytest.mark.parametrize(
    ("option", "flag"), [("rro", "ro"), ("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec")]
)
def test_recursive_options_reach_the_mounts_below(box: Box, tmp_path: Path, option: str, flag: str) -> None:
    outer = nested(tmp_path)
    box.bundle.mount("/data", "bind", outer, "rbind", option).args("/bin/probe", "print=mounts")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    script = f'mount -t tmpfs tmpfs {outer}/inner && exec "$@"'
    result = run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command)
    found = {line.split()[4]: line.split()[5].split(",") for line in json.loads(result.stdout)["mounts"]}
    assert flag in found["/data"]
    assert flag in found["/data/inner"]


@pytest.mark.needs("idmap")
@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_an_idmapped_mount(box: Box, tmp_path: Path, option: str) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").touch()
    os.chown(tmp_path / "source/file", 5, 6)
    box.bundle.mount("/data", "bind", tmp_path / "source", "rbind" if option == "ridmap" else "bind", option)
    mapping = {"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 100}],
               "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 100}]}  # fmt: skip
    box.bundle.config["mounts"][-1] |= mapping
    entry = box.sees("stat=/data/file")["stat"]["/data/file"]
    assert (entry["uid"], entry["gid"]) in ((1005, 2006), (5 + 1000, 6 + 2000))


def test_copy_symlink_copies_the_link(box: Box, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("../somewhere/else")
    box.bundle.mount("/data-link", "bind", tmp_path / "link", "bind", "copy-symlink")
    entry = box.sees("stat=/data-link")["stat"]["/data-link"]
    assert (entry["type"], entry["to"]) == ("symlink", "../somewhere/else")


def test_tmpcopyup_keeps_modes_owners_and_links(box: Box) -> None:
    folder = box.bundle.rootfs / "copied"
    folder.mkdir(mode=0o710)
    (folder / "file").write_text("content\n")
    (folder / "file").chmod(0o4755)
    os.chown(folder / "file", 7, 8)
    (folder / "file").chmod(0o4755)
    (folder / "link").symlink_to("/anywhere")
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").touch()
    box.bundle.mount("/copied", "tmpfs", "tmpfs", "tmpcopyup")
    names = ["/copied", "/copied/file", "/copied/link", "/copied/deep/er/file"]
    seen = box.sees(*(f"stat={name}" for name in names), "read=/copied/file", "write=/copied/new")
    assert seen["stat"]["/copied"]["mode"] == "0710"
    file = seen["stat"]["/copied/file"]
    assert (file["mode"], file["uid"], file["gid"]) == ("4755", 7, 8)
    assert seen["stat"]["/copied/link"]["to"] == "/anywhere"
    assert seen["stat"]["/copied/deep/er/file"]["type"] == "file"
    assert seen["read"]["/copied/file"] == "content\n"
    assert seen["write"]["/copied/new"] == "written"
    assert not (folder / "new").exists()


@pytest.mark.parametrize("existing", [0o1777, 0o755, 0o700])
def test_a_tmpfs_keeps_the_mode_of_what_it_covers(box: Box, existing: int) -> None:
    (box.bundle.rootfs / "covered").mkdir()
    (box.bundle.rootfs / "covered").chmod(existing)
    box.bundle.mount("/covered", "tmpfs", "tmpfs")
    assert box.sees("stat=/covered")["stat"]["/covered"]["mode"] == f"{existing:04o}"


def test_a_second_start_sees_what_the_first_saw(new_box: Callable[..., Box]) -> None:
    box = new_box()
    box.bundle.mount("/tmp", "tmpfs", "tmpfs").mount("/made/for/mount", "tmpfs", "tmpfs")
    first = box.sees("stat=/tmp", "stat=/made/for/mount")
    second = box.sees("stat=/tmp", "stat=/made/for/mount")
    for path in ("/tmp", "/made/for/mount"):
        assert first["stat"][path]["mode"] == second["stat"][path]["mode"]


def test_a_mount_point_that_is_in_use_stays(box: Box) -> None:
    box.bundle.mount("/new/directory", "tmpfs", "tmpfs")
    box.bundle.args("/bin/sh", "-c", "echo x >/new/file")
    box.run()
    assert (box.bundle.rootfs / "new/file").read_text() == "x\n"


@pytest.mark.needs("unshare")
def test_no_mount_reaches_a_host_whose_mounts_are_shared(box: Box) -> None:
    # systemd makes / shared: what the runtime mounts must not propagate back.
    box.bundle.mount("/tmp", "tmpfs", "tmpfs").args("/bin/true")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    count = "wc -l </proc/self/mountinfo"
    script = f'mount --make-rshared / && {count}; "$@" || exit; {count}; "$@" || exit; {count}'
    # Private first: shared with this host, it would see what other tests mount.
    result = run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command)
    assert len(set(result.stdout.split())) == 1, result.stdout


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("users", ["the host's", "new"])
@pytest.mark.parametrize("mounted", ["a mount", "a directory"])
@pytest.mark.parametrize(("propagation", "reaches"), [(None, False), ("private", False), ("slave", True)])
def test_what_the_host_mounts_in_the_rootfs_later(
    box: Box, users: str, mounted: str, propagation: str | None, reaches: bool
) -> None:
    """crun keeps it out, and runc 1.1.15, as long as the config does not ask for it."""
    box.bundle.args("/bin/cat", "/proc/self/mountinfo").edit(linux__rootfsPropagation=propagation)
    (box.bundle.rootfs / "mnt").mkdir(exist_ok=True)
    if users == "new":
        mapping = [{"containerID": 0, "hostID": 0, "size": 65536}]
        box.bundle.namespace("user").edit(linux__uidMappings=mapping, linux__gidMappings=mapping)
    words = [str(box.runtime), "--root", str(box.root)]
    bind = 'mount --bind "$rootfs" "$rootfs"; mount --make-shared "$rootfs"' if mounted == "a mount" else ""
    script = f"""
        set -e; rootfs=$1; id=$2; shift 2
        mount --make-rshared /; {bind}
        "$@" create --bundle "${{rootfs%/*}}" "$id"
        mount -t tmpfs later "$rootfs/mnt"
        "$@" start "$id"
        until [ "$("$@" state "$id" | grep -c stopped)" = 1 ]; do sleep 0.02; done
        "$@" delete "$id"
    """
    shared = ("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh")
    seen = run(*shared, str(box.bundle.rootfs), box.id, *words).stdout
    assert "/rootfs / " in seen
    assert (" - tmpfs later " in seen) is reaches


# Seccomp


def errno_filter(**fields: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdirat", "mkdir"]} | fields]}  # fmt: skip


@pytest.mark.needs("libseccomp")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "SCMP_ACT_ERRNO"}, "Operation not permitted"),
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 28}, "No space left on device"),
        ({"action": "SCMP_ACT_ALLOW"}, ""),
        ({"action": "SCMP_ACT_LOG"}, ""),
        ({"action": "SCMP_ACT_TRACE"}, "not implemented"),
    ],
)
def test_seccomp_actions_that_the_program_survives(
    new_box: Callable[..., Box], fields: dict[str, Any], said: str
) -> None:
    box = new_box("/bin/sh", "-c", "/bin/busybox mkdir /tmp/new 2>&1; exit 0")
    box.bundle.edit(linux__seccomp=errno_filter(**fields))
    output = box.run().stdout
    assert said.lower() in output.lower() if said else output == ""


@pytest.mark.needs("libseccomp")
@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_seccomp_actions_that_end_the_program(new_box: Callable[..., Box], action: str) -> None:
    box = new_box("/bin/sh", "-c", "/bin/busybox mkdir /tmp/new; echo $?")
    box.bundle.edit(linux__seccomp=errno_filter(action=action))
    assert box.run().stdout == "159\n"  # 128 + SIGSYS


@pytest.mark.needs("libseccomp")
def test_seccomp_arguments(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "kill -0 $$ && echo zero; kill -CONT $$ || echo refused")
    rule = {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}]}
    box.bundle.edit(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    assert box.run().stdout == "zero\nrefused\n"


@pytest.mark.needs("libseccomp")
@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_filter_for_any_user(box: Box, user: int, no_new_privileges: bool) -> None:
    box.bundle.edit(linux__seccomp=errno_filter(action="SCMP_ACT_ERRNO"), process__user={"uid": user, "gid": user})
    box.bundle.edit(process__noNewPrivileges=no_new_privileges)
    status = box.sees()["status"]
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", str(int(no_new_privileges)))
    for field in ("CapEff", "CapPrm"):
        assert (int(status[field], 16) == 0) == (user != 0)


@pytest.mark.needs("libseccomp")
def test_the_seccomp_listener_goes_to_the_agent_with_metadata(box: Box, tmp_path: Path) -> None:
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(tmp_path / "agent"))
    agent.listen(1)
    agent.settimeout(60)
    got: dict[str, Any] = {}

    def serve() -> None:
        connection, _ = agent.accept()
        with connection:
            data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(64))
            fds = array.array("i")
            for _level, _kind, part in ancillary:
                fds.frombytes(part[: len(part) - len(part) % fds.itemsize])
            got["state"], got["fds"] = json.loads(data), list(fds)
            got["links"] = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
            for fd in fds:
                os.close(fd)

    thread = threading.Thread(target=serve)
    thread.start()
    rule = {"names": ["swapoff"], "action": "SCMP_ACT_NOTIFY"}
    box.bundle.edit(
        linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": str(tmp_path / "agent"),
                        "listenerMetadata": "the metadata"}
    )  # fmt: skip
    box.run()
    thread.join(timeout=60)
    agent.close()
    assert got["state"]["metadata"] == "the metadata"
    assert got["state"]["state"]["id"] == box.id
    assert got["state"]["fds"] == ["seccompFd"]
    assert len(got["fds"]) == 1
    assert "seccomp" in got["links"][0]


# Memory


@pytest.mark.needs("cgroup1")
def test_the_init_needs_less_than_300_kib(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    # The kernel charges 256 KiB in advance on each processor that a process runs on.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        box.create()
    finally:
        os.sched_setaffinity(0, before)
    (folder,) = [path for path in box.cgroups() if "/memory/" in str(path)]
    # What the kernel allocates for namespaces and mounts is charged, too, and is the same for any runtime.
    whole = int((folder / "memory.max_usage_in_bytes").read_text())
    kernel = int((folder / "memory.kmem.max_usage_in_bytes").read_text())
    assert whole - kernel < 300 * 1024, f"{(whole - kernel) / 1024:.0f} KiB"
    with open(f"/proc/{box.state()['pid']}/status") as file:
        (peak,) = [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
    assert peak < 300


@pytest.mark.needs("cgroup1")
def test_a_limit_of_one_mib_is_enough_for_a_static_program(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    box.bundle.edit(linux__resources={"memory": {"limit": 1 << 20}})
    box.run()
    box.nothing_left()


@pytest.mark.needs("cgroup1")
def test_no_process_of_python_is_ever_in_the_containers_cgroup(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/true")
    script = (
        'for p in $(cat /sys/fs/cgroup/memory/$(sed -n "s/.*:memory://p" /proc/self/cgroup)/*/cgroup.procs'
        ' /sys/fs/cgroup/pids/*/cgroup.procs 2>/dev/null | sort -u); do readlink /proc/$p/exe; done >"$1"'
    )
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    hook = {
        "path": "/bin/sh",
        "args": ["sh", "-c", script, "sh", str(tmp_path / "seen")],
        "env": ["PATH=/usr/bin:/bin"],
    }
    box.bundle.edit(hooks={"createRuntime": [hook]})
    box.create()
    for pid in box.processes():
        assert "python" not in os.readlink(f"/proc/{pid}/exe")
    until(lambda: box.processes() != [], lambda: "the init is in its cgroup")


@pytest.mark.needs("cgroup1")
def test_a_program_that_exceeds_its_memory_is_killed(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "x=$(yes abcdefgh | head -c 60000000)")
    box.bundle.edit(linux__resources={"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    box.run(status=137)
    box.nothing_left()
