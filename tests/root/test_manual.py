"""The examples of the manual pages run as they stand there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from pyrunc.cli.manual.examples import EXAMPLES
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyrunc.cli.manual.examples import Setting
    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root", "busybox", "static", "seccomp", "libseccomp", "ps", "memory", "overlay", "bash")


@pytest.fixture
def script(pyrunc: Path, root: Path, tmp_path: Path) -> Iterator[Path]:
    """A ``pyrunc`` that keeps its containers apart from those of others."""
    path = tmp_path / "bin/pyrunc"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(str(pyrunc))} --root {shlex.quote(str(root))} "$@"\n')
    path.chmod(0o755)
    yield path
    if root.exists():
        for name in run(path, "list", "--quiet").stdout.split():
            run(path, "delete", "--force", name)


@pytest.fixture
def prepare(
    script: Path, tmp_path: Path, bundle: Callable[..., Bundle], container_id: str
) -> Callable[[Setting], None]:
    """Makes what there is before the first example of a page."""

    def make(setting: Setting) -> None:
        if setting == "nothing":
            return
        made = bundle().args("/bin/echo", "hello") if setting == "short" else bundle().args("/bin/sleep", "1000")
        # Tests run at the same time, and containers are called alike: without a path their cgroups would be, too.
        made.edit(linux__cgroupsPath=f"/{container_id}")
        (tmp_path / "bundle").symlink_to(made.path)
        words = ["--ephemeral-rootfs"] if setting == "private" else []
        if setting in ("created", "running", "paused", "private"):
            run(script, *words, "create", "--bundle", made.path, "box")
        if setting in ("running", "paused", "private"):
            run(script, "start", "box")
        if setting == "paused":
            run(script, "pause", "box")

    return make


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_examples_of_a_page_run(
    command: str, script: Path, prepare: Callable[[Setting], None], tmp_path: Path
) -> None:
    examples = EXAMPLES[command]
    prepare(examples.setting)
    lines = "\n".join(line for example in examples.shown for line in example.lines)
    where = {"PATH": f"{script.parent}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)}
    assert run("bash", "-e", "-c", lines, cwd=tmp_path, env=where).stderr == ""


def test_what_they_show_is_what_happens(script: Path, prepare: Callable[[Setting], None], tmp_path: Path) -> None:
    prepare("running")
    for line in EXAMPLES["update"].shown[-1].lines:
        run("sh", "-c", line, cwd=tmp_path, env={"PATH": f"{script.parent}:/usr/bin:/bin"})
    assert '"limit":50' in run(script, "events", "--stats", "box").stdout
