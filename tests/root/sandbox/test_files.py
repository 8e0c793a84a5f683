"""Files that the program writes into a sandbox and reads from it, whatever is in their place."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc import PIPE
from tests.root.sandboxes import eventually, python, sh

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_files_go_in_and_out(box: Sandbox) -> None:
    box.write("/work/script", "#!/bin/sh\necho ran\n", mode=0o755)
    assert box.run(["./script"]).stdout == b"ran\n"
    assert box.read("script") == b"#!/bin/sh\necho ran\n"
    assert box.run(["stat", "-c", "%u %a", "script"]).stdout == b"1000 755\n"
    box.write("script", b"shorter")
    assert box.read("/work/script") == b"shorter"
    assert box.listdir("/work") == ["script"]
    assert "passwd" in box.listdir("/etc")


def test_files_have_limits_and_reasons(box: Sandbox) -> None:
    box.run(["truncate", "-s", "100M", "big"])
    with pytest.raises(pyrunc.HostError, match="big: has more than 1000 bytes"):
        box.read("big", max_bytes=1000)
    for path in ("absent", "/etc/absent/below"):
        with pytest.raises(pyrunc.OpFailed, match=r"path: open .*no such file or directory"):
            box.read(path)
    with pytest.raises(pyrunc.OpFailed, match=r"path: open /work: is a directory"):
        box.read("/work")
    with pytest.raises(pyrunc.OpFailed, match=r"read-only file system"):
        box.write("/usr/x", b"")
    with pytest.raises(pyrunc.UsageError, match="mode"):
        box.write("x", b"", mode=0o4755)
    with pytest.raises(pyrunc.UsageError, match='path=""'):
        box.read("")


def test_a_full_workspace_is_an_error_that_names_the_file(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace=("/work", "64k"))
    with pytest.raises(pyrunc.HostError, match="big: no space left on device"):
        box.write("big", bytes(1 << 20))


def test_a_mode_that_was_asked_for_is_not_given_to_somebody_elses_file(box: Sandbox) -> None:
    """The mode is for a new file: what a program has put there keeps its own."""
    box.run(sh("touch theirs; chmod 600 theirs"), check=True)
    box.write("theirs", b"x", mode=0o777)
    assert box.run(["stat", "-c", "%a", "theirs"]).stdout == b"600\n"


def test_a_fifo_or_a_device_in_the_place_of_a_file_is_refused(box: Sandbox) -> None:
    for script in ("mkfifo out", "ln -s /dev/zero out", "mkfifo real; ln -s real out", "mkdir out"):
        box.run(sh(script), check=True)
        with pytest.raises(pyrunc.OpFailed, match="out"):
            box.read("/work/out")
        with pytest.raises(pyrunc.OpFailed, match="out"):
            box.write("/work/out", b"x")
        box.run(sh("rm -rf out real"), check=True)


def test_a_fifo_with_somebody_at_its_other_end_is_refused_as_well(box: Sandbox) -> None:
    other = box.popen(sh("mkfifo out; echo ready; exec 3<>out; sleep 1000"), stdout=PIPE)
    assert other.stdout is not None
    assert other.stdout.read(10) == b"ready\n"
    eventually(lambda: "out" in box.listdir())
    for action in (lambda: box.read("out"), lambda: box.write("out", b"x")):
        with pytest.raises(pyrunc.OpFailed, match="not a regular file"):
            action()
    other.close()


def test_a_link_leads_to_the_boxs_own_files(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's own\n")
    targets = ["/etc/passwd", str(secret), "../../../../../../etc/shadow", f"/proc/1/root{secret}", "/proc/self/exe"]
    for target in targets:
        box.run(["ln", "-sfn", target, "out"], check=True)
        try:
            found = box.read("out")
        except pyrunc.OpFailed as error:
            assert error.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP), error  # noqa: PT017
        else:
            assert target == "/etc/passwd"
            assert b"sandbox:x:1000" in found
        with pytest.raises(pyrunc.OpFailed):
            box.write("out", b"overwritten")
    assert secret.read_text() == "the host's own\n"


def test_nothing_is_written_to_the_kernel_with_the_rights_of_the_program(box: Sandbox) -> None:
    """oom_score_adj is its owner's to open, and looks for the capability of who writes."""
    sleeper = box.popen(sh("echo $$; exec sleep 1000"), stdout=PIPE)
    assert sleeper.stdout is not None
    number = sleeper.stdout.read(100).decode().strip()
    for name in ("oom_score_adj", "comm"):
        path = f"/proc/{number}/{name}"
        before = box.read(path)
        box.run(["ln", "-sfn", path, "out"], check=True)
        for target in ("out", path):
            with pytest.raises(pyrunc.OpFailed, match="an interface of the kernel"):
                box.write(target, b"-500")
        assert box.read(path) == before
    sleeper.kill()
    sleeper.close()


def test_a_file_that_is_swapped_all_the_time_is_the_boxs_own_or_an_error(box: Sandbox) -> None:
    box.write("real", b"real")
    swapping = box.popen(sh("while :; do ln -sf /etc/shadow out; mkfifo f; mv f out; ln -f real out; done"))
    seen = set()
    for _ in range(200):
        try:
            seen.add(box.read("out"))
        except pyrunc.OpFailed:
            continue
    assert seen <= {b"real"}
    swapping.kill()
    swapping.wait()


def test_no_file_can_be_leased(box: Sandbox) -> None:
    """The host's own open(2) of a file that it shares would wait for the lease to end."""
    script = """
import fcntl
fd = os.open("leased", os.O_RDWR | os.O_CREAT)
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    except PermissionError:
        print("refused")
"""
    assert python(box, script).stdout == "refused\n" * 2


def test_a_growing_file_ends_at_max_bytes(box: Sandbox) -> None:
    writer = box.popen(sh("yes > grows"))
    eventually(lambda: "grows" in box.listdir())
    eventually(lambda: int(box.run(["stat", "-c", "%s", "grows"]).stdout) > 1_000_000)
    with pytest.raises(pyrunc.HostError, match="grows: has more than 1000000 bytes"):
        box.read("grows", max_bytes=1_000_000)
    writer.kill()
    writer.wait()
