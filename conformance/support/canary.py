"""A tree of the host's next to a hostile rootfs: the links in the rootfs lead here, and nothing here may change.

It is a tmpfs of the test's own, so that even a runtime that follows each link spoils nothing else.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.bundle import place_probe
from conformance.config import PROBE
from conformance.seen import mounts
from conformance.support import mounting
from conformance.verdict import Failed

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.seen import Seen
    from conformance.workshop import Workshop

#: What the file "secret" holds, which no container may read.
HIDDEN = "of the host alone"

#: How a link in an image can lead to an absolute path outside of it; ``{up}`` are the dots from the link's directory.
LINKS = {
    "absolute": "{path}",
    "relative": "{up}{path}",
    "dots": "/../../../../../..{path}",
    "root-of-1": "/proc/1/root{path}",
}


class Canary:
    """The entries "directory" (with "inner"), "empty", "secret", "node" (a null device), "fifo", "program" (the probe).

    ``absent`` is the name of one that there is not.
    """

    absent = "absent"

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.path = workshop.directory("canary")
        mounting.hold(workshop, "canary", self.path, "tmpfs")
        (self.path / "directory").mkdir(mode=0o750)
        (self.path / "directory" / "inner").write_text(HIDDEN)
        (self.path / "empty").mkdir()
        (self.path / "secret").write_text(HIDDEN)
        os.mknod(self.path / "node", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mkfifo(self.path / "fifo", 0o640)
        place_probe(self.path / "program", own=True)
        self.before = self.snapshot()

    def snapshot(self) -> dict[str, str]:
        """Every entry, and the mounts of the host that are below the test's directory."""
        found = {str(path.relative_to(self.path)): described(path) for path in [self.path, *self.path.rglob("*")]}
        text = Path("/proc/self/mountinfo").read_text()
        for each in mounts(text):
            if each.target.startswith(f"{self.workshop.folder}/"):
                name = f"the mount {each.id} on {each.target}"
                options = sorted(each.options | each.super_options | each.propagation)
                found[name] = f"{each.root} {each.type} {each.source} {','.join(options)}"
        return found

    def check(self) -> None:
        """Fail when anything is not as it was made."""
        now = self.snapshot()
        changed = {
            name: (self.before.get(name, "not there"), now.get(name, "not there"))
            for name in sorted(self.before.keys() | now.keys())
            if self.before.get(name) != now.get(name)
        }
        if changed:
            lines = (f"{name}: {before} -> {after}" for name, (before, after) in changed.items())
            raise Failed("what is outside of the rootfs was changed:\n" + "\n".join(lines))

    def link(self, box: Container, name: str, entry: str, form: str = "absolute") -> None:
        """A symlink in the rootfs, in place of whatever is there, that leads to an entry in the way of LINKS."""
        place = clear(box, name)
        up = "/".join([".."] * 20)
        place.symlink_to(LINKS[form].format(path=self.path / entry, up=up))


def described(path: Path) -> str:
    seen = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(seen.st_mode) else ""
    who = f"mode {seen.st_mode:o} owner {seen.st_uid}:{seen.st_gid}"
    times = f"modified {seen.st_mtime_ns} changed {seen.st_ctime_ns}"
    return f"inode {seen.st_dev}:{seen.st_ino} {who} links {seen.st_nlink} {times} {content}".strip()


def clear(box: Container, name: str) -> Path:
    """Where an entry of the rootfs is to be made, with nothing there; an empty directory of the skeleton is removed."""
    place = box.rootfs / name.lstrip("/")
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    return place


def replace(box: Container, canary: Canary, name: str, kind: str, target: str = "") -> None:
    """Put something of the kind at ``name``; a link leads to ``target``, by default the canary's device."""
    place = clear(box, name)
    if kind == "link" and target:
        place.symlink_to(target)
    elif kind == "link":
        canary.link(box, name, "node")
    elif kind == "dangling":
        canary.link(box, name, canary.absent)
    elif kind == "file":
        place.write_text("of the image")
    elif kind == "directory":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        # The path of a socket may be too short for that of a test.
        here = os.open(place.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{here}/{place.name}")
        finally:
            os.close(here)


def attempt(box: Container, *asked: str) -> Seen | None:
    """Create, start, delete; what the probe reports, with answers to what it is ``asked``.

    None where the runtime refuses, which it may do at either verb; what it refuses to create does not exist.
    """
    box.config["process"]["args"] = [PROBE, "report", *asked]
    if box.create("any").status:
        box.gone()
        return None
    started = box.start("any").status == 0
    status = box.wait() if started else None
    box.delete("any", force=True)
    return box.seen(status) if started and box.output() else None
