"""The state directory of a container that has layers and no process: what diff and commit read, mounted by hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from pyrunc.host.layers.archive import Archive
from pyrunc.host.layers.changes import changes
from pyrunc.host.layers.sink import Sink
from pyrunc.runtime.commit import commit
from pyrunc.runtime.diff import diff, load, walk
from pyrunc.spec.jsontext import dumps
from pyrunc.state.store import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPTIONS = "redirect_dir=off,metacopy=off,index=off"
#: Levels of a tree that no path can name the end of.
DEEP = 10_000


def call(*words: str | os.PathLike[str]) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=60)


class Layered:
    """``with Layered(directory) as box``: layers are added with ``overlay`` and ``workspace``, which return the
    directory that the container would see."""

    def __init__(self, base: Path, id: str = "box") -> None:
        self.base = base
        self.root = base / "state"
        self.id = id
        self.layers: list[dict[str, Any]] = []
        self.made: list[str] = []
        self.mounted: list[str] = []
        self.warnings: list[str] = []
        self.config: dict[str, Any] = {"ociVersion": "1.0.2"}

    def __enter__(self) -> Self:
        self.record = Record(str(self.root), self.id)
        self.record.claim()
        self.record.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.unmount()
        shutil.rmtree(self.record.directory)

    def unmount(self) -> None:
        while self.mounted:
            call("umount", self.mounted.pop())

    def unmount_overlay(self) -> None:
        """As when the container stops: the last overlay's mount ends, its layer stays."""
        call("umount", self.mounted.pop())

    def _mount(self, kind: str, options: str, where: str) -> None:
        call("mount", "-t", kind, "-o", options, kind, where)
        self.mounted.append(where)

    def _layer(self, options: str) -> str:
        path = f"{self.record.directory}/layers/{len(self.layers)}"
        os.makedirs(path)
        self._mount("tmpfs", options, path)
        return path

    def overlay(self, lower: str | os.PathLike[str], destination: str = "/", options: str = OPTIONS) -> str:
        lower = os.fspath(lower)
        path = self._layer("mode=0700")
        for name in ("upper", "work"):
            os.mkdir(f"{path}/{name}")
        found = os.stat(lower)
        os.chown(f"{path}/upper", found.st_uid, found.st_gid)
        os.chmod(f"{path}/upper", found.st_mode & 0o7777)
        for name in os.listxattr(lower):
            os.setxattr(f"{path}/upper", name, os.getxattr(lower, name))
        merged = self.base / f"merged{len(self.layers)}"
        merged.mkdir()
        self._mount("overlay", f"lowerdir={lower},upperdir={path}/upper,workdir={path}/work,{options}", str(merged))
        kind = "rootfs" if destination == "/" else "cow"
        layer = {"kind": kind, "destination": destination, "lower": lower, "path": path, "slot": 0}
        self.layers.append({**layer, "userxattr": "userxattr" in options})
        self.save()
        return str(merged)

    def workspace(self, destination: str, uid: int = 0) -> str:
        path = self._layer(f"mode=0755,uid={uid},gid={uid}")
        self.layers.append({"kind": "workspace", "destination": destination, "lower": "", "path": path, "slot": 0})
        self.save()
        return path

    def save(self, **keys: Any) -> None:
        """A container whose process has ended."""
        state = {
            "ociVersion": "1.3.0",
            "id": self.id,
            "status": "created",
            "pid": 0,
            "start_time": 0,
            "created": "2026-01-01T00:00:00.000000000Z",
            "bundle": str(self.base),
            "rootfs": str(self.base),
            "annotations": {},
            "hooks": {},
            "start_ops": [],
            "cgroups": {},
            "layers": self.layers,
            "made_in_layers": self.made,
            **keys,
        }
        self.record.write("state.json", dumps(state).encode("utf-8", "backslashreplace"))
        self.record.write("config.json", dumps(self.config).encode())

    def diff(self, views: Mapping[str, int] | None = None) -> list[tuple[str, str]]:
        """``views``: look at the overlays themselves."""
        if views is None:
            return [(change.path, change.kind) for change in diff(str(self.root), self.id)]
        (layer,), found = self.layers, load(self.record)
        with walk(found, layer, by_path=True, views=views) as layer_walk:  # type: ignore[arg-type]
            return [(change.path, change.kind) for change in changes(layer_walk)]

    @contextlib.contextmanager
    def seen(self, merged: str) -> Iterator[dict[str, int]]:
        """The only layer, as its container sees it."""
        fd = os.open(merged, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield {self.layers[0]["destination"]: fd}
        finally:
            os.close(fd)

    def commit_seen(self, views: Mapping[str, int], dest: Path) -> None:
        (layer,), found = self.layers, load(self.record)
        with dest.open("wb") as file, walk(found, layer, by_path=False, views=views) as layer_walk:  # type: ignore[arg-type]
            archive = Archive(Sink(file.fileno(), str(dest), sparse=True), lambda uid, gid: (uid, gid), pytest.fail)
            archive.add(layer_walk, layer["destination"])
            archive.finish()

    def commit(self, dest: str | os.PathLike[str], layer: str | None = None) -> None:
        commit(str(self.root), self.id, os.fspath(dest), layer, warn=self.warnings.append)

    def leftovers(self, directory: Path) -> list[str]:
        """Temporary objects below ``directory`` that a commit should have taken away."""
        found = []
        for folder, directories, files in os.walk(directory):
            found += [os.path.join(folder, name) for name in (*directories, *files) if is_temporary(name)]
        return found


def is_temporary(name: str) -> bool:
    return name.startswith(".pyrunc-") or name.endswith(".tmp")


def ignoring() -> contextlib.suppress:
    """For steps that may not be possible where they come."""
    return contextlib.suppress(OSError)


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return [member.name + "/" * member.isdir() for member in opened.getmembers()]


def upper(box: Layered) -> Path:
    return Path(box.layers[0]["path"], "upper")
