"""Programs that go on while this one talks with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc import DEVNULL, PIPE, STDOUT
from tests.root.sandboxes import eventually, members, sh

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_popen_is_for_talking(box: Sandbox) -> None:
    with box.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=STDOUT) as process:
        assert process.poll() is None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        assert process.stdout.read(100) == b"hello\n"
        assert process.pid in members(box)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert (process.pid, process.poll()) == (0, 0)


def test_popen_takes_descriptors_and_signals(box: Sandbox, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        process = box.popen(sh("echo there; exec sleep 1000"), stdout=out.fileno(), stderr=DEVNULL)
    with pytest.raises(TimeoutError):
        process.wait(timeout=0.01)
    eventually(lambda: (tmp_path / "out").read_bytes() == b"there\n")
    process.terminate()
    assert process.wait(timeout=60) == -15
    process.terminate()  # it has ended: nobody is met


def test_popen_takes_files(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from a file\n")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "w") as out:
        assert box.popen(["cat"], stdin=source, stdout=out).wait(timeout=60) == 0
        out.write("more\n")
    assert (tmp_path / "out").read_text() == "from a file\nmore\n"


def test_kill_ends_what_runs_and_keeps_the_box(box: Sandbox) -> None:
    processes = [box.popen(["sleep", "1000"]) for _ in range(3)]
    box.kill()
    assert [process.wait(timeout=60) for process in processes] == [-9] * 3
    box.kill()
    assert box.run(["true"]).returncode == 0
