"""A container's life under docker, as with runc.

Each test does the same to a container of runc's and to one of the runtime under test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, running, sh, unique

if TYPE_CHECKING:
    from tests.callers.docker import Docker
    from tests.callers.engine import Both

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)

STATE = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}"
_ENDS_ITSELF = sh("trap 'echo ended; exit 9' TERM; trap 'exit 7' USR1; echo up; sleep 1000 & while :; do wait; done")


def test_a_container_is_created_started_and_started_again(docker: Docker) -> None:
    script = "echo run; ls -d /srv/x /tmp/x 2>/dev/null; touch /srv/x /tmp/x; exit 4"
    for runtime in (docker.reference, docker.runtime):
        name = unique()
        done = docker.do(runtime, "create", "--name", name, "--net=none", "--tmpfs", "/tmp", *sh(script))
        assert done.returncode == 0, done
        with running.adopted(docker, runtime, name) as container:
            assert container.inspect(STATE) == "created 0 false"
            assert (seen := container.do("start", "-a", "NAME")).code == 4, seen
            assert container.inspect(STATE) == "exited 4 false"
            assert container.do("start", "-a", "NAME").code == 4
            assert container.do("logs", "NAME").out == "run\nrun\n/srv/x\n"


def test_stop_sends_the_signal_and_then_kills(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *SLEEP):
        assert container.do("stop", "-t", "1", "NAME").code == 0
        assert container.inspect(STATE) == "exited 137 false"


def test_signals_reach_the_container(docker: Docker, dockers: Both) -> None:
    for words, code in ((("stop", "-t", "30"), 9), (("kill", "-s", "SIGUSR1"), 7), (("kill",), 137)):
        for container in dockers("--net=none", *_ENDS_ITSELF):
            container.logs_hold("up")
            assert container.do(*words, "NAME").code == 0
            assert container.do("wait", "NAME").out == f"{code}\n"
            assert container.inspect(STATE) == f"exited {code} false"
            assert ("ended" in container.do("logs", "NAME").out) == (code == 9)
            assert container.do("kill", "NAME").code == 1


def test_logs_keep_the_streams_apart(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *sh("echo out; echo err >&2; exec sleep 1000")):
        container.logs_hold("out")
        seen = container.until(lambda seen: seen.err, "logs", "NAME")
        assert (seen.out, seen.err) == ("out\n", "err\n")


def test_pause_stops_what_runs_and_unpause_lets_it_go_on(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *sh("i=0; while :; do i=$((i+1)); echo $i >/srv/count; done")):
        assert container.do("pause", "NAME").code == 0
        assert container.inspect(STATE) == "paused 0 false"
        pid = container.inspect("{{.State.Pid}}")
        # the cgroup is frozen as a whole: after that nothing runs, and the clock of the process stands
        clocks = {docker.enclosure.run(["cut", "-d ", "-f14,15", f"/proc/{pid}/stat"]).stdout for _ in range(20)}
        assert len(clocks) == 1
        assert (seen := container.do("exec", "NAME", "/bin/true")).code == 1, seen
        assert "paused" in seen.err
        assert container.do("unpause", "NAME").code == 0
        assert container.inspect(STATE) == "running 0 false"
        assert container.do("exec", "NAME", "/bin/true").code == 0


def test_update_changes_the_limits_of_a_container_that_runs(docker: Docker, dockers: Both) -> None:
    options = ["-m", "48m", "--memory-swap", "96m", "--cpu-shares", "300", "--pids-limit", "17", "--cpuset-cpus", "0"]
    wanted = {
        "memory/memory.limit_in_bytes": "50331648",
        "memory/memory.memsw.limit_in_bytes": "100663296",
        "cpu/cpu.shares": "300",
        "cpu/cpu.cfs_quota_us": "25000",
        "pids/pids.max": "17",
        "cpuset/cpuset.cpus": "0",
    }
    for container in dockers("--net=none", "-m", "64m", *SLEEP):
        seen = container.do("update", *options, "--cpu-period", "50000", "--cpu-quota", "25000", "NAME")
        assert seen.code == 0, seen
        files = [f"/sys/fs/cgroup/{name}" for name in wanted]
        assert container.do("exec", "NAME", "/bin/cat", *files).out.split() == list(wanted.values())


def test_a_container_that_needs_more_memory_is_killed_and_docker_knows(docker: Docker, dockers: Both) -> None:
    hungry = sh("x=$(yes abcdefgh | head -c 100000000); echo $x >/dev/null; echo survived")
    for container in dockers("--net=none", "-m", "16m", "--memory-swap", "16m", *hungry):
        assert container.do("wait", "NAME").code == 0
        assert container.inspect("{{.State.OOMKilled}}") == "true"
        assert "survived" not in container.do("logs", "NAME").out


def test_top_and_stats_see_what_runs(docker: Docker, dockers: Both) -> None:
    tops = []
    for container in dockers("--net=none", "-m", "64m", "--pids-limit", "30", *sh("sleep 1000 & exec sleep 1001")):
        container.until(lambda seen: "sleep 1001" in seen.out, "top", "NAME")
        table = container.do("top", "NAME", "-o", "pid,user,args").out.splitlines()
        tops.append(sorted(line.split(maxsplit=1)[1] for line in table))
        seen = container.do("stats", "--no-stream", "--format", "{{json .}}", "NAME")
        stats = json.loads(seen.raw)
        assert (stats["PIDs"], stats["MemUsage"].split(" / ")[1]) == ("2", "64MiB"), seen
        assert not stats["MemUsage"].startswith("0B")
    assert tops[0] == tops[1]
    assert any("sleep 1000" in line for line in tops[1])


def test_a_failing_container_is_started_again_as_often_as_was_said(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", "--restart", "on-failure:2", *sh("echo run; exit 5")):
        container.becomes("{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "2 exited 5")
        assert container.do("logs", "NAME").out == "run\n" * 3


def test_a_container_that_is_killed_from_outside_comes_back(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", "--restart", "always", *SLEEP):
        pid = container.inspect("{{.State.Pid}}")
        assert docker.enclosure.run(["kill", "-KILL", pid]).returncode == 0
        container.becomes("{{.RestartCount}} {{.State.Status}}", "1 running")
        assert container.inspect("{{.State.Pid}}") not in {"0", pid}
        assert container.do("exec", "NAME", "/bin/true").code == 0


def test_restart_gives_a_new_process(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *_ENDS_ITSELF):
        container.logs_hold("up")
        pid = container.inspect("{{.State.Pid}}")
        assert container.do("restart", "-t", "30", "NAME").code == 0
        assert container.inspect("{{.State.Pid}}") not in {"0", pid}
        container.logs_hold("up\nended\nup")


def test_a_healthcheck_tells_health_and_the_loss_of_it(docker: Docker, dockers: Both) -> None:
    options = ["--health-cmd", "echo looked; test ! -e /srv/ill", "--health-interval", "100ms", "--health-retries", "2"]
    for container in dockers("--net=none", *options, *SLEEP):
        container.becomes("{{.State.Health.Status}}", "healthy")
        assert container.do("exec", "NAME", "/bin/busybox", "touch", "/srv/ill").code == 0
        container.becomes("{{.State.Health.Status}}", "unhealthy")
        assert "looked" in container.inspect("{{(index .State.Health.Log 0).Output}}")


def test_rm_needs_force_while_it_runs_and_leaves_no_cgroup(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *SLEEP):
        find = ["find", "/sys/fs/cgroup", "-maxdepth", "3", "-name", container.inspect("{{.Id}}")]
        assert docker.enclosure.run(find).stdout.count(b"\n") > 5
        assert container.do("rm", "NAME").code == 1
        assert container.do("rm", "-f", "NAME").code == 0
        assert docker.enclosure.run(find).stdout == b""
        assert docker.enclosure.run(["ls", "/run/docker/runtime-runc/moby"]).stdout.count(container.name.encode()) == 0
