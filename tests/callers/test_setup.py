"""``pyrunc setup`` and the real engines: each reads what was written, and forgets it again.

Everything happens in an enclosure whose /etc is a copy: the commands write to the paths that they write to elsewhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.callers.containerd import cri_of
from tests.callers.enclosure import Enclosure
from tests.callers.engine import image, remove_cgroups
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PRIVATE = """\
mkdir /run/etc
cp -a /etc/. /run/etc
rm -rf /run/etc/containers/containers.conf* /run/etc/containerd /run/etc/docker /run/etc/crio
mount --bind /run/etc /etc
echo rob:x:12345:12345::/run/rob:/bin/sh >>/etc/passwd
echo rob:300000:65536 >/etc/subuid
echo rob:300000:65536 >/etc/subgid
mkdir -p -m 0700 /run/rob/run
chown -R 12345:12345 /run/rob
"""
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
"""
ENV = {"PATH": programs.PATH, "HOME": "/root"}
DEADLINE = 60


class Machine:
    def __init__(self, enclosure: Enclosure, directory: Path, pyrunc: Path) -> None:
        self.enclosure = enclosure
        self.directory = directory
        self.pyrunc = pyrunc
        self.cgroup = f"/pyrunc-test-setup-{uuid.uuid4().hex[:12]}"

    def run(self, *words: str | Path, status: int | None = 0, user: bool = False) -> str:
        """What a command prints; ``user``: as rob, an ordinary user."""
        command = [str(word) for word in words]
        env = ENV
        if user:
            command = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=-all", "--", *command]
            env = {**ENV, "HOME": "/run/rob", "XDG_RUNTIME_DIR": "/run/rob/run", "USER": "rob"}
        done = self.enclosure.run(command, env=env)
        text = done.stdout.decode() + done.stderr.decode()
        assert status is None or done.returncode == status, text
        return done.stdout.decode() if status == 0 else text

    def setup(self, *words: str, user: bool = False, status: int = 0) -> str:
        return self.run(self.pyrunc, "setup", *words, user=user, status=status)

    def write(self, path: str, text: str) -> None:
        done = self.enclosure.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], stdin=text.encode())
        assert done.returncode == 0, done.stderr

    def image(self) -> Path:
        busybox = shutil.which("busybox")
        assert busybox is not None
        path = self.directory / "image.tar"
        path.write_bytes(image(Path(busybox), Path(__file__).with_name("look.sh")))
        return path

    def etc(self) -> str:
        """A list of all files of /etc with their owners, modes and contents."""
        script = (
            "cd /etc && find . -printf '%p %u %m\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum"
        )
        return self.run("sh", "-c", script)


@pytest.fixture
def machine(tmp_path: Path, pyrunc: Path) -> Iterator[Machine]:
    with Enclosure(tmp_path, setup=PRIVATE) as enclosure:
        made = Machine(enclosure, tmp_path, pyrunc)
        yield made
    remove_cgroups(made.cgroup)


@pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter")
def test_podman_runs_what_was_set_up_and_forgets_it(machine: Machine) -> None:
    machine.write("/etc/containers/containers.conf", CONTAINERS_CONF)
    machine.run("mkdir", "-p", "/etc/containers/containers.conf.d")
    before = machine.etc()
    podman = ["podman", "--root", f"{machine.directory}/root", "--runroot", "/run/storage", "--tmpdir", "/run/libpod"]
    machine.run(*podman, "import", machine.image(), "localhost/box")

    def run(*flags: str, options: tuple[str, ...] = (), status: int = 0) -> str:
        """The program that podman has started as the runtime."""
        name = f"box-{uuid.uuid4().hex[:8]}"
        options = ("--net=none", "--name", name, *(options or (f"--cgroup-parent={machine.cgroup}",)))
        text = machine.run(*podman, *flags, "run", *options, "localhost/box", "/bin/true", status=status)
        if status:
            return text
        found = machine.run(*podman, "inspect", "--format", "{{.OCIRuntime}}", name)
        machine.run(*podman, "rm", name)
        return found.strip()

    assert "runtime" in run("--runtime", "pyrunc", status=125)
    machine.setup("podman")
    assert run("--runtime", "pyrunc") == "pyrunc"
    assert run("--runtime", "runc") == "runc"
    assert run() == "runc"
    # podman's list of runtimes that can do without cgroups has our name now
    assert run("--runtime", "pyrunc", options=("--cgroups=disabled",)) == "pyrunc"
    machine.setup("podman", "--default")
    assert run() == "pyrunc"
    machine.setup("podman", "--remove")
    assert run() == "runc"
    assert machine.etc() == before


@pytest.mark.needs("root", "podman", "nsenter", "setpriv", "python-for-all")
def test_podman_of_a_user_reads_the_users_own_file(machine: Machine) -> None:
    before = machine.etc()
    assert "be root for the system's engines, or give --user" in machine.setup("podman", user=True, status=1)
    assert "+pyrunc = [" in machine.setup("podman", "--dry-run", user=True)
    out = machine.setup("podman", "--user", "--default", user=True)
    assert "written: /run/rob/.config/containers/containers.conf.d/50-pyrunc.conf" in out
    assert machine.etc() == before
    info = json.loads(machine.run("podman", "info", "--format", "json", user=True))
    assert info["host"]["ociRuntime"]["name"] == "pyrunc"
    assert info["host"]["ociRuntime"]["path"] == str(machine.pyrunc)
    machine.setup("podman", "--user", "--remove", user=True)
    assert machine.run("find", "/run/rob/.config/containers", "-type", "f") == ""
    assert "root's podman reads the configuration of the system" in machine.setup("podman", "--user", status=1)


@pytest.mark.needs("root", "buildah", "runc", "busybox", "nsenter")
def test_buildah_finds_it_by_its_name(machine: Machine) -> None:
    machine.write("/etc/containers/containers.conf", CONTAINERS_CONF)
    machine.write("/run/bin/pyrunc", f'#!/bin/sh\necho "$@" >>/run/asked\nexec {machine.pyrunc} "$@"\n')
    machine.run("chmod", "755", "/run/bin/pyrunc")
    buildah = ["buildah", "--storage-driver", "vfs", "--root", f"{machine.directory}/root", "--runroot", "/run/storage"]
    container = machine.run(*buildah, "from", "scratch").strip()
    busybox = shutil.which("busybox")
    assert busybox is not None
    machine.run(*buildah, "copy", container, busybox, "/bin/busybox")
    run = [*buildah, "run", "--isolation", "oci"]
    command = [container, "/bin/busybox", "echo", "built"]

    def asked() -> bool:
        return machine.enclosure.run(["rm", "/run/asked"]).returncode == 0

    machine.setup("podman", "--runtime", "/run/bin/pyrunc")
    assert (machine.run(*run, *command), asked()) == ("built\n", False)
    assert (machine.run(*run, "--runtime", "pyrunc", *command), asked()) == ("built\n", True)
    machine.setup("podman", "--runtime", "/run/bin/pyrunc", "--default")
    assert (machine.run(*run, *command), asked()) == ("built\n", True)


DEBIAN = """\
version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
"""


def dump(machine: Machine, verb: str = "dump") -> Any:
    """What containerd makes of its configuration, or has without one (``default``)."""
    return cri_of(machine.run("containerd", "config", verb))


@pytest.mark.needs("root", "containerd", "nsenter")
@pytest.mark.parametrize("text", [DEBIAN, None], ids=["debian", "none"])
def test_containerd_has_both_runtimes(machine: Machine, text: str | None) -> None:
    machine.run("mkdir", "-p", "/etc/containerd")
    if text is not None:
        machine.write("/etc/containerd/config.toml", text)
    without = "default" if text is None else "dump"
    before, etc = dump(machine, without), machine.etc()
    machine.setup("containerd")
    after = dump(machine)
    runtimes = after["containerd"].pop("runtimes")
    assert runtimes["pyrunc"]["options"] == {"BinaryName": str(machine.pyrunc)}
    assert runtimes["pyrunc"]["runtime_type"] == runtimes["runc"]["runtime_type"] == "io.containerd.runc.v2"
    del before["containerd"]["runtimes"]
    assert after == before
    machine.setup("containerd", "--default")
    assert dump(machine)["containerd"]["default_runtime_name"] == "pyrunc"
    machine.setup("containerd", "--remove")
    assert machine.etc() == etc
    assert dump(machine, without)["containerd"]["runtimes"].keys() == {"runc"}


@pytest.mark.needs("root", "containerd", "ctr", "nsenter")
def test_the_cri_plugin_starts_with_the_configuration(machine: Machine) -> None:
    """Up to 1.7 it refuses one whose default runtime is not there, as with the runtime pyrunc alone."""
    place = (
        f"root = '{machine.directory}/root'\nstate = '/run/containerd'\n[grpc]\naddress = '/run/containerd/c.sock'\n"
    )
    machine.write("/etc/containerd/config.toml", "version = 2\n" + place)
    machine.setup("containerd")
    assert cri_status(machine) == "ok"
    alone = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.pyrunc]\nruntime_type = "io.containerd.runc.v2"\n'
    machine.write("/etc/containerd/config.toml", "version = 2\n" + place + alone)
    later = "containerd/v2 " in machine.run("containerd", "--version")
    assert cri_status(machine) == ("ok" if later else "error")


def cri_status(machine: Machine) -> str:
    """What a containerd that is started for it says of its CRI plugin."""
    with daemon(machine, "containerd", log=(log := machine.directory / "containerd.log")) as process:
        ctr = ["ctr", "--address", "/run/containerd/c.sock"]
        # Where there is no socket yet, ctr looks for it again only after ten seconds.
        wait(Path(f"/proc/{machine.enclosure.pid}/root/run/containerd/c.sock").exists, process, log)
        wait(lambda: machine.enclosure.run([*ctr, "version"], env=ENV).returncode == 0, process, log)
        for line in machine.run(*ctr, "plugins", "ls").splitlines():
            words = line.split()
            if words[:2] == ["io.containerd.grpc.v1", "cri"]:
                return words[-1]
    raise AssertionError("no CRI plugin is listed")


class daemon:  # noqa: N801  (reads as a verb at its uses)
    """A daemon in the enclosure for the length of a with block."""

    def __init__(self, machine: Machine, *command: str, log: Path) -> None:
        self.machine = machine
        self.pid_file = f"/run/{command[0]}.test-pid"
        self.words = machine.enclosure.argv(["sh", "-c", 'echo $$ >"$0"; exec "$@"', self.pid_file, *command])
        self.log = log

    def __enter__(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.words, env=ENV, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process

    def signal(self, name: str) -> None:
        self.machine.run("sh", "-c", f'kill -s {name} "$(cat {self.pid_file})"')

    def __exit__(self, *_: object) -> None:
        self.signal("TERM")
        self.process.wait(timeout=DEADLINE)


def wait(done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.needs("root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter")
def test_docker_takes_the_runtime_over_while_it_runs(machine: Machine) -> None:
    own: dict[str, Any] = {
        "data-root": f"{machine.directory}/docker",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "bridge": "none",
    }
    own |= {"cgroup-parent": machine.cgroup, "iptables": False, "storage-driver": "vfs"}
    machine.write("/etc/docker/daemon.json", json.dumps(own, indent=4))
    etc = machine.etc()
    log = machine.directory / "dockerd.log"
    running = daemon(machine, "dockerd", log=log)

    def info() -> Any:
        return json.loads(machine.run("docker", "info", "--format", "{{json .}}"))

    with running as process:
        wait(lambda: machine.enclosure.run(["docker", "version"], env=ENV).returncode == 0, process, log)
        assert "pyrunc" not in info()["Runtimes"]
        machine.run("docker", "import", machine.image(), "box")
        machine.setup("docker")
        running.signal("HUP")  # what systemctl reload does
        wait(lambda: "pyrunc" in info()["Runtimes"], process, log)
        assert info()["DefaultRuntime"] == "runc"
        run = ("docker", "run", "--rm", "--net=none")
        limits = ("--ulimit=nofile=1024:1024",)
        assert machine.run(*run, *limits, "--runtime", "pyrunc", "box", "/bin/cat", "/etc/passwd")
        machine.setup("docker", "--default")
        running.signal("HUP")
        wait(lambda: info()["DefaultRuntime"] == "pyrunc", process, log)
        out = machine.setup("docker", "--remove")
        assert "to make dockerd forget it: systemctl restart docker" in out
    with running as process:
        wait(lambda: machine.enclosure.run(["docker", "version"], env=ENV).returncode == 0, process, log)
        assert info()["DefaultRuntime"] == "runc"
        assert "pyrunc" not in info()["Runtimes"]
    machine.run("rm", "-f", "/etc/docker/key.json")
    assert machine.etc() == etc


@pytest.mark.needs("root", "nsenter")
def test_the_doctor_reads_what_was_set_up(machine: Machine) -> None:
    def configuration(engine: str) -> Any:
        out = json.loads(machine.run(machine.pyrunc, "doctor", "--format", "json", status=None))
        return next((one for one in out["checks"] if one["id"] == f"engine.{engine}.configuration"), None)

    for engine in ("podman", "containerd", "docker", "crio"):
        found = configuration(engine)
        if found is None:
            continue  # not installed
        assert found["do"].endswith(f"pyrunc setup {engine}")
        machine.setup(engine, "--default")
        found = configuration(engine)
        assert found["status"] == "ok", found
        assert found["found"].startswith(f"names {machine.pyrunc}, the default, version ")
        path = "/run/pyrunc-copy"
        machine.run("cp", machine.pyrunc, path)
        machine.setup(engine, "--runtime", path)
        machine.run("rm", path)
        found = configuration(engine)
        assert found["status"] == "problem"
        assert f"names {path}, which does not exist" in found["found"]
        assert found["do"] == f"pyrunc setup {engine}"
