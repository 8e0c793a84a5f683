"""What the probe saw, as lines that two runtimes can be compared by, and the differences that are accepted.

Only normalising, and the table with a reason for each row, live here.  A value that necessarily differs
between two containers (a counter, an inode, an id) is dropped or replaced by what it stands for.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tests.callers import observation
from tests.callers.differences import KNOWN as UNDER_PODMAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Facts of a moment: clocks, counters, addresses of this very run.
_OF_A_MOMENT = ("clocks", "network", "keyring", "status.VmRSS", "status.VmLck", "status.Threads", "process.timerslack")

KNOWN: tuple[tuple[str, str], ...] = (
    *((row[0].replace("^dev ", "^devices\\.").replace("^mountinfo ", "^mounts "), row[1]) for row in UNDER_PODMAN),
    (
        r"^devices\.core|^[-+]devices\.core",
        "runc makes /dev/core only where the host has /proc/kcore; a dangling link harms nobody",
    ),
    (
        r"^[-+](stat\.|devices\.|root\.)\S*mqueue\.uid (0|65534)$",
        "the IPC namespace is made together with the user namespace, before any id is mapped; mode 1777 lets all in",
    ),
    (
        r"^[-+](stat\.|devices\.|root\.)\S*mqueue\.gid (0|65534)$",
        "the message queues belong to the container's root; under runc 1.1 to a group that is not mapped",
    ),
    (
        r"^[-+]stat\./sys/fs/cgroup\.mode 0(555|755)$",
        "the mode of the read-only tmpfs that holds the controllers",
    ),
    (
        r"^(-env HOME=|\+env HOME=/)$",
        "runc takes a line of /etc/passwd that has no fields for one of root's, whose home is nowhere",
    ),
    (
        r"^[-+]mounts \S+ on=\S+ device=\S+ root=\S*/null ",
        "files are masked with a /dev/null that the container cannot have replaced (CVE-2025-31133)",
    ),
    (
        r"^[-+]mounts \S+ on=\S+ device=\S+ root=/ r[wo],relatime private tmpfs tmpfs rw(,sync,dirsync)?(,mode=755)?$",
        "the mode of the directory that a tmpfs covers is given to the mount; runc 1.1 sets it afterwards by its path",
    ),
    (
        r"^[-+]mounts \S+ on=\S+ device=\S+ root=/ ro,\S* private tmpfs \S+ ro",
        "one read-only tmpfs masks all directories; runc makes one for each",
    ),
)


def lines(seen: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Every fact of a probe's output on a line of its own: ``PATH VALUE``."""
    facts = sorted(_flat("", _normalised(seen)))
    return [observation.names_replaced(line, names) for line in facts if not line.startswith(_OF_A_MOMENT)]


def _normalised(seen: Mapping[str, Any]) -> dict[str, Any]:
    facts = dict(seen)
    facts["mounts"] = observation.mounts(list(facts.get("mounts", ())))
    facts["namespaces"] = {
        name: "of the host" if link == os.readlink(f"/proc/self/ns/{name}") else "another"
        for name, link in facts.get("namespaces", {}).items()
    }
    process = dict(facts.get("process", {}))
    leads = {name: process.pop(name, None) == process.get("pid") for name in ("pgid", "sid")}
    if process.get("pid") != 1:  # of another pid namespace: numbers of a moment
        process.pop("pid", None)
        process.pop("ppid", None)
    facts["process"] = process | {"leads": leads}
    facts["status"] = {name: re.sub(r"\b\d{2,}\b", "N", value) if name.startswith("NS") else value
                       for name, value in facts.get("status", {}).items()}  # fmt: skip
    facts["fds"] = {
        number: _target(number, str(fd["target"])) + f" cloexec={fd['cloexec']}"
        for number, fd in facts.get("fds", {}).items()
    }
    for entries in (facts.get("devices", {}), facts.get("root", {}), facts.get("stat", {})):
        for entry in entries.values():
            if isinstance(entry, dict) and entry.get("type") == "directory":
                entry.pop("size", None)
                entry.pop("inode", None)
    return facts


def _target(number: str, target: str) -> str:
    """Of the standard streams, whether they are terminals: runc copies the others through pipes of its own."""
    if number in ("0", "1", "2") and not target.startswith("/dev/"):
        return "a stream"
    return re.sub(r":\[\d+\]|/\d+$", "", target)


def _flat(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and path in ("mounts", "cgroup", "env"):
        for inner in value:
            yield f"{path} {inner}"
    else:
        yield f"{path} {value}"


def differences(theirs: list[str], ours: list[str]) -> list[str]:
    """``-LINE`` only the reference showed, ``+LINE`` only this runtime."""
    return [f"-{line}" for line in theirs if line not in ours] + [f"+{line}" for line in ours if line not in theirs]


def unexplained(found: list[str], known: tuple[tuple[str, str], ...] = ()) -> list[str]:
    """Those differences that no row of the table, and none of ``known``, accounts for."""
    rows = [re.compile(pattern) for pattern, _ in (*KNOWN, *known)]
    return [line for line in found if not any(row.search(line) or row.search(_as_section(line)) for row in rows)]


def _as_section(line: str) -> str:
    """``mounts -/dev on=…``: the form that the rows for podman are written for."""
    name, _, rest = line[1:].partition(" ")
    return f"{name} {line[0]}{rest}"
