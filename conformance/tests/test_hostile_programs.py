"""beyond#hostile-rootfs: programs and working directories that an image has made symlinks of, and the runtime's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.config import PROBE
from conformance.container import until
from conformance.marks import decides, needs
from conformance.seen import reports
from conformance.support.canary import HIDDEN, LINKS, Canary, attempt

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker, Workshop

pytestmark = needs("root", "cap_mknod")

#: Descriptors that a runtime's process may have open while it makes a container.
NUMBERS = range(3, 13)


@pytest.fixture
def canary(workshop: Workshop) -> Canary:
    return Canary(workshop)


def run(box: Container) -> str:
    """What it writes, when it is not refused; it has been deleted when this returns."""
    if box.create("any").status:
        box.gone()
        return ""
    if box.start("any").status == 0:
        box.wait()
    box.delete("any", force=True)
    return box.output()


@decides("beyond.hostile-rootfs.program")
@pytest.mark.parametrize("form", LINKS)
def test_a_program_that_is_a_symlink_out_of_the_rootfs_does_not_run(
    container: Maker, canary: Canary, form: str
) -> None:
    for link, words in (("program", ["/program"]), ("sub", ["/sub/program"]), ("program", ["program"])):
        box = container()
        canary.link(box, link, "program" if link == "program" else ".", form)
        box.config["process"]["args"] = [*words, "echo", "from outside"]
        assert "from outside" not in run(box)
        canary.check()


@decides("beyond.hostile-rootfs.program-kind")
@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop"])
def test_a_program_that_is_none_is_an_error_and_nothing_hangs(container: Maker, kind: str) -> None:
    box = container()
    place = box.rootfs / "program"
    if kind == "fifo":
        os.mkfifo(place, 0o755)
    elif kind == "directory":
        place.mkdir()
    elif kind == "device":
        os.mknod(place, 0o020755, os.makedev(1, 3))
    else:
        place.symlink_to("program")
    box.config["process"]["args"] = ["/program"]
    if box.create("any").status:
        box.gone()
    elif box.start("any").status == 0:
        assert box.wait() != 0


@decides("beyond.hostile-rootfs.cwd")
@pytest.mark.parametrize("form", LINKS)
def test_a_working_directory_behind_a_symlink_is_inside(container: Maker, canary: Canary, form: str) -> None:
    for cwd, entry in (("/link", "directory"), ("/link/made", "empty"), ("/link", canary.absent)):
        box = container()
        canary.link(box, "link", entry, form)
        box.config["process"]["cwd"] = cwd
        seen = attempt(box, "read=inner", "list=.")
        canary.check()
        if seen:
            assert seen.answer("read", "inner") != HIDDEN
            assert str(seen["cwd"]).startswith("/")


@decides("beyond.hostile-rootfs.cwd-descriptor")
def test_a_working_directory_that_is_a_descriptor_of_the_runtime_is_inside(container: Maker, canary: Canary) -> None:
    """Whatever the runtime has open for itself, the way up from it ends at the root of the container."""
    way = f"../../../../../../../..{canary.path}/secret"
    for number in NUMBERS:
        box = container()
        box.config["process"]["cwd"] = f"/proc/self/fd/{number}"
        seen = attempt(box, f"read={way}")
        if seen:
            assert str(seen["cwd"]).startswith("/"), number
            assert seen.answer("read", way) != HIDDEN, number


@decides("beyond.hostile-rootfs.cwd-descriptor")
@pytest.mark.parametrize("below", ["", "/directory", "/.."], ids=["itself", "below", "above"])
def test_a_working_directory_that_the_caller_left_open_is_not_reached(
    container: Maker, canary: Canary, below: str
) -> None:
    box = container()
    opened = os.open(canary.path, os.O_RDONLY | os.O_DIRECTORY)
    box.runtime.fds = [opened]
    try:
        box.config["process"]["cwd"] = f"/proc/self/fd/{opened}{below}"
        seen = attempt(box, "read=secret", "read=inner", "read=canary/secret")
    finally:
        box.runtime.fds = []
        os.close(opened)
    canary.check()
    if seen:
        assert str(seen["cwd"]).startswith("/")
        assert HIDDEN not in [answer for _, _, answer in seen["asked"]]


# --- the program of the runtime --------------------------------------------------------------------------------------


def inner_pid(pid: int) -> int:
    """The number of a process in the innermost pid namespace that it is in."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    raise LookupError("NSpid")


@decides("beyond.hostile-rootfs.executable")
@pytest.mark.parametrize("what", ["probe", "/proc/self/exe", "script"])
def test_no_program_of_the_host_can_be_opened_for_writing(container: Maker, what: str) -> None:
    """One container looks at all that comes by in its pid namespace, while another one is created in it.

    It holds each program that is not its own, and tries to open it for writing when its process has ended; it writes
    nothing.
    """
    watcher = container("hold-programs")
    for kind in ("bounding", "effective", "permitted"):
        watcher.config["process"]["capabilities"][kind] = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"]
    watcher.create()
    watcher.start()
    watcher.until_output("watching")
    box = container("exit", "0")
    config.add_namespace(box.config, "pid", f"/proc/{watcher.pid}/ns/pid")
    if what == "script":
        (box.rootfs / "script").write_text("#!/proc/self/exe\n")
        (box.rootfs / "script").chmod(0o755)
    if what != "probe":
        box.config["process"]["args"] = ["/script" if what == "script" else what]
    box.create()
    number = inner_pid(box.pid)
    until(lambda: f"saw {number}" in watcher.output().splitlines(), "the other container should see the process")
    if box.start("any").status == 0:
        box.wait()
    box.delete("any", force=True)
    watcher.kill("TERM")
    watcher.wait()
    held = [line.split(" ", 4)[1:] for line in watcher.output().splitlines() if line.startswith("held ")]
    reached = []
    for device, inode, error, name in held:
        try:
            host = os.stat(name)
        except OSError:
            continue  # a copy in memory, or in the container's root
        same = (host.st_dev, host.st_ino) == (int(device), int(inode))
        if same and os.strerror(int(error)) in (os.strerror(0), "Text file busy"):
            reached.append(name)
    assert reached == []


@decides("beyond.hostile-rootfs.users")
@pytest.mark.parametrize("kind", ["link", "fifo", "huge", "directory", "loop"])
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_list_of_users_that_is_hostile_is_not_believed(
    container: Maker, canary: Canary, name: str, kind: str
) -> None:
    """A runtime that looks there for HOME finds nothing of the host's, and does not wait for what never comes."""
    box = container()
    place = box.rootfs / "etc" / name
    outside = canary.path / name
    outside.write_text("root:x:0:0:root:/outside:/bin/sh\n")
    canary.before = canary.snapshot()
    if kind == "link":
        place.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "huge":
        place.touch()
        os.truncate(place, 1 << 28)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(name)
    seen = attempt(box)
    canary.check()
    if seen:
        assert seen.environment().get("HOME") != "/outside"


@decides("beyond.hostile-rootfs.root-link")
@pytest.mark.parametrize("absolute", [True, False])
def test_a_root_that_is_a_symlink_is_where_that_leads_or_refused(
    container: Maker, canary: Canary, absolute: bool
) -> None:
    """The path of the root is the caller's word, and no image's."""
    box = container()
    image = box.rootfs.with_name("image")
    box.rootfs.rename(image)
    box.rootfs.symlink_to(image if absolute else "image")
    box.config["process"]["args"] = [PROBE, "write", "/made", "x", "+", "report"]
    output = run(box)
    canary.check()
    if reports(output):
        assert (image / "made").read_text() == "x"
    assert box.rootfs.is_symlink()
    box.rootfs.unlink()
    image.rename(box.rootfs)
    box.bundle.written = box.bundle.snapshot()


@decides("beyond.hostile-rootfs.config-file")
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory", "loop"])
def test_a_config_that_is_no_file_is_an_answer_and_no_waiting(container: Maker, kind: str) -> None:
    box = container("exit", "0")
    box.bundle.write()
    place = box.bundle.path / "config.json"
    place.rename(box.bundle.path / "elsewhere.json")
    if kind in ("link", "dangling", "loop"):
        place.symlink_to({"link": "elsewhere.json", "dangling": "absent", "loop": "config.json"}[kind])
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    box.bundle.written = box.bundle.snapshot()
    outcome = box.create_again("any" if kind == "link" else "error")
    if outcome.status:
        box.gone()
