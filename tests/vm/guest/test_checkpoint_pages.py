"""Where a checkpoint's memory goes: to a page server, into the images that had it first, or after the container."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.root.box import until
from tests.support import programs
from tests.vm.guest.checkpoints import checkpoint, images, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box
    from tests.vm.guest.checkpoints import NewBox

pytestmark = [pytest.mark.needs("guest", "root", "criu"), pytest.mark.timeout(600)]

MIB = 16
HOST = "127.0.0.1"
PATIENCE = 120


@pytest.fixture
def full(new_box: NewBox) -> Box:
    """A box for a program that keeps memory."""
    box = new_box("/bin/pages", str(MIB))
    shutil.copy(programs.static("pages"), box.bundle.path / "rootfs/bin/pages")
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    return box


class Output:
    """A pipe for containers' output, which runc restores, too."""

    def __enter__(self) -> Self:
        ours, self._theirs = os.pipe()
        self._file = os.fdopen(ours)
        return self

    def line(self) -> str:
        return self._file.readline().rstrip("\n")

    def of(self, box: Box, *words: str | os.PathLike[str]) -> None:
        """Give a command that makes the container, which writes here."""
        named = [box.runtime, "--root", box.root, *words, "--detach", "--bundle", box.bundle.path, box.id]
        done = subprocess.run(
            named, stdin=subprocess.DEVNULL, stdout=self._theirs, stderr=self._theirs, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, self.line()

    def __exit__(self, *_: object) -> None:
        self._file.close()
        os.close(self._theirs)


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(box: Box, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A lazy checkpoint that waits for somebody who fetches the memory."""
    ours, theirs = os.pipe()
    words: list[str | os.PathLike[str]] = [
        box.runtime, "--root", box.root, "checkpoint", "--image-path", images(box), *options,
        "--lazy-pages", "--page-server", f"{HOST}:{port}", "--status-fd", str(theirs), box.id,
    ]  # fmt: skip
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[theirs], text=True
    ) as process:
        os.close(theirs)
        with os.fdopen(ours, "rb") as status:
            said = status.read(1)
        try:
            assert said == b"\0", process.communicate(timeout=PATIENCE)
            yield process
        finally:
            process.kill()


@contextmanager
def daemon(box: Box, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    words = ["criu", "lazy-pages", "--images-dir", str(images(box)), "--log-file", "pages.log", *options]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            until((images(box) / "lazy-pages.socket").exists, lambda: "criu lazy-pages listens")
            yield process
        finally:
            process.kill()


def memory(folder: Path) -> int:
    """MiB of it in the images; holes of their files do not count."""
    return sum(path.stat().st_blocks for path in folder.glob("pages-*.img")) >> 11


def is_whole(box: Box) -> None:
    box.kill("USR1")
    until(lambda: box.output().endswith(("whole\n", "words\n")), lambda: "it has looked")
    assert box.output().endswith("whole\n")
    box.delete("--force")
    box.nothing_left()


def running(box: Box) -> Box:
    box.leaving("run", "--detach", "--bundle", box.bundle, "ID")
    box.until_output("ready\n")
    return box


def test_a_page_server_gets_the_memory(full: Box, tmp_path: Path) -> None:
    port, there = free_port(), tmp_path / "there"
    there.mkdir()
    words = ["criu", "page-server", "--images-dir", str(there), "--address", HOST, "--port", str(port)]
    running(full)
    with subprocess.Popen([*words, "--status-fd", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stdout.read(1) == b"\0"
        checkpoint(full, "--page-server", f"{HOST}:{port}")
        assert server.wait(PATIENCE) == 0
    assert (memory(images(full)), memory(there)) == (0, MIB)
    for path in there.glob("pagemap-*.img"):
        shutil.move(path, images(full))
    for path in there.glob("pages-*.img"):
        shutil.move(path, images(full))
    restore(full)
    is_whole(full)


def test_without_the_page_server_it_runs_on(full: Box) -> None:
    before = running(full).state()
    said = checkpoint(full, "--page-server", f"{HOST}:{free_port()}", status=1).stderr
    assert "Can't connect to server" in said
    assert full.state() == before
    is_whole(full)


def test_memory_is_kept_once_when_that_is_asked_for(full: Box) -> None:
    running(full)
    before = images(full).with_name(f"{full.id}-before")
    full.command("checkpoint", "--pre-dump", "--image-path", before, "ID")
    assert memory(before) == MIB
    full.kill("USR2")
    full.until_output("written\n")
    checkpoint(full, "--parent-path", f"../{before.name}", "--auto-dedup")
    assert (memory(before), memory(images(full))) == (0, MIB)
    restore(full, "--auto-dedup")
    assert memory(images(full)) == 0
    is_whole(full)


@pytest.mark.needs("runc")
@pytest.mark.parametrize("writer", ["pyrunc", "runc"])
def test_memory_that_is_served_is_complete(writer: str, full: Box, new_box: NewBox, runc: Path) -> None:
    """Restores are ours: those of runc 1.1.5 end with the first container where both are on the same host."""
    other, port = new_box(), free_port()
    if writer == "runc":
        full.runtime, full.root = runc, full.root.with_name(f"{full.root.name}-runc")
    with Output() as output:
        output.of(full, "run")
        assert output.line() == "ready"
        with serving(full, port) as process:
            assert memory(images(full)) == 0
            other.bundle = full.bundle.edit(linux__cgroupsPath=f"/{other.id}")
            with daemon(full, "--page-server", "--address", HOST, "--port", str(port)) as pages:
                words = ("--lazy-pages", "--image-path", images(full), "--work-path", images(full))
                output.of(other, "restore", *words)
                assert process.wait(PATIENCE) == 0, process.communicate()
                assert pages.wait(PATIENCE) == 0
        assert not full.exists()
        other.kill("USR1")
        assert output.line() == "whole"
        other.delete("--force")
    full.nothing_left()
    other.nothing_left()


def is_stopped(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def is_killed(process: subprocess.Popen[str]) -> None:
    """CRIU, in the middle."""
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)


@pytest.mark.parametrize("happens", [is_stopped, is_killed])
def test_where_nobody_fetches_all_of_it_the_container_goes_on(
    happens: Callable[[subprocess.Popen[str]], None], full: Box, new_box: NewBox
) -> None:
    before, port, other = running(full).state(), free_port(), new_box()
    with serving(full, port) as process:
        happens(process)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
    assert "criu ended without an answer" in said
    assert full.state() == before
    other.bundle = full.bundle
    said = other.command("restore", "--bundle", full.bundle, "--image-path", images(full), "ID", status=1).stderr
    assert "no checkpoint in" in said
    assert not other.exists()
    is_whole(full)


def test_a_restore_whose_memory_is_gone_fails_and_leaves_nothing(full: Box, new_box: NewBox) -> None:
    port, other = free_port(), new_box()
    running(full)
    with serving(full, port) as process:
        other.bundle = full.bundle.edit(linux__cgroupsPath=f"/{other.id}")
        kept = (images(full) / "descriptors.json").read_text()
        with daemon(full, "--page-server", "--address", HOST, "--port", str(port)):
            is_killed(process)
            process.wait(PATIENCE)
            full.delete("--force")
            (images(full) / "descriptors.json").write_text(kept)
            words = ("--lazy-pages", "--detach", "--bundle", full.bundle, "--image-path", images(full), "ID")
            other.out = full.out
            said = other.leaving("restore", *words, status=1).stderr
    assert "criu failed: type RESTORE" in said
    full.nothing_left()
    other.nothing_left()
