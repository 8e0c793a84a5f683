"""What is looked up on the host: sources, root file systems, and whether their mount points are there."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.errors import UsageError
from pyrunc.host import probe
from pyrunc.sandbox import arguments, base

if TYPE_CHECKING:
    from pathlib import Path


def find(tmp_path: Path, **given: Any) -> base.Base:
    return base.find(arguments.read(**given), str(tmp_path / "state"))


def said(tmp_path: Path, **given: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, **given)
    return str(caught.value).split("\n")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """With a directory for everything that a plain box mounts."""
    for name in ("proc", "dev", "tmp", "work/deep", "etc"):
        (tmp_path / "rootfs" / name).mkdir(parents=True)
    return tmp_path / "rootfs"


def test_every_source_that_cannot_be_shared_is_told(tmp_path: Path, rootfs: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    lines = said(
        tmp_path,
        rootfs=rootfs / "absent",
        files={
            tmp_path / "absent": "/1",
            rootfs: "/2",
            tmp_path / "fifo": ("/3", "cow"),
            "/dev/null": "/4",
            tmp_path / "file": "/5",
        },
        mounts={tmp_path / "file": "/6", tmp_path / "file" / "x": "/7"},
    )
    where = str(tmp_path)
    assert lines == [
        f'files["{where}/absent"]: {where}/absent: no such file or directory',
        f'files["{where}/rootfs"]: {where}/rootfs: is a directory: it belongs into mounts',
        f'files["{where}/fifo"]: {where}/fifo: is not a regular file, and so cannot be copied on write',
        'files["/dev/null"]: /dev/null: is a device, and a box has none of the host\'s',
        f'mounts["{where}/file"]: {where}/file: is not a directory: it belongs into files',
        f'mounts["{where}/file/x"]: {where}/file/x: not a directory',
        f'rootfs="{where}/rootfs/absent": no such file or directory',
    ]


WHOLE = "would show the box the whole host"
PROCESSES = "would show the box the host's processes"


def test_the_whole_host_is_refused_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    for path in ("//", "///", "/proc/self/root", f"{tmp_path}/link", "/usr/.."):
        with pytest.raises(UsageError, match=f"rootfs=.*{WHOLE}"):
            find(tmp_path, rootfs=path)
        assert said(tmp_path, mounts={path: "/x"})[0].endswith(WHOLE)
    (tmp_path / "bundle").mkdir()
    bundle = make_bundle(tmp_path / "bundle", root={"path": "/"})
    assert said(tmp_path, rootfs=bundle) == [f'rootfs="{bundle}": config.json: root.path: {WHOLE}']


def test_what_the_kernel_shows_of_the_host_is_refused(tmp_path: Path) -> None:
    lines = said(tmp_path, mounts={"/proc": "/x", "/proc/sys": "/y", "/sys": "/z"}, files={"/proc/version": "/v"})
    assert lines == [
        'files["/proc/version"]: /proc/version: ' + PROCESSES,
        'mounts["/proc"]: /proc: ' + PROCESSES,
        'mounts["/proc/sys"]: /proc/sys: ' + PROCESSES,
        'mounts["/sys"]: /sys: would show the box the host\'s devices',
    ]
    assert said(tmp_path, rootfs="/proc/self") == ['rootfs="/proc/self": ' + PROCESSES]


def test_a_directory_in_which_procfs_is_mounted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b" / "proc").mkdir(parents=True)
    escaped = str(tmp_path).replace(" ", "\\040") + "/a\\040b/proc"
    line = f"99 1 0:999 / {escaped} rw,relatime shared:1 - proc proc rw\n"
    monkeypatch.setattr(probe, "read", lambda _: line)
    where = f"{tmp_path}/a b"
    assert said(tmp_path, mounts={where: "/x"}) == [f'mounts["{where}"]: {where}: {PROCESSES}, in {where}/proc']


def test_a_socket_can_be_shared(tmp_path: Path, rootfs: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        find(tmp_path, rootfs=rootfs, files={tmp_path / "s": ("/tmp/s", "rw")})


def test_a_rootfs_is_named_by_its_real_path(tmp_path: Path, rootfs: Path) -> None:
    (tmp_path / "link").symlink_to("rootfs")
    assert find(tmp_path, rootfs=tmp_path / "link").rootfs == str(rootfs)
    (tmp_path / "file").touch()
    assert said(tmp_path, rootfs=tmp_path / "file") == [f'rootfs="{tmp_path}/file": is not a directory']


@pytest.mark.parametrize(
    ("given", "upper"),
    [
        ({}, False),
        ({"workspace": "/work"}, False),
        ({"workspace": "/absent"}, True),
        ({"files": {"/etc/passwd": "/tmp/x"}}, False),  # below the private /tmp
        ({"files": {"/etc/passwd": "/tmp/x"}, "tmp": None}, True),
        ({"files": {"/etc/passwd": "/work/x"}}, True),
        ({"files": {"/etc/passwd": "/work/x"}, "workspace": "/work"}, False),
        ({"mounts": {"/etc": "/etc"}}, False),
        ({"mounts": {"/etc": "/link"}}, True),  # a link may lead anywhere
        ({"cwd": "/work/deep"}, False),
        ({"cwd": "/absent"}, True),
        ({"cwd": "/tmp/absent"}, False),
    ],
)
def test_missing_mount_points_are_made_in_an_overlay(
    given: dict[str, Any], upper: bool, tmp_path: Path, rootfs: Path
) -> None:
    (rootfs / "link").symlink_to("etc")
    assert find(tmp_path, rootfs=rootfs, **given).upper is upper


def test_a_rootfs_without_proc_needs_an_overlay(tmp_path: Path, rootfs: Path) -> None:
    (rootfs / "proc").rmdir()
    assert find(tmp_path, rootfs=rootfs).upper


def make_bundle(path: Path, **more: Any) -> Path:
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": ["x"], "cwd": "/etc", "env": ["A=1"]},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["rw", "nosuid"]},
            {"destination": "/data", "type": "none", "source": "files", "options": ["rbind"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
        ],
        "linux": {"namespaces": [{"type": "mount"}]},
        **more,
    }
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_a_bundle_brings_its_mounts_variables_and_directory(tmp_path: Path, rootfs: Path) -> None:
    found = find(tmp_path, rootfs=make_bundle(tmp_path))
    assert (found.rootfs, found.env, found.cwd, found.upper) == (str(rootfs), ("A=1",), "/etc", True)
    assert found.mounts == [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
        {"destination": "/data", "type": "none", "source": f"{tmp_path}/files", "options": ["rbind"]},
    ]


def test_a_bad_bundle_is_refused_with_all_that_is_wrong(tmp_path: Path, rootfs: Path) -> None:
    lines = said(tmp_path, rootfs=make_bundle(tmp_path, ociVersion="2.0", hostname="x"))
    assert [line.split(": ")[:3] for line in lines] == [
        [f'rootfs="{tmp_path}"', "config.json", "ociVersion"],
        [f'rootfs="{tmp_path}"', "config.json", "hostname"],
    ]
    lines = said(tmp_path, rootfs=make_bundle(tmp_path, root={"path": "absent"}))
    assert lines == [f'rootfs="{tmp_path}": config.json: root.path: {tmp_path}/absent: no such file or directory']


def test_the_host_is_its_usr_and_what_programs_there_need(tmp_path: Path) -> None:
    found = find(tmp_path, workspace="/work", files={"/etc/hostname": "/work/x"})
    assert found.rootfs.startswith(f"{tmp_path}/state/.host-rootfs/")
    assert not found.upper
    assert {"/usr"} <= {mount["destination"] for mount in found.mounts}
    assert all({"ro", "rro"} & set(mount["options"]) for mount in found.mounts)
    assert find(tmp_path, workspace="/elsewhere").upper
    assert "/etc/resolv.conf" not in [mount["destination"] for mount in found.mounts]
    found = find(tmp_path, network=True)
    assert "/etc/resolv.conf" in [mount["destination"] for mount in found.mounts]
    assert not found.upper
