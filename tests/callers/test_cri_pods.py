"""A pod and its containers over the CRI, as a kubelet makes them; the handler pyrunc beside runc."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.callers.cri import HANDLERS, SHARED, Pod, Refused, namespaces, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.cri import Container, Cri

pytestmark = pytest.mark.needs(
    "root", "containerd", "ctr", "cni", "runc", "busybox", "nsenter", "unshare", "overlay", "cgroup1"
)

SLEEP = "exec sleep 1000"
MIB = 1 << 20


@pytest.fixture(params=HANDLERS)
def pod(cri: Cri, request: pytest.FixtureRequest) -> Iterator[Pod]:
    """A pod of either handler."""
    with Pod(cri, request.param) as made:
        yield made


def processes(cri: Cri, name: str) -> list[str]:
    """The command lines in the daemon's enclosure that have a name in them."""
    listed = cri.containerd.enclosure.run(["ps", "-eo", "args"]).stdout.decode()
    return [line for line in listed.splitlines() if name in line]


def traces(cri: Cri, id_: str) -> list[str]:
    """Cgroups, directories of /run and mounts that have the id in their names."""
    commands = ["find", "/sys/fs/cgroup", "/run", "-name", f"*{id_}*"], ["cat", "/proc/self/mountinfo"]
    said = "".join(cri.containerd.enclosure.run(command).stdout.decode() for command in commands)
    return [line for line in said.splitlines() if id_ in line]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_pod_of_two_containers_from_the_beginning_to_the_end(cri: Cri, handler: str) -> None:
    with Pod(cri, handler) as pod:
        told = cri.call("PodSandboxStatus", pod_sandbox_id=pod.id)["status"]
        assert (told["state"], told["runtime_handler"]) == ("SANDBOX_READY", handler)
        one, two = (pod.container("/bin/sh", "-c", f"echo {name}; {SLEEP}") for name in ("one", "two"))
        assert one.status()["state"] == "CONTAINER_CREATED"
        for box, name in ((one, "one"), (two, "two")):
            box.start()
            assert box.status()["state"] == "CONTAINER_RUNNING"
            box.says(name)
        seen = one.exec("hostname=$(/bin/busybox hostname); echo $hostname; echo wrong >&2; exit 6")
        assert (seen.code, seen.out, seen.err) == (6, "box\n", "wrong\n")
        one.call("StopContainer", timeout="0")
        assert one.ended() == (137, "Error")
        assert two.status()["state"] == "CONTAINER_RUNNING"
        one.remove()
        with pytest.raises(Refused, match="NOT_FOUND"):
            one.status()
        assert traces(cri, one.id) == []
        listed = cri.call("ListContainers", filter={"pod_sandbox_id": pod.id})["containers"]
        assert [box["id"] for box in listed] == [two.id]
    # What still runs ends with its pod.
    for id_ in (two.id, pod.id):
        assert traces(cri, id_) == []
        assert processes(cri, id_) == []


def test_the_runtime_is_the_handlers(cri: Cri) -> None:
    for handler, runtime in (("runc", ""), ("pyrunc", cri.containerd.runtime)):
        with Pod(cri, handler) as pod:
            box = pod.running(SLEEP)
            for id_ in (pod.id, box.id):
                options = f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id_}/options.json"
                text = cri.containerd.enclosure.run(["cat", options]).stdout.decode()
                assert (f'"binary_name":"{runtime}"' in text) == bool(runtime), text


def test_an_unknown_handler_is_refused(cri: Cri) -> None:
    with pytest.raises(Refused, match='no runtime for "no-such" is configured'):
        Pod(cri, "no-such")


# Namespaces


def test_containers_share_the_pods_namespaces_and_have_their_own(pod: Pod) -> None:
    one, two = (namespaces(pod.running(SLEEP)) for _ in range(2))
    assert {name for name, link in one.items() if two[name] == link} >= {"ipc", "uts", "net"}
    assert {name for name, link in one.items() if two[name] != link} >= {"mnt", "pid"}
    host = pod.cri.containerd.enclosure.run(["readlink", "/proc/1/ns/net"]).stdout.decode().strip()
    assert host not in one.values()


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_pid_namespace_of_the_pod(cri: Cri, handler: str) -> None:
    with Pod(cri, handler, namespaces={"pid": "POD"}) as pod:
        one, two = pod.running("exec sleep 1001"), pod.running("exec sleep 1002")
        assert namespaces(one)["pid"] == namespaces(two)["pid"]
        listed = two.exec("/bin/busybox ps").out
        assert re.search(r"^ +1 .*sleep 1000000$", listed, re.MULTILINE), listed
        assert all(f" sleep {seconds}\n" in listed for seconds in (1001, 1002))
        assert two.exec("for p in $(/bin/busybox pidof sleep); do /bin/busybox kill -0 $p || exit 1; done").code == 0


@pytest.mark.parametrize("handler", HANDLERS)
def test_the_namespaces_of_the_node(cri: Cri, handler: str) -> None:
    with Pod(cri, handler, namespaces={"network": "NODE", "pid": "NODE", "ipc": "NODE"}) as pod:
        found = namespaces(pod.running(SLEEP))
        for name in ("net", "pid", "ipc"):
            link = cri.containerd.enclosure.run(["readlink", f"/proc/1/ns/{name}"]).stdout.decode().strip()
            assert found[name] == link


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_container_for_debugging_joins_the_pids_of_another(cri: Cri, handler: str) -> None:
    with Pod(cri, handler) as pod:
        box = pod.running("exec sleep 1001")
        target = {"network": "POD", "pid": "TARGET", "ipc": "POD", "target_id": box.id}
        debugger = pod.running(SLEEP, linux={"security_context": {"namespace_options": target}})
        assert namespaces(debugger)["pid"] == namespaces(box)["pid"]
        assert "sleep 1001" in debugger.exec("/bin/busybox tr '\\0' ' ' </proc/1/cmdline").out


def test_containers_of_a_pod_reach_each_other_on_localhost(pod: Pod) -> None:
    pod.running("while :; do echo hello | /bin/busybox nc -l -p 8080; done")
    other = pod.running(SLEEP)
    assert other.exec("until /bin/busybox nc 127.0.0.1 8080 </dev/null; do :; done").out == "hello\n"
    ip = pod.cri.call("PodSandboxStatus", pod_sandbox_id=pod.id)["status"]["network"]["ip"]
    assert f" {ip}/" in other.exec("/bin/busybox ip -o addr show eth0").out


@pytest.mark.parametrize("handler", HANDLERS)
def test_sysctls_of_the_pod(cri: Cri, handler: str) -> None:
    wanted = {"net.core.somaxconn": "321", "kernel.shm_rmid_forced": "1"}
    with Pod(cri, handler, linux={"sysctls": wanted}) as pod:
        box = pod.running(SLEEP)
        assert box.exec("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced").out == "321\n1\n"


# Life


def test_a_container_ends_by_itself(pod: Pod) -> None:
    for code, reason in ((0, "Completed"), (7, "Error"), (255, "Error")):
        box = pod.running(f"echo out; echo err >&2; exit {code}")
        assert box.ended() == (code, reason)
        until(lambda box=box: len(box.lines()) == 2)  # type: ignore[misc]
        assert sorted(box.lines()) == [("stderr", "err"), ("stdout", "out")]


def test_stop_lets_it_end_itself_and_kills_it_later(pod: Pod) -> None:
    polite = pod.running("trap 'exit 9' TERM; echo up; sleep 1000 & wait $!")
    polite.says("up")
    polite.call("StopContainer", timeout="60")
    assert polite.ended() == (9, "Error")
    deaf = pod.running("trap '' TERM; echo up; while :; do sleep 1; done")
    deaf.says("up")
    deaf.call("StopContainer", timeout="1")
    assert deaf.ended() == (137, "Error")


def test_the_log_has_streams_times_and_parts_of_long_lines(pod: Pod) -> None:
    box = pod.running(
        "/bin/busybox yes abcdefgh | /bin/busybox head -n 4000 | /bin/busybox tr -d '\\n'; echo; echo two"
    )
    box.says("two")
    assert box.lines()[0] == ("stdout", "abcdefgh" * 4000)
    for line in box.log.read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) (stdout|stderr) [FP] ", line)


def test_a_terminal_is_as_with_runc(cri: Cri) -> None:
    script = "b=/bin/busybox; $b tty; $b stty -a; $b stat -c '%a %u:%g' $($b tty); echo err >&2; echo '== end'"
    told = []
    for handler in HANDLERS:
        with Pod(cri, handler) as pod:
            box = pod.running(f"{script}; read line", tty=True, stdin=True)
            box.says("== end")
            told.append(box.lines())
    assert told[0] == told[1]
    assert ("stdout", "/dev/pts/0") in told[1]


def test_a_rotated_log_is_opened_again(pod: Pod) -> None:
    box = pod.running("echo before; until [ -e /tmp/go ]; do sleep 0.1; done; echo after; exec sleep 1000")
    box.says("before")
    box.log.rename(box.log.with_suffix(".1"))
    box.call("ReopenContainerLog")
    box.exec(": >/tmp/go")
    box.says("after")
    assert box.lines() == [("stdout", "after")]


def test_a_program_that_needs_too_much_memory_is_told_of(pod: Pod) -> None:
    limits = {"memory_limit_in_bytes": str(16 * MIB)}
    box = pod.running("x=$(/bin/busybox yes abcdefgh | /bin/busybox head -c 100000000)", linux={"resources": limits})
    until(lambda: box.status()["reason"] == "OOMKilled")
    assert box.ended() == (137, "OOMKilled")


def test_exec_sync_has_a_deadline(pod: Pod) -> None:
    box = pod.running(SLEEP)
    with pytest.raises(Refused, match=r"DEADLINE_EXCEEDED|timeout|deadline"):
        box.exec("sleep 998", timeout=1)
    until(lambda: "998" not in box.exec("/bin/busybox ps").out)
    assert box.status()["state"] == "CONTAINER_RUNNING"


# What cannot be done


def refusals(cri: Cri, pods: tuple[Pod, Pod], *command: str, **config: object) -> list[tuple[str, str]]:
    """What StartContainer answers in each pod."""
    found = []
    for pod in pods:
        box = pod.container(*command, **config)
        with pytest.raises(Refused) as refused:
            box.start()
        assert box.ended()[1] == "StartError"
        box.remove()
        found.append((refused.value.code, refused.value.text))
    return found


def test_what_cannot_be_started_is_told_as_with_runc(cri: Cri) -> None:
    with Pod(cri, "runc") as theirs, Pod(cri, "pyrunc") as ours:
        for command, text in (
            ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory'),
            ("no-such", 'exec: "no-such": executable file not found in $PATH'),
            ("/srv/not-executable", 'exec: "/srv/not-executable": permission denied'),
        ):
            told = refusals(cri, (theirs, ours), command)
            assert [(code, text in answer) for code, answer in told] == [("UNKNOWN", True)] * 2, told
        boxes = theirs.running(SLEEP), ours.running(SLEEP)
        answers = []
        for box in boxes:
            with pytest.raises(Refused) as refused:
                box.call("ExecSync", cmd=["/no/such"])
            text = refused.value.text.rpartition("exec: ")[2]
            answers.append((refused.value.code, text.replace(" (process.args[0])", "")))
        assert answers[0] == answers[1]
        assert "no such file or directory" in answers[1][1]


# Resources


def cgroup(box: Container) -> set[str]:
    return set(box.exec("/bin/look").sections["cgroup-files"])


def test_resources_are_updated_while_it_runs(pod: Pod) -> None:
    box = pod.running(SLEEP, linux={"resources": {"memory_limit_in_bytes": str(64 * MIB), "cpu_shares": "512"}})
    assert {f"memory/memory.limit_in_bytes {64 * MIB}", "cpu/cpu.shares 512"} <= cgroup(box)
    more = {"memory_limit_in_bytes": str(128 * MIB), "cpu_quota": "30000", "cpu_period": "100000", "cpuset_cpus": "0"}
    box.call("UpdateContainerResources", linux=more)
    expected = {f"memory/memory.limit_in_bytes {128 * MIB}", "cpu/cpu.cfs_quota_us 30000", "cpuset/cpuset.cpus 0"}
    assert expected | {"cpu/cpu.shares 512"} <= cgroup(box)


def test_an_update_that_is_impossible_changes_nothing(pod: Pod) -> None:
    box = pod.running(SLEEP, linux={"resources": {"memory_limit_in_bytes": str(64 * MIB)}})
    with pytest.raises(Refused):
        box.call("UpdateContainerResources", linux={"cpuset_cpus": "9999"})
    assert f"memory/memory.limit_in_bytes {64 * MIB}" in cgroup(box)
    assert "cpuset/cpuset.cpus 9999" not in cgroup(box)


def test_stats_tell_of_each_container(pod: Pod) -> None:
    boxes = {box.id: box for box in (pod.running("while :; do :; done"), pod.running(SLEEP))}
    first = next(iter(boxes.values()))

    def usage() -> int:
        return int(first.call("ContainerStats")["stats"]["cpu"]["usage_core_nano_seconds"]["value"])

    before = usage()
    until(lambda: usage() > before)
    listed = pod.cri.call("ListContainerStats", filter={"pod_sandbox_id": pod.id})["stats"]
    assert {stats["attributes"]["id"] for stats in listed} == boxes.keys()
    assert all(int(stats["memory"]["working_set_bytes"]["value"]) > 0 for stats in listed)


def test_cgroups_are_below_the_pods(pod: Pod) -> None:
    box = pod.running(SLEEP)
    found = pod.cri.containerd.enclosure.run(["find", "/sys/fs/cgroup/memory", "-name", box.id]).stdout.decode()
    assert found == f"/sys/fs/cgroup/memory{pod.cgroup}/{box.id}\n"


# Mounts


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("propagation", ["PRIVATE", "HOST_TO_CONTAINER", "BIDIRECTIONAL"])
def test_mounts_that_come_later_go_where_they_are_to(cri: Cri, handler: str, propagation: str) -> None:
    mounts = [{"container_path": "/m", "host_path": SHARED, "propagation": f"PROPAGATION_{propagation}"}]
    run = cri.containerd.enclosure.run
    with Pod(cri, handler, security={"privileged": True}) as pod:
        box = pod.running(SLEEP, mounts=mounts)
        here, there = f"{SHARED}/{pod.name}-here", f"{SHARED}/{pod.name}-there"
        assert run(["mkdir", here, there]).returncode == 0
        try:
            assert run(["mount", "-t", "tmpfs", "tmpfs", here]).returncode == 0
            seen = box.exec(f"/bin/busybox grep -c {pod.name}-here /proc/self/mountinfo").out
            assert seen == ("0\n" if propagation == "PRIVATE" else "1\n")
            assert box.exec(f"/bin/busybox mount -t tmpfs tmpfs /m/{pod.name}-there").code == 0
            outside = there.encode() in run(["cat", "/proc/self/mountinfo"]).stdout
            assert outside == (propagation == "BIDIRECTIONAL")
        finally:
            box.remove()
            run(["umount", here])
            run(["umount", there])
            run(["rmdir", here, there])
