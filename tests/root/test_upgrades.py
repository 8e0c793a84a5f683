"""pyrunc is replaced while commands begin, and meets what another version has made: it works, or says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc.cli import image
from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")

PACKAGE = Path(pyrunc.__path__[0])


def built(directory: Path, *changes: tuple[str, str]) -> Path:
    """A start-up image of this package, whose sources may be changed before."""
    package = directory / "pyrunc"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "image.cpython-*"))
    for name, text in changes:
        with (package / name).open("a") as file:
            file.write(text)
    path = package / image.name()
    image.build(package, path, checked=False)
    return path


def command(path: Path, *words: str) -> list[str]:
    return [sys._base_executable, "-I", "-S", "-X", "utf8", str(path), *words]  # type: ignore[attr-defined]


@pytest.mark.needs("strace")
def test_an_image_that_is_replaced_behind_its_beginning_is_begun_again(tmp_path: Path) -> None:
    old = built(tmp_path / "old")
    new = built(tmp_path / "new", ("runtime/version.py", "#" * 5000 + "\nX = tuple(range(100))\n"))
    trace = tmp_path / "trace"
    # The interpreter closes the file twice when it has looked at what it is, and once when it has read its beginning.
    tracer = ["strace", "-qq", "-o", str(trace), "-P", str(old), "-e", "inject=close:signal=STOP:when=3"]
    words = [*tracer, *command(old, "--root", str(tmp_path / "root"), "state", "nobody")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: trace.exists() and "stopped by SIGSTOP" in trace.read_text(), lambda: "it has stopped")
        os.replace(new, old)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), 18)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "pyrunc: nobody: container does not exist\n")
    assert trace.read_text().count("pread64") == 4  # what does not fit, and what does


def test_an_image_that_is_cut_short_is_told(tmp_path: Path) -> None:
    path = built(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    done = subprocess.run(command(path, "state", "nobody"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, f"pyrunc: {path}: the start-up image is damaged (install pyrunc again)\n",
    )  # fmt: skip


#: usage: REPOSITORY ARGUMENTS...: a pyrunc whose table of operations is another than its pyrunc-init has.
OTHER = """\
import posix, sys
sys.path.insert(0, sys.argv[1])
from pyrunc.plan import wire
wire.MAGIC ^= 1
from pyrunc.cli.lean import main
posix._exit(main(sys.argv[2:]))
"""


def test_a_pyrunc_init_of_another_version_is_refused(box: Box) -> None:
    words = [sys.executable, "-I", "-S", "-c", OTHER, str(PACKAGE.parent), "--root", str(box.root), "create"]
    words += ["--bundle", str(box.bundle.path), box.id]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "it is of another version of pyrunc (is pyrunc being updated? try again" in done.stderr
    box.nothing_left()


def test_a_container_of_a_pyrunc_without_formats_is_started_executed_in_and_deleted(
    new_box: Callable[..., Box],
) -> None:
    box = new_box("/bin/sleep", "100000")
    box.create()
    path = box.root / box.id / "state.json"
    state = json.loads(path.read_text())
    assert state.pop("format") == 1
    path.write_text(json.dumps(state))
    box.start()
    box.exec("ID", "/bin/true")
    box.delete("--force")
    box.nothing_left()


def test_a_container_of_a_newer_pyrunc_is_left_alone(sleeper: Box, new_box: Callable[..., Box]) -> None:
    path = sleeper.root / sleeper.id / "state.json"
    ours = path.read_text()
    path.write_text(json.dumps({**json.loads(ours), "format": 2}))
    text = (
        f"{sleeper.id}: state.json has format 2, and this pyrunc knows 1 (a newer pyrunc made the container: use that)"
    )
    for words in (("state",), ("start",), ("kill",), ("exec",), ("delete",), ("delete", "--force"), ("pause",)):
        verb, *options = words
        behind = ["/bin/true"] if verb == "exec" else []
        assert text in sleeper.command(verb, *options, "ID", *behind, status=255 if behind else 1).stderr, words
    other = new_box("/bin/sleep", "100000").started()
    listed = sleeper.command("list", "--quiet")
    assert listed.stdout.split() == [other.id]
    assert text in listed.stderr
    assert len(sleeper.processes()) == 1
    path.write_text(ours)
    assert sleeper.status() == "running"
