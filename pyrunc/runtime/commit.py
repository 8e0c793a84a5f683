"""``commit``: what a container has changed, written as an image layer or applied to a directory."""

from __future__ import annotations

import contextlib
import os
import stat

from pyrunc.errors import StateError, UsageError
from pyrunc.host.layers.apply import Destination
from pyrunc.host.layers.archive import Archive
from pyrunc.host.layers.place import failed
from pyrunc.host.layers.sink import Sink
from pyrunc.runtime import diff, reaching
from pyrunc.runtime import state as states
from pyrunc.spec.jsontext import loads
from pyrunc.state import machine
from pyrunc.state.store import Record, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from pyrunc.host.layers.archive import Owners
    from pyrunc.host.layers.overlay import Walk
    from pyrunc.plan.facts import Layer
    from pyrunc.spec.types import IDMapping
    from pyrunc.state.store import State

#: What an id that has no mapping looks like inside (user_namespaces(7), overflowuid).
OVERFLOW_ID = 65534


def commit(
    root: str, id: str, dest: str, layer: str | None = None, *, warn: Callable[[str], None] | None = None
) -> None:
    """Write the changes of a container's layers to ``dest``; ``warn`` is told what had to be left out.

    An existing directory, or one that a slash at the end asks for, gets the changes applied, with the ids that the
    container's objects have on the host.  Anything else is a file (``-``: standard output) that gets an OCI image
    layer, with the ids that they have in the container; it is there completely or not at all.  A symlink
    of that name is replaced, not followed: somebody else may have put it there.

    ``layer``: only the one mounted at that path of the container, with paths relative to it; else they are relative
    to the container's root.
    """
    if not dest:
        raise UsageError("DEST: must not be empty", hint="- is standard output")
    record = Record(root, id)
    state = diff.load(record)
    chosen = _choose(state, layer)
    told = warn or _ignore
    if os.path.islink(dest) and os.path.isdir(dest):
        raise UsageError(f"{dest} is a symlink to a directory", hint="with a slash at its end it is followed")
    if os.path.islink(dest) and os.path.realpath(os.path.dirname(dest) or ".").split("/")[1] in ("dev", "proc"):
        raise UsageError(f"{dest} is a symlink of the system's", hint="- is standard output")
    with reaching.views(record, state) as views:
        changes = Changes(state, chosen, views, told, relative=layer is not None)
        if dest.endswith("/") or os.path.isdir(dest):
            _check_lower(root, dest)
            _apply(changes, dest)
        elif dest == "-":
            if os.isatty(1):
                raise UsageError("standard output is a terminal: an archive is not for reading")
            _archive(record, changes, Sink(1, "standard output", sparse=False))
        else:
            _to_file(record, changes, dest)


class Changes:
    """What is to be written: walks down the layers, one after the other, and where each begins."""

    __slots__ = ("_layers", "_relative", "_state", "_views", "warn")

    def __init__(
        self,
        state: State,
        layers: list[Layer],
        views: Mapping[str, int],
        warn: Callable[[str], None],
        *,
        relative: bool,
    ) -> None:
        self._state = state
        self._layers = layers
        self._views = views
        self._relative = relative
        self.warn = warn

    def walks(self, too_long: Callable[[str], None] | None = None) -> Iterator[tuple[Walk, str]]:
        for layer in self._layers:
            with diff.walk(self._state, layer, by_path=False, views=self._views, too_long=too_long) as walk:
                yield walk, "/" if self._relative else layer["destination"]


def _ignore(_: str) -> None:
    """The default for warnings: a program that wants them passes ``warn``."""


def _choose(state: State, layer: str | None) -> list[Layer]:
    """Layers that lie in others come after them."""
    layers = sorted(state["layers"], key=lambda each: each["destination"])
    if layer is None:
        return layers
    path = "/" + os.path.normpath(layer).lstrip("/") if layer.startswith("/") else layer
    found = [each for each in layers if each["destination"] == path]
    if not found:
        known = ", ".join(each["destination"] for each in layers)
        raise StateError(f"no private layer is mounted at {layer}", where=state["id"], hint=f"there are: {known}")
    return found


def _check_lower(root: str, dest: str) -> None:
    """overlayfs.rst, "Changes to underlying filesystems": what a mounted overlay then shows is undefined.

    That goes for every container of the root, and for what is in a lower directory or around it.
    """
    there = _way(dest)
    for id in Store(root).ids():
        record = Record(root, id)
        try:
            state = record.load()
            if not state.get("layers") or states.status(record, state) == machine.STOPPED:
                continue
        except StateError:
            continue  # it is on its way in or out
        for layer in state["layers"]:
            lower = _way(layer["lower"]) if layer["lower"] and os.path.isdir(layer["lower"]) else []
            if lower and (lower[0] in there or (os.path.isdir(dest) and there[0] in lower)):
                raise StateError(
                    f"{dest} is what shows through at {layer['destination']} of the container, in that or around it",
                    where=id,
                    hint="stop it first",
                )


def _way(path: str) -> list[tuple[int, int]]:
    """Device and inode of a directory, and of those that it is in; of one that is not there, of these alone."""
    path = os.path.realpath(path)
    found = []
    while True:
        with contextlib.suppress(FileNotFoundError):
            now = os.stat(path)
            found.append((now.st_dev, now.st_ino))
        if path == "/":
            return found
        path = os.path.dirname(path)


def _apply(changes: Changes, dest: str) -> None:
    try:
        # What a container leaves behind may be set-user-id, or a device: nobody else's business.
        os.makedirs(dest, 0o700, exist_ok=True)
        fd = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise failed(error, dest) from None
    try:
        destination = Destination(fd, os.path.abspath(dest), changes.warn)
        for walk, where in changes.walks():
            destination.add(walk, where)
    finally:
        os.close(fd)


def _archive(record: Record, changes: Changes, sink: Sink) -> None:
    archive = Archive(sink, _owners(record), changes.warn)
    for walk, where in changes.walks(diff.too_long(changes.warn)):
        archive.add(walk, where)
    archive.finish()


def _to_file(record: Record, changes: Changes, dest: str) -> None:
    folder, name = os.path.split(dest)
    try:
        directory = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise failed(error, dest) from None
    temporary = ""
    try:
        fd = _open_special(directory, name)
        if fd < 0:
            temporary = f"{name[:200]}.{os.urandom(6).hex()}.tmp"
            new = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            fd = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC | new, 0o600, dir_fd=directory)
        try:
            _archive(record, changes, Sink(fd, dest, sparse=bool(temporary)))
            if temporary:
                os.fsync(fd)
        finally:
            os.close(fd)
        if temporary:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
        if isinstance(error, OSError):
            raise failed(error, dest) from None
        raise
    finally:
        os.close(directory)


def _open_special(directory: int, name: str) -> int:
    """A descriptor of a FIFO or a device, for writing; -1 where the name is that of anything else, or free."""
    try:
        kind = stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
        if kind in (stat.S_IFREG, stat.S_IFLNK):
            return -1
        return os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return -1


def _owners(record: Record) -> Owners:
    """From ids of the host to those of the container, which are what an image speaks of."""
    config: Any = loads(record.config(), record.directory + "/config.json")
    linux = config.get("linux") or {}
    uids: list[IDMapping] = linux.get("uidMappings") or []
    gids: list[IDMapping] = linux.get("gidMappings") or []
    return lambda uid, gid: (_inside(uid, uids), _inside(gid, gids))


def _inside(id: int, mappings: list[IDMapping]) -> int:
    if not mappings:
        return id
    for mapping in mappings:
        if mapping["hostID"] <= id < mapping["hostID"] + mapping["size"]:
            return mapping["containerID"] + id - mapping["hostID"]
    return OVERFLOW_ID
