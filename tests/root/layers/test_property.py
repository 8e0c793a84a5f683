"""Whatever a program does in an overlay: diff says how it now differs from the lower tree, and commit makes another
copy of the lower tree equal to it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.root.layered import Layered, ignoring
from tests.unit.host.layers import trees

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")

# What a string of paths sorts before and after the slash, and what is no text at all.
NAMES = ("a", "b", "c", "a", "b", "a-b", os.fsdecode(b"\xff\n"), "ä" * 60)
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
TIMES = st.sampled_from([0, 1_500_000_000_123_456_000, -1_500_000_000, 1_700_000_000_000_000_000])
DATA = st.sampled_from([b"", b"x", b"y", b"longer", b"\0" * 5000, b"q" * 4096])
OWNERS = st.sampled_from([0, 1000, 3_000_000])
MODES = st.sampled_from([0o600, 0o644, 0o4755, 0o1777, 0o000])
XATTRS = st.sampled_from(["user.one", "user.two", "trusted.three"])
VALUES = st.sampled_from([b"", b"v", b"\0\xff=\n"])


def write(root: str, path: str, data: bytes) -> None:
    with open(
        os.open(root + path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644), "wb"
    ) as file:
        file.write(data)


def touch(root: str, path: str) -> None:
    """What makes overlayfs copy a file, and does not change it."""
    os.close(os.open(root + path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK))


def forge(root: str, path: str, data: bytes) -> None:
    """Other contents of the same size, with the old time."""
    before = os.lstat(root + path)
    size = before.st_size
    with open(os.open(root + path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "wb") as file:
        file.write((data or b"z")[:1] * size)
    os.utime(root + path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(root: str, path: str, size: int) -> None:
    fd = os.open(root + path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.ftruncate(fd, size)
    finally:
        os.close(fd)


def set_mode(root: str, path: str, mode: int) -> None:
    """Of anything but a symlink: what that leads to is the host's."""
    fd = os.open(root + path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


def remove(root: str, path: str) -> None:
    trees.remove(root + path)


def again(root: str, path: str) -> None:
    """Delete a directory and make it anew, with some of what it had."""
    found = os.lstat(root + path)
    kept = {name: Path(root, path[1:], name).read_bytes() for name in sorted(os.listdir(root + path))[::2]
            if stat.S_ISREG(os.lstat(f"{root}{path}/{name}").st_mode)}  # fmt: skip
    times = {name: os.lstat(f"{root}{path}/{name}") for name in kept}
    shutil.rmtree(root + path)
    os.mkdir(root + path)
    for name, data in kept.items():
        inner = f"{root}{path}/{name}"
        Path(inner).write_bytes(data)
        os.chmod(inner, stat.S_IMODE(times[name].st_mode))
        os.utime(inner, ns=(times[name].st_atime_ns, times[name].st_mtime_ns))
    os.chmod(root + path, stat.S_IMODE(found.st_mode))


STEPS = st.one_of(
    st.tuples(st.just(write), PATHS, DATA),
    st.tuples(st.just(touch), PATHS),
    st.tuples(st.just(forge), PATHS, DATA),
    st.tuples(st.just(cut), PATHS, st.sampled_from([0, 3, 70000])),
    st.tuples(st.just(set_mode), PATHS, MODES),
    st.tuples(st.just(lambda root, path, id: os.chown(root + path, id, id, follow_symlinks=False)), PATHS, OWNERS),
    st.tuples(st.just(remove), PATHS),
    st.tuples(st.just(again), PATHS),
    st.tuples(st.just(lambda root, path: os.mkdir(root + path)), PATHS),
    st.tuples(st.just(lambda root, path: os.makedirs(root + path)), PATHS),
    st.tuples(st.just(lambda root, path, other: os.rename(root + path, root + other)), PATHS, PATHS),
    st.tuples(
        st.just(lambda root, path, other: os.link(root + path, root + other, follow_symlinks=False)), PATHS, PATHS
    ),
    st.tuples(
        st.just(lambda root, path, to: os.symlink(to, root + path)),
        PATHS,
        st.sampled_from(["a", "../b", "/no/such/place", os.fsdecode(b"\xfe"), "x" * 150]),
    ),
    st.tuples(
        st.just(lambda root, path, kind: os.mknod(root + path, kind | 0o640, os.makedev(1, 3))),
        PATHS,
        st.sampled_from([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK]),
    ),
    st.tuples(
        st.just(lambda root, path, name, value: os.setxattr(root + path, name, value, follow_symlinks=False)),
        PATHS,
        XATTRS,
        VALUES,
    ),
    st.tuples(
        st.just(lambda root, path, name: os.removexattr(root + path, name, follow_symlinks=False)), PATHS, XATTRS
    ),
    st.tuples(
        st.just(lambda root, path, time: os.utime(root + path, ns=(time, time), follow_symlinks=False)), PATHS, TIMES
    ),
)


def plant(root: str) -> None:
    """Where most paths lead to something: directories, files of one and of two names, a symlink."""
    for path in ("/a", "/b", "/a/a", "/a/b", "/b/a", "/a-b"):
        os.mkdir(root + path)
    for path in ("/c", "/a/c", "/a/a/a", "/a/a/b", "/b/b", "/b/a/c", "/a-b/a"):
        Path(root + path).write_bytes(path.encode() * 10)
        os.utime(root + path, ns=(1_600_000_000_000_000_007, 1_600_000_000_000_000_007))
    os.link(root + "/c", root + "/b/c")
    os.symlink("../c", root + "/a/a-b")


def perform(root: str, steps: list[tuple[object, ...]]) -> None:
    for step, *arguments in steps:
        with ignoring():
            step(root, *arguments)  # type: ignore[operator]


@settings(max_examples=int(os.environ.get("PYRUNC_EXAMPLES", "80")),
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
@given(st.lists(STEPS, max_size=10), st.lists(STEPS, min_size=1, max_size=30))
def test_diff_and_commit_agree_with_the_two_trees(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    base = Path(tempfile.mkdtemp(prefix="pyrunc-test-layers-"))
    try:
        lower = base / "lower"
        lower.mkdir()
        plant(str(lower))
        perform(str(lower), before)
        was = trees.tree(str(lower))
        for name in ("applied", "extracted", "seen"):
            trees.copy(str(lower), str(base / name))
        with Layered(base) as box:
            merged = box.overlay(lower)
            perform(merged, after)
            wanted = trees.tree(merged)
            # overlayfs gives a copied object the inode number of the lower one, also when it has several names then.
            pairs = trees.links(merged) | trees.links(box.layers[0]["path"] + "/upper")
            linked = {pair for pair in pairs if wanted.keys() >= set(pair)}
            assert box.diff() == trees.differences(was, wanted)

            box.commit(base / "applied")
            assert trees.tree(str(base / "applied")) == wanted
            assert linked <= trees.links(str(base / "applied")) <= linked | trees.links(str(lower))

            box.commit(base / "layer.tar")
            trees.extract(str(base / "layer.tar"), str(base / "extracted"))
            assert trees.tree(str(base / "extracted")) == wanted
            assert linked <= trees.links(str(base / "extracted"))

            with box.seen(merged) as views:
                assert box.diff(views) == trees.differences(was, wanted)
                box.commit_seen(views, base / "seen.tar")
            trees.extract(str(base / "seen.tar"), str(base / "seen"))
            assert trees.tree(str(base / "seen")) == wanted

            assert trees.tree(str(lower)) == was
            assert box.leftovers(base) == []
            assert box.warnings == []

            box.unmount_overlay()
            box.commit(lower, "/")
            assert trees.tree(str(lower)) == wanted
            assert box.diff() == []
    finally:
        shutil.rmtree(base)
