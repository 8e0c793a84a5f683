"""The rootfs, and what runs in it, is hostile: nothing outside of it changes.

One test for each class of vulnerability that other runtimes had; the canary is a tree of the host, next
to the rootfs, that the links in the rootfs point to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.test_create import ConsoleSocket, read_all
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

REPOSITORY = Path(__file__).parents[2]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def programs_unchanged(pyrunc: Path) -> Iterator[None]:
    """The launcher, the interpreter, its library and pyrunc-init are the same files with the same content."""
    base = Path(os.path.realpath(sys.executable))
    files = [pyrunc, base, *REPOSITORY.glob("pyrunc/native/pyrunc-init"), *base.parent.glob("../lib/libpython3*.so*")]
    before = {path: (digest(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
    yield
    assert {path: (digest(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files} == before


def replaced(path: Path, target: str | os.PathLike[str]) -> None:
    """Put a symlink where ``path`` is."""
    run("rm", "-rf", path)
    path.symlink_to(target)


# CVE-2019-5736: the runtime's own program


@pytest.mark.usefixtures("programs_unchanged")
@pytest.mark.parametrize("script", [None, "#!/proc/self/exe\n"])
def test_the_container_runs_its_own_executable(box: Box, canary: Canary, script: str | None) -> None:
    if script is None:
        box.bundle.args("/proc/self/exe")
    else:
        (box.bundle.rootfs / "script").write_text(script)
        (box.bundle.rootfs / "script").chmod(0o755)
        box.bundle.args("/script")
    result = box.run(status=None)
    assert result.status != 0
    box.nothing_left()


@pytest.mark.usefixtures("programs_unchanged")
def test_a_container_that_writes_to_every_executable_it_sees(new_box: Callable[..., Box]) -> None:
    script = (
        "while :; do for exe in /proc/[0-9]*/exe; do"
        ' case "$(readlink $exe)" in /bin/busybox) ;; *) echo overwritten >>$exe && echo WROTE $(readlink $exe);; esac;'
        " done; done 2>/dev/null"
    )
    box = new_box("/bin/sh", "-c", script)
    box.bundle.edit(process__capabilities={"bounding": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"],
                                           "permitted": ["CAP_SYS_PTRACE"]})  # fmt: skip
    box.started()
    for _ in range(10):
        box.exec("ID", "/bin/true")
    box.delete("--force")
    assert "WROTE" not in box.output()


def test_what_stands_behind_the_created_process_is_sealed(box: Box) -> None:
    box.create()
    pid = box.state()["pid"]
    exe = os.readlink(f"/proc/{pid}/exe")
    assert "memfd:" in exe
    assert "deleted" in exe
    with open(f"/proc/{pid}/exe", "rb") as file:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    wanted = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    assert seals & wanted == wanted


# /proc, /sys and /dev of the image


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["absolute", "relative", "inside", "dangling"])
def test_proc_and_sys_that_are_symlinks_are_refused(box: Box, canary: Canary, name: str, target: str) -> None:
    targets: dict[str, str | Path] = {
        "absolute": canary.path / "empty",
        "relative": "../../canary/empty",
        "inside": "tmp",
        "dangling": "/no/such/place",
    }
    replaced(box.bundle.rootfs / name, targets[target])
    said = box.create_refused()
    assert f"/{name}" in said
    assert "mounts[" in said


@pytest.mark.parametrize("target", ["absolute", "relative", "inside"])
def test_a_dev_that_is_a_symlink_never_reaches_the_host(box: Box, canary: Canary, target: str) -> None:
    targets: dict[str, str | Path] = {
        "absolute": canary.path / "empty",
        "relative": "../../canary/empty",
        "inside": "tmp",
    }
    replaced(box.bundle.rootfs / "dev", targets[target])
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []
    box.nothing_left()


@pytest.mark.parametrize(
    "destination",
    ["/proc/self/attr", "/proc/sys", "/proc/sys/kernel", "/proc/self", "/proc/1", "/proc/self/fd", "/proc/kcore/x"],
)
def test_mounts_over_proc_are_refused(box: Box, tmp_path: Path, destination: str) -> None:
    (tmp_path / "source").mkdir()
    box.bundle.mount(destination, "bind", tmp_path / "source", "bind")
    said = box.create_refused()
    assert "/proc" in said


@pytest.mark.parametrize("destination", ["/proc/uptime", "/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg"])
def test_files_that_engines_put_over_proc_are_allowed(box: Box, tmp_path: Path, destination: str) -> None:
    (tmp_path / "source").write_text("from the host\n")
    box.bundle.mount(destination, "bind", tmp_path / "source", "bind")
    assert box.sees(f"read={destination}")["read"][destination] == "from the host\n"


def test_a_proc_mounted_elsewhere_gives_no_way_to_mount_over_it(box: Box, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    box.bundle.mount("/tmp", "proc", "proc").mount("/tmp/sys", "bind", tmp_path / "source", "bind")
    box.create_refused()


# Mount targets and what is created for them

LINKS = {
    "an absolute link": "{canary}/{entry}",
    "a relative link": "../../canary/{entry}",
    "a link out by dots": "../../../../../../../../../../{canary}/{entry}",
    "a link through proc": "/proc/1/root/{canary}/{entry}",
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("place", ["the target", "its parent", "its grandparent"])
@pytest.mark.parametrize("kind", ["bind directory", "bind file", "tmpfs"])
def test_a_symlink_on_the_way_to_a_mount_stays_inside(
    box: Box, canary: Canary, tmp_path: Path, link: str, place: str, kind: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "mounted").touch()
    entry = ("secret" if kind == "bind file" else "directory") if place == "the target" else "empty"
    target = LINKS[link].format(canary=canary.path, entry=entry)
    destination = {"the target": "/link", "its parent": "/link/new", "its grandparent": "/link/new/newer"}[place]
    (box.bundle.rootfs / "link").symlink_to(target)
    if kind == "tmpfs":
        box.bundle.mount(destination, "tmpfs", "tmpfs")
    else:
        source = tmp_path / "source" / ("mounted" if kind == "bind file" else ".")
        box.bundle.mount(destination, "bind", source, "bind")
    result = box.run(status=None)
    canary.check()
    if result.status == 0:
        points = [line.split(" ")[4] for line in json.loads(result.stdout)["mounts"]]
        assert len([point for point in points if not point.startswith(("/proc", "/dev", "/sys"))]) >= 2
    box.nothing_left()


@pytest.mark.parametrize("loop", ["loop", "/loop", "./loop/x", "a", "../loop"])
def test_a_loop_of_symlinks_is_refused(box: Box, tmp_path: Path, loop: str) -> None:
    (box.bundle.rootfs / "loop").symlink_to(loop)
    (box.bundle.rootfs / "a").symlink_to("loop")
    box.bundle.mount("/loop/x", "bind", tmp_path, "bind")
    assert "mounts[" in box.create_refused()


@pytest.mark.parametrize("link", LINKS)
def test_a_device_below_a_symlink_stays_inside(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry="empty"))
    device = {"path": "/link/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    box.bundle.edit(linux__devices=[device])
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []


@pytest.mark.parametrize("link", LINKS)
def test_a_working_directory_below_a_symlink_is_made_inside(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry="empty"))
    box.bundle.edit(process__cwd="/link/made")
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []


@pytest.mark.parametrize("link", LINKS)
def test_tmpcopyup_of_a_symlink_copies_nothing_of_the_host(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry=""))
    (box.bundle.rootfs / "etc/out").symlink_to(canary.path)
    box.bundle.mount("/link", "tmpfs", "tmpfs", "tmpcopyup").mount("/etc", "tmpfs", "tmpfs", "tmpcopyup")
    box.bundle.args("/bin/probe", "list=/link", "list=/etc", "stat=/etc/out")
    result = box.run(status=None)
    if result.status == 0:
        seen = json.loads(result.stdout)
        assert "secret" not in json.dumps(seen["list"])
        assert seen["stat"]["/etc/out"]["type"] == "symlink"


@pytest.mark.parametrize("which", ["maskedPaths", "readonlyPaths"])
def test_a_masked_path_behind_a_symlink_stays_inside(box: Box, canary: Canary, which: str) -> None:
    (box.bundle.rootfs / "out").symlink_to(canary.path)
    (box.bundle.rootfs / "up").symlink_to("../../canary")
    box.bundle.edit(**{f"linux__{which}": ["/out/secret", "/up/secret", "/out", "/up"]})
    box.run()


# What masks bind


@pytest.mark.parametrize("null", ["link", "file", "device"])
def test_a_null_device_of_the_image_masks_nothing(box: Box, canary: Canary, null: str) -> None:
    # CVE-2025-31133: without a tmpfs on /dev the image's own /dev/null is what a path would find.
    box.bundle.config["mounts"] = [m for m in box.bundle.config["mounts"] if not m["destination"].startswith("/dev")]
    path = box.bundle.rootfs / "dev/null"
    if null == "link":
        path.symlink_to("/etc/passwd")
    elif null == "file":
        path.write_text("the image's own\n")
    else:
        os.mknod(path, 0o020666, os.makedev(1, 5))
    box.bundle.edit(linux__maskedPaths=["/etc/group"]).args("/bin/probe", "stat=/etc/group", "read=/etc/group")
    result = box.run(status=None)
    if result.status == 0:
        entry = json.loads(result.stdout)["stat"]["/etc/group"]
        assert (entry["type"], entry["device"]) == ("char", "1:3")
    else:
        assert "/dev/null" in result.stderr


@pytest.mark.needs("unshare", "cap_mknod")
@pytest.mark.parametrize("path", ["/proc/keys", "/proc/timer_list", "/dev/null", "/dev/stdin", "/dev/stdout"])
def test_the_hosts_null_device_cannot_be_changed_from_inside(new_box: Callable[..., Box], path: str) -> None:
    # A bind mount of the host's node, or a descriptor of it, shares its inode.  The host of this test is a
    # mount namespace with a /dev of its own, so that a failure harms nobody.
    box = new_box("/bin/sh", "-c", f"chmod 600 {path}; touch -d @1000 {path}; chown 7:7 {path}; exit 0")
    caps = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_FSETID"]
    box.bundle.edit(process__capabilities={"bounding": caps, "effective": caps, "permitted": caps})
    script = (
        "mount -t tmpfs -o mode=755 tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5"
        ' && touch -d @5000 /dev/null && "$@" <>/dev/null >&0 2>/dev/null; stat -c "%a %u %Y" /dev/null'
    )
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command)
    assert result.stdout == "666 0 5000\n"


# The console


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_a_console_that_is_a_symlink_never_reaches_the_host(
    box: Box, canary: Canary, tmp_path: Path, target: str
) -> None:
    (box.bundle.rootfs / "dev/pts").mkdir()
    box.bundle.config["mounts"] = [
        m for m in box.bundle.config["mounts"] if m["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")
    ]
    link = canary.path / "secret" if target == "absolute" else "../../../canary/secret"
    (box.bundle.rootfs / "dev/console").symlink_to(link)
    box.bundle.edit(process__terminal=True).args("/bin/sh", "-c", "tty; echo written >/dev/console; echo end")
    console = ConsoleSocket(tmp_path / "console")
    result = box.create("--console-socket", tmp_path / "console", status=None)
    if result.status == 0:
        master, _ = console.receive()
        box.start()
        assert b"end" in read_all(master)
        os.close(master)
    console.close()
    assert (canary.path / "secret").read_text() == "the host's own\n"


# Descriptors and the working directory


@pytest.mark.parametrize("number", range(3, 20))
def test_a_working_directory_behind_a_descriptor_is_refused(box: Box, number: int) -> None:
    # CVE-2024-21626.
    box.bundle.edit(process__cwd=f"/proc/self/fd/{number}")
    said = box.create_refused()
    assert "process.cwd" in said


def test_a_working_directory_behind_a_link_to_a_descriptor_is_refused(box: Box, tmp_path: Path) -> None:
    for number in range(3, 20):
        (box.bundle.rootfs / f"link{number}").symlink_to(f"/proc/self/fd/{number}")
    for number in (3, 7, 9):
        box.bundle.edit(process__cwd=f"/link{number}")
        box.create_refused()


@pytest.mark.parametrize("number", range(3, 14))
def test_exec_with_a_working_directory_behind_a_descriptor_is_refused(sleeper: Box, number: int) -> None:
    result = sleeper.exec("--cwd", f"/proc/self/fd/{number}", "ID", "/bin/ls", "-l", ".", status=255)
    assert result.stdout == ""


def test_a_preserved_directory_is_not_the_working_directory(box: Box, canary: Canary) -> None:
    fd = os.open(canary.path, os.O_RDONLY | os.O_DIRECTORY)
    box.bundle.edit(process__cwd=f"/proc/self/fd/{fd}")
    box.create_refused(pass_fds=(fd,))
    os.close(fd)


# Identity


def test_an_environment_entry_without_a_value_is_not_filled_in(box: Box) -> None:
    # CVE-2026-57231.
    box.bundle.edit(process__env=["HOME_OF_NOBODY", "PATH", "A=1"]).args("/bin/probe", "print=env")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run(*command, env={"HOME_OF_NOBODY": "the host's", "PATH": "/usr/bin:/bin"})
    env = json.loads(result.stdout)["env"]
    assert {"HOME_OF_NOBODY", "PATH", "A=1"} <= set(env)
    assert not any("host" in entry for entry in env)


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize(
    "user", [{"uid": 0, "gid": 0}, {"uid": 1000, "gid": 1000}, {"uid": 0, "gid": 0, "additionalGids": []}]
)
def test_groups_of_the_caller_stay_outside(box: Box, user: dict[str, object]) -> None:
    # CVE-2022-2989: setgroups is called for an empty list, too.
    box.bundle.edit(process__user=user).args("/bin/probe", "print=ids")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run("setpriv", "--groups", "4,20,1234", *command)
    assert json.loads(result.stdout)["ids"]["groups"] == []


def test_inheritable_capabilities_are_empty_by_default(box: Box) -> None:
    # CVE-2022-24769.
    assert int(box.sees()["status"]["CapInh"], 16) == 0


def test_no_abstract_socket_is_made(sleeper: Box) -> None:
    # CVE-2020-15257: an abstract socket is reachable from every container that shares the network namespace.
    with open("/proc/net/unix") as file:
        names = [line.split()[-1] for line in file if "@" in line]
    assert not [name for name in names if "pyrunc" in name or sleeper.id in name]


@pytest.mark.needs("cgroup1")
def test_cgroups_are_read_only_for_the_container(box: Box) -> None:
    box.bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    seen = box.sees("write=/sys/fs/cgroup/new", "write=/sys/fs/cgroup/memory/cgroup.procs")
    assert all("error" in outcome for outcome in seen["write"].values())


# Races


PROGRAM = """\
import posix, sys
sys.path.insert(0, sys.argv.pop(1))
from pyrunc.host import helper
from pyrunc.host import message as messages
init, stop, swap = sys.argv[1:4]
helper.INIT = init
helper.TEST_ARGS = ("stop=" + stop,)
receive = helper.Init.receive
def receiving(self):
    while True:
        message = receive(self)
        if message is None or message.kind != messages.STOPPED:
            return message
        assert posix.system(swap) == 0
        self.go_on()
helper.Init.receive = receiving
from pyrunc.cli.lean import main
posix._exit(main(sys.argv[4:]))
"""


@pytest.fixture(scope="module")
def test_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pyrunc-init with sync points."""
    from pyrunc.native import build

    return Path(build.build(tmp_path_factory.mktemp("native"), test=True))


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("kind", ["bind directory", "bind file", "tmpfs", "device", "cwd"])
def test_a_path_that_becomes_a_symlink_before_any_op(
    new_box: Callable[..., Box], canary: Canary, test_init: Path, tmp_path: Path, kind: str
) -> None:
    # The directory /race of the rootfs is exchanged for a link to the host before op N, for every N.
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").touch()
    (tmp_path / "program.py").write_text(PROGRAM)
    count = 0
    index = 0
    while index == 0 or index < count:
        box = new_box("/bin/true")
        (box.bundle.rootfs / "race/deep").mkdir(parents=True)
        if kind == "tmpfs":
            box.bundle.mount("/race/deep/new", "tmpfs", "tmpfs")
        elif kind == "device":
            box.bundle.edit(linux__devices=[{"path": "/race/deep/new", "type": "c", "major": 1, "minor": 3}])
        elif kind == "cwd":
            box.bundle.edit(process__cwd="/race/deep/new")
        else:
            source = tmp_path / "source" / ("file" if kind == "bind file" else "")
            box.bundle.mount("/race/deep/new", "bind", source, "bind")
        if not count:
            plan = json.loads(run(box.runtime, "plan", "--format", "json", "--bundle", box.bundle).stdout)
            count = [op["op"] for op in plan["ops"] if op["stage"] != "runtime"].index("ready")
        race = box.bundle.rootfs / "race"
        swap = f"mv {race} {race}-before && ln -s {canary.path} {race}"
        command = [sys.executable, "-I", "-S", "-X", "utf8", str(tmp_path / "program.py"), str(REPOSITORY)]
        command += [str(test_init), str(index), swap, "--root", str(box.root), "create", "--bundle"]
        done = subprocess.run(
            [*command, str(box.bundle.path), box.id],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60,
        )  # fmt: skip
        canary.check()
        assert os.listdir(canary.path / "directory") == ["below"]
        if done.returncode == 0:
            box.delete("--force")
        canary.check()
        box.nothing_left()
        index += 1
    assert count > 30
