"""podman's quadlets: files about containers, pods and pods of Kubernetes, of which systemd's generator makes services.

The same for root and for an ordinary user, with pyrunc, runc and crun side by side.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import run
from tests.vm.guest import engines, units
from tests.vm.guest.test_podman_units import Engine, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.needs("guest", "quadlet", "podman", "runc", "crun"), pytest.mark.timeout(900)]

each = pytest.mark.parametrize("runtime", engines.RUNTIMES)
QUADLETS = Path("/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/run"), "containers/systemd")

#: None waits for a network: an ordinary user's would for long, as the guest's systemd does not say that it has one.
COMMON = """
[Quadlet]
DefaultDependencies=false
"""
SLEEP = "/bin/sleep 100000"

CONTAINER = """
[Container]
Image={image}
ContainerName={name}
Exec={exec}
GlobalArgs=--runtime {runtime}
"""

POD = """
[Pod]
PodName={name}
GlobalArgs=--runtime {runtime}
"""

KUBE = """
[Kube]
Yaml={yaml}
GlobalArgs=--runtime {runtime}
"""


def systemctl(*words: str, status: int | None = 0) -> str:
    return run("systemctl", *units.MANAGER, *words, status=status, timeout=engines.DEADLINE).stdout


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory: pytest.TempPathFactory) -> None:
    engines.imported(tmp_path_factory.mktemp("image"))


@pytest.fixture
def name() -> str:
    return f"guest-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def install(name: str) -> Iterator[Callable[..., None]]:
    """``install({"a.container": TEXT, …})`` has systemd make services of them; they are stopped and go at the end."""
    made: list[Path] = []

    def put(files: dict[str, str]) -> None:
        QUADLETS.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            path = QUADLETS / file
            made.append(path)
            path.write_text(text + COMMON)
        systemctl("daemon-reload")

    yield put
    for path in made:
        kind = path.suffix.removeprefix(".")
        unit = f"{path.stem}{'' if kind in {'container', 'kube'} else f'-{kind}'}.service"
        systemctl("stop", unit, status=None)
        systemctl("reset-failed", unit, status=None)
        path.unlink()
    systemctl("daemon-reload")
    run("podman", "volume", "rm", "--force", f"{name}-data", status=None, timeout=engines.DEADLINE)


def container(engine: Engine, name: str, exec_: str = SLEEP) -> str:
    return CONTAINER.format(image=engines.IMAGE, name=name, exec=exec_, runtime=engine.base[-1])


@each
def test_a_container_is_a_service_with_a_cgroup_below_it(runtime: str, name: str, install: Callable[..., None]) -> None:
    engine = Engine("systemd", runtime)
    more = f"Network=none\nVolume={name}.volume:/srv\nEnvironment=WHO=me\nReadOnly=true\nPidsLimit=50\n"
    service = "[Service]\nRestart=always\nMemoryMax=200M\n"
    install({
        f"{name}.container": container(engine, name) + more + service,
        f"{name}.volume": f"[Volume]\nVolumeName={name}-data\n",
    })  # fmt: skip
    made = Service(engine, f"{name}.service", name)
    systemctl("start", made.unit)
    assert made.running()
    assert made.inspect("{{.OCIRuntime}}").endswith(runtime)
    assert units.show(made.unit, "MainPID")["MainPID"] == made.inspect("{{.State.ConmonPid}}")
    script = "echo $WHO; echo here >/srv/file && cat /srv/file; echo no >/file; true"
    told = engine("exec", name, "/bin/sh", "-c", script)
    assert told.stdout == "me\nhere\n"
    assert "Read-only file system" in told.stderr
    # --cgroups=split: the container's is below the service's, whose limits hold, too.
    own = engines.cgroup(int(made.pid()))
    top = units.cgroup_of(made.unit)
    assert own.is_relative_to(top)
    assert own != top
    assert (top / "memory.max").read_text() == f"{200 << 20}\n"
    limits = [(path / "pids.max").read_text().strip() for path in (own, *own.parents) if path.is_relative_to(top)]
    assert "50" in limits
    first = made.pid()
    os.kill(int(first), 9)
    engines.until(lambda: made.pid() not in (first, "0", "") and made.running(), "systemd has restarted it")
    assert engine("exec", name, "/bin/cat", "/srv/file").stdout == "here\n"
    systemctl("stop", made.unit)
    assert units.show(made.unit, "ActiveState")["ActiveState"] != "active"
    assert engine.absent(name)
    assert not top.exists()


@each
def test_the_status_of_a_task_is_the_services(runtime: str, name: str, install: Callable[..., None]) -> None:
    engine = Engine("systemd", runtime)
    task = container(engine, name, '/bin/sh -c "exit 7"') + "Network=none\n[Service]\nType=oneshot\n"
    install({f"{name}.container": task})
    systemctl("start", f"{name}.service", status=1)
    seen = units.show(f"{name}.service", "Result", "ExecMainStatus")
    assert seen == {"Result": "exit-code", "ExecMainStatus": "7"}
    assert engine.absent(name)


@each
def test_a_service_is_ready_when_the_container_is_healthy(
    runtime: str, name: str, install: Callable[..., None]
) -> None:
    engine = Engine("systemd", runtime)
    more = "Network=none\nNotify=healthy\nHealthCmd=test -e /tmp/healthy\nHealthInterval=1s\nHealthRetries=1\n"
    program = '/bin/sh -c "sleep 2; touch /tmp/healthy; exec sleep 100000"'
    install({f"{name}.container": container(engine, name, program) + more})
    systemctl("start", f"{name}.service")
    assert engine("exec", name, "/bin/busybox", "ls", "/tmp/healthy").stdout == "/tmp/healthy\n"
    assert engine("inspect", "--format={{.State.Health.Status}}", name).stdout == "healthy\n"


@each
def test_a_program_says_itself_that_the_service_is_ready(runtime: str, name: str, install: Callable[..., None]) -> None:
    """``Notify=true``: NOTIFY_SOCKET is the container's own, and the payload's words come from its first process."""
    engine = Engine("systemd", runtime)
    lib = [f"Volume=/{path}:/{path}:ro" for path in ("usr", "lib", "lib64")]
    program = '/bin/sh -c "/usr/bin/systemd-notify --ready --status=fine; exec sleep 100000"'
    more = "\n".join(["Network=none", "Notify=true", *lib, ""])
    install({f"{name}.container": container(engine, name, program) + more})
    systemctl("start", f"{name}.service")
    seen = units.show(f"{name}.service", "ActiveState", "StatusText")
    assert seen == {"ActiveState": "active", "StatusText": "fine"}


@each
def test_a_pod_starts_and_stops_with_its_containers(runtime: str, name: str, install: Callable[..., None]) -> None:
    engine = Engine("systemd", runtime)
    names = [f"{name}-a", f"{name}-b"]
    install({
        f"{name}.pod": POD.format(name=name, runtime=engine.base[-1]) + "Network=none\n",
        **{f"{one}.container": container(engine, one) + f"Pod={name}.pod\n" for one in names},
    })  # fmt: skip
    systemctl("start", f"{name}-pod.service")
    for one in names:
        made = Service(engine, f"{one}.service", one)
        engines.until(made.running, f"{one} runs")
    pids = [engine("inspect", "--format={{.State.Pid}}", one).stdout.strip() for one in names]
    for kind in ("net", "ipc", "uts"):
        assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == 1
    assert len({os.readlink(f"/proc/{pid}/ns/mnt") for pid in pids}) == 2
    systemctl("stop", f"{name}-pod.service")
    engines.until(lambda: all(engine.absent(one) for one in names), "the containers are gone")
    assert json.loads(engine("pod", "ps", "--filter", f"name={name}", "--format=json").stdout) in ([], None)


@each
def test_a_pod_of_kubernetes_is_a_service(
    runtime: str, name: str, tmp_path: Path, install: Callable[..., None]
) -> None:
    engine = Engine("systemd", runtime)
    box = {
        "name": "box", "image": engines.IMAGE, "imagePullPolicy": "Never", "command": SLEEP.split(),
        "resources": {"limits": {"memory": "64Mi"}},
    }  # fmt: skip
    spec = {"hostNetwork": True, "containers": [box]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    yaml = tmp_path / "pod.yaml"
    yaml.write_text(json.dumps(pod))
    install({f"{name}.kube": KUBE.format(yaml=yaml, runtime=engine.base[-1])})
    systemctl("start", f"{name}.service")
    made = Service(engine, f"{name}.service", f"{name}-box")
    assert made.inspect("{{.State.Status}} {{.OCIRuntime}}") == f"running {engine.base[-1]}"
    own = engines.cgroup(int(made.pid()))
    assert f"{64 << 20}\n" in [(path / "memory.max").read_text() for path in (own, own.parent)]
    systemctl("stop", f"{name}.service")
    assert engine.absent(made.name)


def test_what_setup_writes_makes_every_quadlet_a_container_of_pyrunc(name: str, install: Callable[..., None]) -> None:
    engine = Engine("systemd", "pyrunc")
    setup = [engine.base[-1], "setup", "podman", *(["--user"] if os.geteuid() else [])]
    run(*setup, "--default", timeout=engines.DEADLINE)
    try:
        plain = container(engine, name).replace(f"GlobalArgs=--runtime {engine.base[-1]}\n", "Network=none\n")
        assert "runtime" not in plain
        install({f"{name}.container": plain})
        systemctl("start", f"{name}.service")
        look = ("podman", "inspect", "--format={{.OCIRuntime}} {{.State.Status}}", name)
        used, status = run(*look, timeout=engines.DEADLINE).stdout.split()
        assert (used.rpartition("/")[2], status) == ("pyrunc", "running")
        systemctl("stop", f"{name}.service")
    finally:
        run(*setup, "--remove", timeout=engines.DEADLINE)
