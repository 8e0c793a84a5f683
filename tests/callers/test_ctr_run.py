"""``ctr run`` with its options, as with runc.

Each test runs one command with runc first and with the runtime under test next; `same` fails on any difference that
tests/callers/differences.py does not list.  What the test asserts beyond that is that the option had an effect at all.
"""

from __future__ import annotations

import json
import re
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.ctr import equal, task
from tests.callers.enclosure import on_a_terminal
from tests.callers.engine import IMAGE, image, unique
from tests.support import programs

if TYPE_CHECKING:
    from tests.callers.ctr import Ctr

pytestmark = pytest.mark.needs("root", "containerd", "ctr", "runc", "busybox", "nsenter", "unshare", "cgroup1")

#: ctr mounts no cgroups of its own accord.
CGROUPS = ("--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:noexec:nodev")


def test_the_default_profile_shows_the_same_container(ctr: Ctr) -> None:
    seen = ctr.looks_same()
    assert seen.status("NoNewPrivs") == "1"
    assert "/proc/acpi" in " ".join(seen.sections["mountinfo"])


def test_the_environment(ctr: Ctr, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("FROM_FILE=1\n")
    seen = ctr.looks_same("--env", "A=b c", "--env", "EMPTY=", "--env-file", str(tmp_path / "file"))
    assert {"A=b c", "EMPTY=", "FROM_FILE=1"} <= set(seen.sections["env"])


def test_a_read_only_rootfs_and_a_working_directory(ctr: Ctr) -> None:
    seen = ctr.looks_same("--read-only", "--cwd", "/srv")
    assert "/" not in seen.sections["writable"]
    assert seen.sections["cwd"] == ["/srv"]


@pytest.mark.parametrize("options", ["rbind:ro", "rbind:rw", "bind:rprivate:nosuid:noexec", "rbind:rslave:ro"])
def test_a_bind_mount(ctr: Ctr, tmp_path: Path, options: str) -> None:
    seen = ctr.looks_same("--mount", f"type=bind,src={tmp_path},dst=/srv/data,options={options}")
    assert f"root={tmp_path}" in seen.mount("/srv/data")


def test_a_tmpfs(ctr: Ctr) -> None:
    seen = ctr.looks_same("--mount", "type=tmpfs,src=tmpfs,dst=/tmp,options=size=1m:mode=1777:noexec")
    assert "size=1024k" in seen.mount("/tmp")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--memory-limit", "33554432"], "memory/memory.limit_in_bytes 33554432"),
        (["--cpus", "0.5"], "cpu/cpu.cfs_quota_us 50000"),
        (["--cpu-quota", "25000", "--cpu-period", "50000"], "cpu/cpu.cfs_period_us 50000"),
        (["--cpu-shares", "512"], "cpu/cpu.shares 512"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_limits(ctr: Ctr, options: list[str], line: str) -> None:
    assert line in ctr.looks_same(*CGROUPS, *options).sections["cgroup-files"]


def test_containerds_seccomp_profile(ctr: Ctr) -> None:
    assert ctr.looks_same("--seccomp").status("Seccomp") == "2"
    calls = ["unshare -m true", "mount -t tmpfs t /tmp", "swapoff /x", "chroot / true"]
    seen = ctr.same("--seccomp", script="; ".join(f"/bin/busybox {call} 2>&1; echo $?" for call in calls))
    assert "not permitted" in seen.out


def test_a_seccomp_profile_of_ones_own(ctr: Ctr, tmp_path: Path) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    options = ("--seccomp", "--seccomp-profile", str(profile))
    assert "No space left" in ctr.same(*options, script="/bin/busybox mkdir /tmp/x 2>&1").out


def test_a_privileged_container(ctr: Ctr) -> None:
    seen = ctr.looks_same("--privileged")
    assert not any("/proc/acpi" in line for line in seen.sections["mountinfo"])


def test_capabilities_and_privileges(ctr: Ctr) -> None:
    options = ("--cap-add", "CAP_NET_ADMIN", "--cap-drop", "CAP_CHOWN", "--allow-new-privs")
    seen = ctr.looks_same(*options)
    assert int(seen.status("CapEff"), 16) & (1 << 12 | 1 << 0) == 1 << 12
    assert seen.status("NoNewPrivs") == "0"


def test_a_device(ctr: Ctr) -> None:
    seen = ctr.looks_same("--device", "/dev/full", "--mount", "type=tmpfs,src=tmpfs,dst=/m")
    assert any(line.startswith("full ") for line in seen.sections["dev"])


def test_the_network_of_the_host(ctr: Ctr) -> None:
    script = "readlink /proc/self/ns/net; cat /proc/net/dev | wc -l"
    script = script.replace("readlink", "/bin/busybox readlink").replace("| wc", "| /bin/busybox wc")
    theirs = ctr.containerd.enclosure.run(["readlink", "/proc/self/ns/net"]).stdout.decode()
    assert ctr.same("--net-host", script=script).out.startswith(theirs)
    ctr.looks_same("--net-host")


def test_namespaces_of_others(ctr: Ctr) -> None:
    options = ("--with-ns", "network:/proc/1/ns/net", "--with-ns", "ipc:/proc/1/ns/ipc")
    theirs = ctr.containerd.enclosure.run(["readlink", "/proc/1/ns/net", "/proc/1/ns/ipc"]).stdout.decode()
    seen = ctr.same(*options, script="for n in net ipc; do /bin/busybox readlink /proc/self/ns/$n; done")
    assert seen.out == theirs


def test_a_user_namespace(ctr: Ctr) -> None:
    ids = ("--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536")
    seen = ctr.looks_same(*ids)
    assert seen.sections["uid_map"][0].split() == ["0", "300000", "65536"]


@pytest.mark.parametrize("propagation", ["private", "slave", "shared"])
def test_the_propagation_of_the_rootfs(ctr: Ctr, propagation: str) -> None:
    ctr.looks_same("--rootfs-propagation", propagation)


def test_a_directory_as_the_rootfs(ctr: Ctr, tmp_path: Path) -> None:
    busybox = programs.busybox()
    assert busybox
    with tarfile.open(fileobj=BytesIO(image(busybox, Path(__file__).with_name("look.sh")))) as tar:
        tar.extractall(tmp_path / "rootfs")
    seen = ctr.looks_same("--rootfs", image=str(tmp_path / "rootfs"))
    assert f"root={tmp_path}/rootfs" in seen.mount("/")
    assert "ran" in ctr.same("--rootfs", "--no-pivot", script="echo ran", image=str(tmp_path / "rootfs")).out


def test_annotations_and_a_root_of_its_own(ctr: Ctr) -> None:
    ctr.looks_same("--annotation", "org.example.key=value", "--label", "a=b", "--runc-root", "/run/other")
    assert ctr.containerd.enclosure.run(["ls", "/run/other/default"]).stdout == b""


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$; exit 3", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code(ctr: Ctr, script: str, code: int) -> None:
    assert ctr.same(script=script).code == code


@pytest.mark.parametrize(
    ("command", "options", "text"),
    [
        (("/no/such/program",), (), "no such file or directory"),
        (("no-such-program",), (), r"executable file not found in \$PATH"),
        (("/srv/not-executable",), (), "permission denied"),
        (("/srv/bad-format",), (), "exec format error"),
        (("/bin/true",), ("--cwd", "/etc/passwd"), "not a directory"),
        (
            ("/bin/true",),
            ("--mount", "type=bind,src=/no/such,dst=/m,options=rbind"),
            "does not exist|no such file or directory",
        ),
        (("/bin/true",), ("--with-ns", "network:/no/such"), "no such file or directory"),
    ],
    ids=lambda value: value[-1].rpartition("/")[2] if value and isinstance(value, tuple) else "",
)
def test_what_cannot_be_started_is_told(
    ctr: Ctr, command: tuple[str, ...], options: tuple[str, ...], text: str
) -> None:
    theirs = ctr.fails(ctr.reference, *options, command=command)
    ours = ctr.fails(ctr.runtime, *options, command=command)
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    assert re.search(text, theirs.err), theirs
    assert re.search(text, ours.err), ours


def test_a_terminal_has_its_size_and_its_keys(ctr: Ctr) -> None:
    seen = []
    # ctr sets the size behind the start.
    script = 'b=/bin/busybox; until [ "$($b stty size 2>&1)" = "33 101" ]; do :; done; $b stty size; $b tty; '
    script += '$b stat -c %a:%u:%g $($b tty); read line; echo "got $line"; exit 5'
    for runtime in (ctr.reference, ctr.runtime):
        name = unique()
        words = ["ctr", "--address", ctr.containerd.socket, "run", "--rm", "--tty", *ctr.options(runtime, name)]
        words += [IMAGE, name, "/bin/sh", "-c", script]
        command = ctr.containerd.enclosure.argv(words)
        seen.append(on_a_terminal(command, env=ctr.containerd.env, typed=b"word\r", after=b":5", size=(33, 101)))
    assert seen[0] == seen[1]
    code, screen = seen[1]
    assert (code, screen.split()) == (5, b"33 101 /dev/pts/0 620:0:5 word got word".split())


def test_the_pid_file_has_the_pid(ctr: Ctr, tmp_path: Path) -> None:
    for runtime in (ctr.reference, ctr.runtime):
        path = tmp_path / unique()
        with task(ctr, runtime, "--pid-file", str(path), script="exec sleep 1000") as box:
            assert path.read_text() in box.do("ps", "NAME").out.split()


def test_nothing_is_left_of_a_container(ctr: Ctr) -> None:
    enclosure = ctr.containerd.enclosure
    name = unique()
    words = ["run", "--rm", *ctr.options(ctr.runtime, name), IMAGE, name]
    seen = ctr.containerd.stays(*words, script="cat /proc/self/cgroup")
    assert f"{ctr.containerd.cgroup}/{name}".encode() in seen.stdout
    assert enclosure.run(["find", "/sys/fs/cgroup", "-path", f"*{name}*"]).stdout == b""
    assert enclosure.run(["find", "/run", "-name", f"*{name}*"]).stdout == b""
    assert name.encode() not in enclosure.run(["cat", "/proc/self/mountinfo"]).stdout
    assert name.encode() not in enclosure.run(["ps", "-eo", "args"]).stdout


def test_both_runtimes_are_what_ctr_says(ctr: Ctr) -> None:
    """The comparison would hold of a runtime and itself, too."""
    for runtime in (ctr.reference, ctr.runtime):
        with task(ctr, runtime, script="exec sleep 1000") as box:
            options = f"/run/containerd/io.containerd.runtime.v2.task/default/{box.name}/options.json"
            told = ctr.containerd.enclosure.run(["cat", options]).stdout
            assert json.loads(told)["binary_name"] == runtime
            equal(box.exec("echo here"), box.exec("echo here"))
