"""checkpoint and restore where CRIU is missing, too old, or refuses: an error that says why, and nothing has happened.

What comes of them where it works is in tests/vm/guest/test_checkpoint.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.criu import rpc
from tests.support import criu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root")

LOG = """(00.000010) Version: 3.17
(00.000100) Error (criu/one.c:1): first
(00.000200) Warn  (criu/two.c:2): between
(00.000300) Error (criu/two.c:2): second
(00.000400) Error (criu/cr-dump.c:2053): Dumping FAILED.
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "images"


def written(images: Path) -> Path:
    """What a checkpoint leaves beside CRIU's own files."""
    images.mkdir()
    (images / "descriptors.json").write_text('["/dev/null", "", ""]')
    return images


def path(program: Path) -> dict[str, str]:
    return {"PATH": str(program.parent)}


def as_it_was(box: Box, before: object) -> None:
    assert box.state() == before
    assert box.exec("ID", "/bin/probe", status=None).status == 0
    assert not list(box.root.glob(f"{box.id}/criu*"))


def test_without_criu_it_is_said_what_to_install(sleeper: Box, images: Path) -> None:
    before = sleeper.state()
    result = sleeper.command("checkpoint", "--image-path", images, "ID", status=1, env={"PATH": str(images.parent)})
    assert "criu: executable file not found in $PATH" in result.stderr
    assert "install it" in result.stderr
    assert not images.exists()
    as_it_was(sleeper, before)


def test_one_that_is_too_old_is_refused(sleeper: Box, box: Box, images: Path, tmp_path: Path) -> None:
    old = criu.write(tmp_path / "bin", log_file=tmp_path / "log", version=(3, 14))
    before = sleeper.state()
    result = sleeper.command("checkpoint", "--image-path", images, "ID", status=1, env=path(old))
    assert "CRIU 3.14.0 is too old: it must be 3.15 or newer" in result.stderr
    as_it_was(sleeper, before)
    words = ("--bundle", box.bundle, "--image-path", written(images), "ID")
    assert "CRIU 3.14.0 is too old" in box.refused("restore", *words, env=path(old))


def test_a_dump_that_is_refused_says_why_and_changes_nothing(sleeper: Box, images: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    program = criu.write(tmp_path / "bin", log_file=work / "dump.log", log=LOG)
    before = sleeper.state()
    words = ("--image-path", images, "--work-path", work, "ID")
    said = sleeper.command("checkpoint", *words, status=1, env=path(program)).stderr
    assert said == (
        "pyrunc: criu failed: type DUMP errno 3: Error (criu/one.c:1): first; Error (criu/two.c:2): second"
        f" (CRIU's log is {work}/dump.log)\n"
    )
    assert [call[:2] for call in criu.asked(program)] == [[rpc.VERSION, ["swrk", "3"]], [rpc.DUMP, ["swrk", "3"]]]
    assert list(images.iterdir()) == []
    as_it_was(sleeper, before)


def test_a_restore_that_is_refused_says_why_and_leaves_nothing(box: Box, images: Path, tmp_path: Path) -> None:
    program = criu.write(tmp_path / "bin", log_file=images / "restore.log", log=LOG)
    words = ("--detach", "--bundle", box.bundle, "--image-path", written(images), "ID")
    said = box.refused("restore", *words, env=path(program))
    assert "criu failed: type RESTORE errno 3: Error (criu/one.c:1): first; Error (criu/two.c:2): second" in said
    assert str(images / "restore.log") in said


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_one_that_dies_is_told_and_nothing_has_happened(
    verb: str, sleeper: Box, box: Box, images: Path, tmp_path: Path
) -> None:
    program = criu.write(tmp_path / "bin", log_file=tmp_path / "log", dies=True)
    before = sleeper.state()
    if verb == "checkpoint":
        said = sleeper.command("checkpoint", "--image-path", images, "ID", status=1, env=path(program)).stderr
        as_it_was(sleeper, before)
    else:
        words = ("--detach", "--bundle", box.bundle, "--image-path", written(images), "ID")
        said = box.refused("restore", *words, env=path(program))
    assert "criu ended without an answer" in said


def test_what_criu_would_be_asked_can_be_read_before(sleeper: Box, images: Path, tmp_path: Path) -> None:
    before = sleeper.state()
    options = json.loads(sleeper.command("checkpoint", "--plan", "--leave-running", "ID").stdout)
    assert (options["pid"], options["leave_running"]) == (before["pid"], True)
    program = criu.write(tmp_path / "bin", log_file=tmp_path / "log")
    words = ("--plan", "--bundle", sleeper.bundle, "--image-path", written(images), "ID")
    text = sleeper.command("restore", *words, env=path(program)).stdout
    assert f'find_executable name="{program}"' in text
    assert '"rst_sibling": true' in text
    assert not (program.parent / "asked").exists()
    as_it_was(sleeper, before)


@pytest.mark.parametrize("features", [(), ("lazy_pages",)])
def test_lazy_pages_need_the_kernels_feature_and_a_daemon(
    features: tuple[str, ...], sleeper: Box, box: Box, images: Path, tmp_path: Path
) -> None:
    program = criu.write(tmp_path / "bin", log_file=tmp_path / "log", log=LOG, features=features)
    before = sleeper.state()
    ours, theirs = os.pipe()
    options = ("--lazy-pages", "--status-fd", str(theirs), "--image-path", tmp_path / "none")
    said = sleeper.command("checkpoint", *options, "ID", status=1, env=path(program), pass_fds=(theirs,)).stderr
    os.close(theirs)
    assert os.read(ours, 1) == b""
    os.close(ours)
    words = ("--lazy-pages", "--bundle", box.bundle, "--image-path", written(images), "ID")
    told = box.refused("restore", *words, env=path(program))
    if features:
        assert "criu failed: type DUMP" in said
        assert list((tmp_path / "none").iterdir()) == []
        assert f"--lazy-pages: no lazy-pages daemon: there is no socket {images}/lazy-pages.socket" in told
    else:
        for text in (said, told):
            assert "--lazy-pages: this kernel and CRIU have no lazy_pages" in text
            assert "uffd-noncoop" in text
    as_it_was(sleeper, before)


def test_only_what_runs_can_be_checkpointed(box: Box, images: Path) -> None:
    box.create()
    said = box.command("checkpoint", "--image-path", images, "ID", status=1).stderr
    assert "Container cannot be checkpointed in created state" in said
    box.delete("--force")
    assert "container does not exist" in box.command("checkpoint", "--image-path", images, "ID", status=1).stderr
    assert not images.exists()


def test_private_layers_are_not_lost_in_silence(new_box: Callable[..., Box], images: Path) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(annotations={"io.pyrunc.rootfs": "ephemeral"})
    box.started()
    said = box.command("checkpoint", "--image-path", images, "ID", status=1).stderr
    assert "private layers" in said
    box.delete("--force")
    assert "private layers" in box.refused("restore", "--bundle", box.bundle, "--image-path", written(images), "ID")


WRONG = (
    (("checkpoint", "--manage-cgroups-mode", "hard"), "Invalid manage-cgroups-mode value"),
    (("checkpoint", "--page-server", "27"), "Use --page-server ADDRESS:PORT"),
    (("checkpoint", "--page-server", "host:x"), "Invalid port number"),
    (("checkpoint", "--empty-ns", "ipc"), 'namespace "ipc" is not supported'),
    (("checkpoint", "--parent-path", "/before"), "--parent-path must be relative"),
    (("checkpoint", "--parent-path", "../before"), "invalid --parent-path"),
    (("checkpoint", "--lazy-pages", "--pre-dump"), "--lazy-pages: a pre-dump writes all pages"),
    (("checkpoint", "--status-fd", "5"), "--status-fd 5: is for --lazy-pages"),
    (("checkpoint", "--lazy-pages", "--status-fd", "two"), "--status-fd two: is not a file descriptor"),
    (("checkpoint", "--lazy-pages", "--status-fd", "99"), "invalid --status-fd argument: bad file descriptor"),
    (("checkpoint", "--lazy-pages", "--status-fd", "0"), "invalid --status-fd argument: not writable"),
    (("restore", "--manage-cgroups-mode", "hard"), "Invalid manage-cgroups-mode value"),
)


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_wrong_values_are_refused(words: tuple[str, ...], said: str, sleeper: Box, images: Path) -> None:
    assert said in sleeper.command(*words, "--image-path", images, "ID", status=1).stderr
    assert not images.exists()
    assert sleeper.status() == "running"


def test_podman_sees_that_both_are_there(sleeper: Box) -> None:
    assert sleeper.command("checkpoint", "--help").stdout
    said = sleeper.command("restore", "--lsm-mount-context", status=1).stderr
    assert "requires an argument" in said or "flag needs an argument" in said


@pytest.mark.needs("criu")
def test_the_criu_of_this_machine_does_it_or_says_why(sleeper: Box, images: Path) -> None:
    works = subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0
    before = sleeper.state()
    result = sleeper.command("checkpoint", "--leave-running", "--image-path", images, "ID", status=None)
    assert (result.status == 0) == works
    if not works:
        assert "Error (criu/" in result.stderr
        assert os.listdir(images) == ["dump.log"]
    as_it_was(sleeper, before)
