"""One virtual machine: qemu, its disks, and ssh into it.

host                                            guest
qemu -kernel … -append LAYOUT   ──boot──▶       systemd, sshd
ssh -p PORT root@127.0.0.1      ──────▶ :22     a command as root, or as the ordinary user in a session of systemd
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import project
from tests.vm.debian import PROJECT, RELEASE, RELEASES
from tests.vm.programs import VmError, tail
from tests.vm.system import system

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What a systemd of 252 takes for the layouts of cgroups.
LAYOUTS = {
    "unified": "systemd.unified_cgroup_hierarchy=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0",
    "legacy": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
}
KERNEL = "root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 random.trust_cpu=on audit=0 mitigations=off"

RUN = Path("/run/pyrunc-vm")
#: Seconds: to boot, on a host that is busy; a machine's whole life, after which it ends by itself.
BOOT = 240.0
LIFE = 4 * 3600
#: A program ends with its parent.
BOUND = ("setpriv", "--pdeathsig", "KILL")


class Machine:
    """The machine ``name``; only one of a name runs at a time. All its files are in ``folder``, which goes with it."""

    def __init__(self, name: str) -> None:
        if not name.isascii() or not name.replace("-", "").isalnum():
            raise VmError(f"{name!r} is no name for a machine: letters, digits and '-'")
        self.name = name
        self.folder = RUN / name
        self.console = self.folder / "console"
        self._process: subprocess.Popen[bytes] | None = None

    # --- life --------------------------------------------------------------------------------------------------------

    def up(
        self, layout: str = "unified", release: str = RELEASE, *, interactive: bool = False, bound: bool = False
    ) -> None:
        """Boot and wait until systemd has started everything; VmError with the end of the console where it does not.

        ``interactive``: the console is the terminal's, and this returns when the machine has ended.  ``bound``: it
        ends with the thread that calls.
        """
        if layout not in RELEASES[release].layouts:
            raise VmError(f"Debian {release} has no layout {layout}: {', '.join(RELEASES[release].layouts)} alone")
        contents = project.contents()
        base, disk = system(release), project.disk(release)
        RUN.mkdir(mode=0o700, exist_ok=True)
        try:
            self.folder.mkdir(mode=0o700)
        except FileExistsError:
            raise VmError(f"the machine {self.name} is there already: ./dev vm down --name {self.name}") from None
        try:
            shutil.copy(base / "key", self.folder / "key")
            shutil.copy(base / "known_hosts", self.folder / "known_hosts")
            (self.folder / "contents.json").write_text(json.dumps(contents))
            port = free_port()
            command = self._qemu(base, disk, layout, port, interactive=interactive)
            if interactive:
                subprocess.run(command, check=True)
                self.down()
                return
            lives = ("timeout", "--kill-after=5", str(LIFE))
            with (self.folder / "qemu.log").open("wb") as log:
                self._process = process = subprocess.Popen(
                    [*BOUND, *lives, *BOUND, *command] if bound else [*lives, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            state = {"pid": process.pid, "port": port, "layout": layout}
            (self.folder / "state.json").write_text(json.dumps(state))
            self._wait(process, port)
        except BaseException:
            self.down()
            raise

    @contextmanager
    def booted(self, layout: str = "unified", release: str = RELEASE) -> Iterator[None]:
        """Up, for the length of a with block; down even if the caller is killed."""
        self.up(layout, release, bound=True)
        try:
            yield
        finally:
            self.down()

    def _qemu(self, base: Path, disk: Path, layout: str, port: int, *, interactive: bool) -> list[str]:
        accelerator = os.environ.get("PYRUNC_VM_ACCEL", "tcg,thread=multi")
        console = ["-nographic"] if interactive else ["-display", "none", "-serial", f"file:{self.console}"]
        return [
            "qemu-system-x86_64", "-no-user-config", "-no-reboot", "-accel", accelerator, "-cpu", "max",
            "-m", "3072", "-smp", "2", *console,
            "-kernel", str(base / "kernel"), "-append", f"{KERNEL} {LAYOUTS[layout]}",
            "-drive", f"if=none,id=system,format=raw,snapshot=on,file={base / 'disk'}",
            "-device", "nvme,drive=system,serial=system",
            "-drive", f"if=virtio,format=raw,snapshot=on,file={disk}",
            "-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        ]  # fmt: skip

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + BOOT
        while not greets(port):
            if process.poll() is not None:
                said = tail(self.folder / "qemu.log") + tail(self.console)
                raise VmError(f"the machine ended with {process.returncode}\n{said}")
            if time.monotonic() > deadline:
                raise VmError(f"the machine has not booted after {BOOT:g} s\n{tail(self.console)}")
            time.sleep(0.1)
        done = self.run("systemctl is-system-running --wait", timeout=BOOT)
        if done.stdout.strip() != "running":
            failed = self.run(
                "systemctl --failed --no-legend --plain; journalctl -b -p warning --no-pager | tail -n 30"
            )
            raise VmError(f"the guest's systemd is {done.stdout.strip()}\n{failed.stdout}")

    def sync(self) -> None:
        """Bring what has changed in the checkout since `up` or the last `sync` into the machine.

        The checkout must be built.  VmError where that is not enough: the launcher, or the guest's Python packages.
        """
        kept = self.folder / "contents.json"
        before: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        now = project.contents()
        changed = [name for name in now if now[name] != before.get(name)]
        fixed = [name for name in changed if name in project.FIXED]
        if fixed:
            raise VmError(f"{', '.join(fixed)} changed: ./dev vm down --name {self.name}, then up")
        script = f"cd {PROJECT} && tar xzf - --no-same-owner && rm -f -- " + shlex.join(sorted(set(before) - set(now)))
        script += " && python -I -S -X no_debug_ranges pyrunc/cli/image.py"
        done = subprocess.run([*self.ssh(), script], input=project.packed(changed), timeout=300, check=False)
        if done.returncode:
            raise VmError(f"the project could not be brought into the machine {self.name}")
        kept.write_text(json.dumps(now))

    def down(self) -> None:
        """End the machine at once, and remove its files; nothing where there is none."""
        state = self.folder / "state.json"
        if state.exists():
            pid = json.loads(state.read_text())["pid"]
            if self._is_ours(pid):
                os.killpg(pid, signal.SIGKILL)
                while self._is_ours(pid):
                    time.sleep(0.01)
        if self._process:
            self._process.kill()
            self._process.wait()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _is_ours(self, pid: int) -> bool:
        """Is this pid still the machine's?  Its command line names the machine's console."""
        try:
            return os.fsencode(self.console) in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False

    # --- commands ----------------------------------------------------------------------------------------------------

    def ssh(self, user: str = "root", *, terminal: bool = False) -> list[str]:
        """The command line up to the words of the guest's command, which a shell there reads."""
        try:
            port = json.loads((self.folder / "state.json").read_text())["port"]
        except FileNotFoundError:
            raise VmError(f"there is no machine {self.name}: ./dev vm up --name {self.name}") from None
        options = {
            "IdentityFile": self.folder / "key", "IdentitiesOnly": "yes", "BatchMode": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts", "HostKeyAlias": "guest", "LogLevel": "ERROR",
            # One connection for all: to agree on keys takes a second there.
            "ControlMaster": "auto", "ControlPath": self.folder / "%r", "ControlPersist": LIFE,
            "ServerAliveInterval": 30, "ServerAliveCountMax": 10,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *words, "-t" if terminal else "-T", "-p", str(port), f"{user}@127.0.0.1"]

    def run(
        self, script: str, user: str = "root", timeout: float = 120, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the guest; whatever comes of it, with its output as text."""
        done = subprocess.run([*self.ssh(user), script], input=stdin, capture_output=True, timeout=timeout, check=False)
        return subprocess.CompletedProcess(
            script, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def attached(self, words: Sequence[str], user: str = "root") -> int:
        """Run words as a shell command in the guest, on this terminal or these pipes; its exit status."""
        command = [*self.ssh(user, terminal=os.isatty(0) and os.isatty(1)), *words]
        return subprocess.run(command, check=False).returncode


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def greets(port: int) -> bool:
    """Does an ssh server answer?  qemu takes a connection before anybody in the guest would."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except (TimeoutError, ConnectionError):
        return False
