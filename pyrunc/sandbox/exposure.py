"""What of the host must not be shown to a box by any name: the whole of it, and the kernel's view of it.

Below /proc of the host is /proc/PID/root, which is everything again.  Paths are judged by what they lead to.
"""

from __future__ import annotations

import os

from pyrunc.host import probe

#: Types of file systems -> what is in them.
_KERNEL = {"proc": "the host's processes", "sysfs": "the host's devices"}


def reason(path: str, *, below: bool) -> str:
    """Why an existing path cannot be given to a box, "" if it can; OSError when it cannot be looked at.

    ``below``: what is mounted in it comes with it.
    """
    real = os.path.realpath(path)
    found, named, root = os.stat(path), os.stat(real), os.stat("/")
    if (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino):
        return "would show the box the whole host"
    if (found.st_dev, found.st_ino) != (named.st_dev, named.st_ino):
        # Its text says another file than the kernel does: a link like /proc/PID/root, into other mounts.
        return "leads through another process's files in /proc"
    device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    for line in probe.lines(probe.read("/proc/self/mountinfo")):
        head, _, tail = line.partition(" - ")
        content = _KERNEL.get(tail.split(" ", 1)[0])
        if content is None:
            continue
        _, _, its_device, _, point = head.split(" ")[:5]
        if its_device == device:
            return f"would show the box {content}"
        if below and probe.unescape(point).startswith(real + "/"):
            return f"would show the box {content}, in {probe.unescape(point)}"
    return ""
