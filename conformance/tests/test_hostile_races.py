"""beyond#hostile-rootfs: what the image is changes while the container is made of it.

Nobody can say when the runtime looks, so that nothing is expected of these containers but that all else stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from conformance import config
from conformance.marks import decides, needs
from conformance.support.canary import Canary

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.workshop import Workshop

pytestmark = needs("root", "cap_mknod")

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: At most so many containers, and none is begun after so many seconds.
ROUNDS, SECONDS = 10, 1.5


class Swapper:
    """While its body runs, two entries of a directory change places, as fast as that goes."""

    def __init__(self, one: Path, other: Path) -> None:
        self.words = [os.fsencode(path) for path in (one, other)]
        self.ending = threading.Event()
        self.error = 0
        self.swaps = 0
        self.thread = threading.Thread(target=self.swap, daemon=True)

    def swap(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        one, other = self.words
        while not self.ending.is_set() and not self.error:
            if libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE):
                self.error = ctypes.get_errno()
            self.swaps += 1

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()


@decides("beyond.hostile-rootfs.race")
@pytest.mark.parametrize("what", ["mount", "file", "device", "cwd", "masks"])
def test_a_directory_that_becomes_a_symlink_and_back_leads_nowhere(workshop: Workshop, what: str) -> None:
    canary = Canary(workshop)
    source = workshop.directory("source")
    (source / "file").touch()
    ends = time.monotonic() + SECONDS
    swaps = 0
    for number in range(ROUNDS):
        if number and time.monotonic() > ends:
            break
        box = workshop.container("exit", "0")
        (box.rootfs / "place").mkdir()
        canary.link(box, "link", "empty")
        if what == "mount":
            for name in ("one", "two/three"):
                config.add_mount(box.config, f"/place/{name}", "none", str(source), "bind")
        elif what == "file":
            config.add_mount(box.config, "/place/file", "none", str(source / "file"), "bind")
        elif what == "device":
            device = {"path": "/place/made", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
            config.set_path(box.config, "linux.devices", [device])
        elif what == "cwd":
            box.config["process"]["cwd"] = "/place/made"
        else:
            for field in ("maskedPaths", "readonlyPaths"):
                config.set_path(box.config, f"linux.{field}", ["/place", "/place/inner"])
        with Swapper(box.rootfs / "place", box.rootfs / "link") as swapper:
            if box.create("any").status == 0:
                box.start("any")
                box.delete("any", force=True)
        assert swapper.error == 0, os.strerror(swapper.error)
        swaps += swapper.swaps
        canary.check()
    workshop.evidence.note("how often the entries changed places", swaps)
