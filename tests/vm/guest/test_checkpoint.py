"""checkpoint and restore with a CRIU that works: what was in the container's memory is there again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.root.test_terminal import ConsoleSocket
from tests.support import programs
from tests.support.command import run
from tests.vm.guest import engines
from tests.vm.guest.checkpoints import COUNT, checkpoint, counting, goes_on, images, restore, started
from tests.vm.guest.units import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.vm.guest.checkpoints import NewBox

pytestmark = [pytest.mark.needs("guest", "root", "criu"), pytest.mark.timeout(600)]


@pytest.fixture
def counter(new_box: NewBox) -> Box:
    return counting(new_box)


def test_it_goes_on_where_it_was_and_is_a_container_like_any_other(counter: Box, tmp_path: Path) -> None:
    started(counter).exec("ID", "sh", "-c", "echo kept >/tmp/file")
    inside = counter.exec("ID", "cat", "/proc/1/cgroup").stdout
    checkpoint(counter, "--work-path", str(tmp_path / "work"))
    counter.nothing_left()
    assert (tmp_path / "work/dump.log").exists()
    pid = tmp_path / "pid"
    restore(counter, "--work-path", str(tmp_path / "work"), "--pid-file", str(pid))
    assert (tmp_path / "work/restore.log").exists()
    goes_on(counter)
    state = counter.state()
    assert (state["status"], str(state["pid"])) == ("running", pid.read_text())
    assert counter.id in counter.command("list").stdout
    assert counter.exec("ID", "cat", "/tmp/file", "/proc/1/cgroup").stdout == "kept\n" + inside
    assert "<LOOPBACK,UP" in counter.exec("ID", "busybox", "ip", "addr").stdout
    counter.kill("KILL")
    counter.until_stopped()
    counter.delete()
    counter.nothing_left()


def test_with_leave_running_it_runs_on(counter: Box) -> None:
    started(counter)
    before = counter.state()
    checkpoint(counter, "--leave-running", "--leave-running")
    assert counter.state() == before
    goes_on(counter)
    counter.delete("--force")
    restore(counter)
    counter.delete("--force")
    counter.nothing_left()


def test_a_pre_dump_leaves_it_running_and_is_the_parent_of_the_dump(counter: Box) -> None:
    started(counter)
    before = images(counter).with_name(f"{counter.id}-before")
    counter.command("checkpoint", "--pre-dump", "--image-path", before, "ID")
    goes_on(counter)
    checkpoint(counter, "--parent-path", f"../{before.name}")
    assert (images(counter) / "parent").samefile(before)
    restore(counter)
    goes_on(counter)
    counter.delete("--force")
    counter.nothing_left()


def test_what_was_bound_from_the_host_is_bound_again(new_box: NewBox, tmp_path: Path) -> None:
    box = counting(new_box)
    shared, other = tmp_path / "shared", tmp_path / "other"
    for folder, text in ((shared, "before"), (other, "after")):
        (folder / "below").mkdir(parents=True)
        (folder / "name").write_text(text)
    run("mount", "-t", "tmpfs", "tmpfs", str(shared / "below"))
    try:
        box.bundle.mount("/data", "bind", shared, "rbind", "ro").mount("/run", "tmpfs", "tmpfs")
        box.bundle.mount("/run/one", "bind", shared / "name", "bind")
        started(box)
        (shared / "below/file").write_text("below")
        checkpoint(box)
        restore(box)
        assert box.exec("ID", "cat", "/data/name", "/run/one", "/data/below/file").stdout == "beforebeforebelow"
        assert "Read-only" in box.exec("ID", "sh", "-c", ": >/data/x", status=None).stderr
        goes_on(box)
        checkpoint(box)
        config = json.loads((box.bundle.path / "config.json").read_text())
        for mount in config["mounts"]:
            if mount["destination"] == "/run/one":
                mount["source"] = str(other / "name")
        (box.bundle.path / "config.json").write_text(json.dumps(config))
        restore(box)
        assert box.exec("ID", "cat", "/run/one").stdout == "after"
        box.delete("--force")
        box.nothing_left()
    finally:
        run("umount", str(shared / "below"))


def test_limits_and_the_device_filter_are_there_again(new_box: NewBox) -> None:
    box = counting(new_box)
    box.bundle.edit(linux__resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 33}})
    started(box)
    checkpoint(box)
    restore(box)
    (folder,) = box.cgroups()
    assert (folder / "memory.max").read_text() == f"{64 << 20}\n"
    assert (folder / "pids.max").read_text() == "33\n"
    refused = box.exec("--cap", "CAP_MKNOD", "ID", "sh", "-c", "mknod /tmp/k c 1 11 && cat /tmp/k", status=None)
    assert "Operation not permitted" in refused.stderr
    assert "Operation not permitted" not in box.exec("ID", "cat", "/dev/null").stderr
    goes_on(box)
    box.delete("--force")
    box.nothing_left()


def test_under_another_id_it_is_in_the_cgroup_of_that(new_box: NewBox) -> None:
    box, other = counting(new_box), counting(new_box)
    started(box)
    checkpoint(box)
    other.bundle = box.bundle.edit(linux__cgroupsPath=f"/{other.id}")
    other.out = box.out
    box.id, kept = other.id, box.id
    images(box).parent.joinpath(f"{kept}-images").rename(images(box))
    restore(box)
    goes_on(box)
    pid = box.state()["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/{other.id}\n"
    assert not Path(f"/sys/fs/cgroup/{kept}").exists()
    box.delete("--force")
    box.nothing_left()


def test_systemd_gives_it_a_unit_again(new_box: NewBox) -> None:
    box = new_box("/bin/sh", "-c", COUNT)
    started(box, *FLAGS)
    checkpoint(box)
    restore(box, flags=FLAGS)
    goes_on(box)
    assert f"pyrunc-{box.id}.scope" in Path(f"/proc/{box.state()['pid']}/cgroup").read_text()
    box.delete("--force")
    box.nothing_left()


def test_file_locks_are_refused_unless_they_are_asked_for(new_box: NewBox) -> None:
    box = new_box("/bin/locker", "/tmp/lock")
    shutil.copy(programs.static("locker"), box.bundle.path / "rootfs/bin/locker")
    box.bundle.mount("/tmp", "tmpfs", "tmpfs")
    started(box)
    before = box.state()
    said = checkpoint(box, status=1).stderr
    assert "criu failed: type DUMP" in said
    assert "Error (criu/" in said
    assert "lock" in said
    assert str(images(box) / "dump.log") in said
    assert len(said.splitlines()) == 1
    assert box.state() == before
    goes_on(box)
    checkpoint(box, "--file-locks")
    restore(box, "--file-locks")
    goes_on(box)
    assert box.exec("ID", "/bin/locker", "/tmp/lock", "try", status=None).status == 1
    box.delete("--force")
    box.nothing_left()


#: Not `sleep 1000 |`: busybox's sleep of 1.37 ends when CRIU interrupts it.
TALK = (
    "busybox tail -f /dev/null | busybox nc -l -p 5000 >/tmp/heard & "
    "until busybox netstat -tln | grep -q :5000; do sleep 0.1; done; "
    "(while :; do echo word; sleep 0.2; done) | busybox nc 127.0.0.1 5000 & "
    "until [ -s /tmp/heard ]; do sleep 0.1; done; "
)


def test_connections_stay_when_they_are_asked_for(new_box: NewBox) -> None:
    box = started(counting(new_box, TALK))
    assert "Connected TCP socket" in checkpoint(box, status=1).stderr
    goes_on(box)
    checkpoint(box, "--tcp-established")
    restore(box, "--tcp-established")

    def heard() -> int:
        return len(box.exec("ID", "cat", "/tmp/heard").stdout)

    before = heard()
    until(lambda: heard() > before, lambda: "more words over the connection")
    box.delete("--force")
    box.nothing_left()


def test_connections_come_back_closed_when_that_is_asked_for(new_box: NewBox) -> None:
    box = started(counting(new_box, TALK))
    assert "ESTABLISHED" in box.exec("ID", "busybox", "netstat", "-tn").stdout
    checkpoint(box, "--tcp-established")
    restore(box, "--tcp-close")
    goes_on(box)
    assert "ESTABLISHED" not in box.exec("ID", "busybox", "netstat", "-tn").stdout
    box.delete("--force")
    box.nothing_left()


def test_a_file_that_lost_its_name_gets_one_when_that_is_asked_for(new_box: NewBox) -> None:
    before = "exec 3>/data/one; busybox ln /data/one /data/two; busybox rm /data/one; "
    box = counting(new_box, before)
    data = box.bundle.path / "rootfs/data"
    data.mkdir()
    started(box)
    assert "link-remap" in checkpoint(box, status=1).stderr
    goes_on(box)
    checkpoint(box, "--link-remap")
    restore(box)
    goes_on(box)
    box.exec("ID", "sh", "-c", "echo kept >/proc/1/fd/3")
    assert {path.name: path.read_text() for path in data.iterdir()} == {"two": "kept\n"}
    box.delete("--force")
    box.nothing_left()


def test_its_terminal_comes_back_by_the_console_socket(new_box: NewBox, tmp_path: Path) -> None:
    box = new_box("/bin/cat")
    box.bundle.edit(process__terminal=True)
    masters = []
    for verb in ("run", "restore"):
        console = ConsoleSocket(tmp_path / f"console-{verb}")
        path = str(tmp_path / f"console-{verb}")
        if verb == "run":
            box.leaving("run", "--detach", "--bundle", box.bundle, "--console-socket", path, "ID")
        else:
            restore(box, "--console-socket", path)
        masters.append(console.receive()[0])
        console.close()
        os.write(masters[-1], b"word\n")
        until(lambda: b"word" in os.read(masters[-1], 4096), lambda: "an echo")
        if verb == "run":
            checkpoint(box)
    for master in masters:
        os.close(master)
    box.delete("--force")
    box.nothing_left()


def test_the_network_of_somebody_else_is_entered_again(new_box: NewBox, tmp_path: Path) -> None:
    box, network = counting(new_box), tmp_path / "network"
    network.touch()
    run("unshare", f"--net={network}", "true")
    try:
        box.bundle.namespace("network", str(network))
        started(box)
        checkpoint(box)
        restore(box)
        goes_on(box)
        assert os.stat(f"/proc/{box.state()['pid']}/ns/net").st_ino == network.stat().st_ino
        box.delete("--force")
    finally:
        run("umount", network)
    box.nothing_left()


def test_hooks_of_the_runtime_run_and_one_that_fails_leaves_nothing(new_box: NewBox, tmp_path: Path) -> None:
    box = counting(new_box)
    started(box)
    checkpoint(box)
    note = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >>{tmp_path}/seen"]}
    box.bundle.edit(hooks={"prestart": [note], "createRuntime": [note], "poststart": [note]})
    restore(box)
    goes_on(box)
    seen = (tmp_path / "seen").read_text()
    assert seen.count(f'"pid":{box.state()["pid"]}') == 2
    box.delete("--force")
    box.bundle.edit(hooks={"createRuntime": [{"path": "/bin/false"}]})
    assert "error running createRuntime hook" in restore(box, status=1).stderr
    box.nothing_left()


def test_in_the_foreground_signals_reach_it_and_its_status_is_that_of_the_process(new_box: NewBox) -> None:
    box = new_box(
        "/bin/sh", "-c", "trap 'echo told' USR1; until [ -e /tmp/end ]; do sleep 0.1; done; echo over; exit 7"
    )
    box.bundle.mount("/tmp", "tmpfs", "tmpfs")
    box.leaving("run", "--detach", "--bundle", box.bundle, "ID")
    box.exec("ID", "touch", "/tmp/almost")
    checkpoint(box, "--leave-running")
    box.exec("ID", "touch", "/tmp/end")
    box.until_stopped()
    box.delete()
    config = json.loads((box.bundle.path / "config.json").read_text())
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    (box.bundle.path / "config.json").write_text(json.dumps(config))
    words = (str(box.runtime), "--root", str(box.root), "restore", "--bundle", str(box.bundle.path), "--image-path")
    # CRIU wants a file of the mode that standard output had.
    again = box.bundle.path / "again"
    with (
        again.open("wb") as out,
        subprocess.Popen(
            [*words, str(images(box)), box.id], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process,
    ):
        until(lambda: box.exists() and box.command("state", "ID", status=None).status == 0, lambda: "it is there")
        until(lambda: box.status() == "running", lambda: "it runs")
        process.send_signal(signal.SIGUSR1)
        until(lambda: again.read_text() == "told\n", again.read_text)
        box.exec("ID", "touch", "/tmp/end")
        assert process.wait(60) == 7
    assert again.read_text() == "told\nover\n"
    box.nothing_left()


def test_images_of_runc_are_restored_and_ours_by_runc(new_box: NewBox, runc: Path, runtime: Path) -> None:
    for writer, reader in ((runc, runtime), (runtime, runc)):
        box = new_box("/bin/sh", "-c", COUNT)
        box.bundle.mount("/tmp", "tmpfs", "tmpfs")
        ours, theirs = os.pipe()

        def run_with(program: Path, *words: str, out: int = theirs, of: Box = box) -> None:
            named = [str(program), "--root", f"{of.root}-{program.name}", *words, of.id]
            subprocess.run(named, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=120)

        bundle = ("--bundle", str(box.bundle.path))
        run_with(writer, "run", "--detach", *bundle)
        assert os.read(ours, 1) == b"1"
        run_with(writer, "checkpoint", "--image-path", str(images(box)), out=2)
        os.set_blocking(ours, False)
        before = int(os.read(ours, 65536).split()[-1])
        os.set_blocking(ours, True)
        run_with(reader, "restore", "--detach", *bundle, "--image-path", str(images(box)))
        assert int(os.read(ours, 100).split()[0]) == before + 1
        run_with(reader, "delete", "--force", out=2)
        os.close(ours)
        os.close(theirs)


def test_without_images_nothing_is_made(counter: Box, tmp_path: Path) -> None:
    (images(counter)).mkdir()
    said = counter.refused("restore", "--bundle", counter.bundle, "--image-path", str(images(counter)), "ID")
    assert "no checkpoint" in said
    said = counter.refused("restore", "--bundle", counter.bundle, "--image-path", str(tmp_path / "none"), "ID")
    assert "--image-path" in said


@pytest.mark.needs("podman", "runc")
@pytest.mark.parametrize("runtime_name", ["pyrunc", "runc"])
def test_podman_stops_a_container_and_lets_it_go_on(runtime_name: str, tmp_path: Path, ids: Callable[[], str]) -> None:
    engine, name = engines.Engine("systemd", runtime_name), ids()
    image = engines.imported(tmp_path)
    program = "trap 'exit 7' TERM; " + COUNT

    def numbers() -> list[int]:
        return [int(line) for line in engine("logs", name).stdout.split()]

    engine("run", "--detach", "--name", name, "--volume", f"{tmp_path}:/data", image, "sh", "-c", program)
    try:
        until(lambda: len(numbers()) > 3, lambda: "numbers")
        engine("container", "checkpoint", name)
        before = numbers()
        assert "Exited" in engine("ps", "--all", "--filter", f"name={name}").stdout
        engine("container", "restore", name)
        until(lambda: len(numbers()) > len(before) + 3, lambda: "more numbers")
        now = numbers()
        assert now == list(range(1, len(now) + 1))
        assert engine("exec", name, "sh", "-c", "busybox cat /proc/1/comm; busybox ls /data").stdout.split()[0] == "sh"
        engine("stop", name)
        assert engine("wait", name).stdout == "7\n"
    finally:
        engine("rm", "--force", name)
