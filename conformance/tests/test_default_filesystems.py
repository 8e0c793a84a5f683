"""config-linux#default-filesystems: what engines list in every config works where it is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import config
from conformance.marks import decides

if TYPE_CHECKING:
    from conformance.workshop import Maker


@decides("config-linux.default-filesystems.proc")
def test_proc_is_of_the_containers_pid_namespace(container: Maker) -> None:
    seen = container().report()
    assert seen.mount("/proc").type == "proc"
    assert seen.status("Pid") == str(seen["pid"]) == "1"


@decides("config-linux.default-filesystems.sys")
def test_sys_is_of_the_containers_network(container: Maker) -> None:
    box = container()
    config.add_namespace(box.config, "network")
    config.add_mount(box.config, "/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    seen = box.report("list=/sys/class/net")
    assert seen.mount("/sys").type == "sysfs"
    assert "lo" in seen.answer("list", "/sys/class/net")
    assert not [name for name in seen.answer("list", "/sys/class/net") if name.startswith(("eth", "en"))]


@decides("config-linux.default-filesystems.dev-pts")
def test_terminals_appear_in_dev_pts(container: Maker) -> None:
    box = container()
    options = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
    config.add_mount(box.config, "/dev/pts", "devpts", "devpts", *options)
    seen = box.report("pty=/dev/pts/ptmx")
    assert seen.mount("/dev/pts").type == "devpts"
    made = seen.answer("pty", "/dev/pts/ptmx")
    assert (made.get("type"), made.get("minor")) == ("char", 0), made
    assert made["mode"] == 0o620


@decides("config-linux.default-filesystems.dev-shm")
def test_shared_memory_is_made_in_dev_shm(container: Maker) -> None:
    box = container()
    options = ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")
    config.add_mount(box.config, "/dev/shm", "tmpfs", "shm", *options)
    seen = box.report("stat=/dev/shm", "create=/dev/shm/object")
    assert (seen.mount("/dev/shm").type, seen.mount("/dev/shm").source) == ("tmpfs", "shm")
    assert seen.answer("stat", "/dev/shm")["mode"] == 0o1777
    assert seen.errno("create", "/dev/shm/object") == 0
