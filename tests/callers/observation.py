"""What look.sh printed, as values that two runtimes can be compared by.

Only reading and normalising lives here.  What necessarily differs between two containers on one
machine (their ids, device numbers, process ids, inode numbers) is replaced by what it stands for;
nothing else is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Section = list[str]

# Fields of proc_pid_status(5) that name a process or count what it has done so far.
_STATUS_OF_A_MOMENT = frozenset(
    {
        "Name", "State", "Tgid", "Ngid", "Pid", "PPid", "TracerPid", "FDSize", "NSpid", "NStgid", "NSpgid",
        "NSsid", "Threads", "SigQ", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "HugetlbPages",
        "CoreDumping", "untag_mask", "x86_Thread_features", "x86_Thread_features_locked", "Kthread",
    }
)  # fmt: skip


def sections(text: str) -> dict[str, Section]:
    """Split the output of look.sh at its ``== NAME`` lines."""
    found: dict[str, Section] = {}
    current: Section = []
    for line in text.replace("\r\n", "\n").splitlines():
        if line.startswith("== "):
            current = found.setdefault(line[3:], [])
        else:
            current.append(line)
    return found


def names_replaced(text: str, names: Mapping[str, str]) -> str:
    """Replace ids: the given ones by their names, and those of storage by what they are."""
    for name, stand_in in names.items():
        text = text.replace(name, stand_in)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<ID>", text)
    text = re.sub(r"\bcontainer_uuid=[0-9a-f]{32}\b", "container_uuid=<ID>", text)
    text = re.sub(r"/snapshots/\d+/", "/snapshots/<NUMBER>/", text)
    text = re.sub(r"/overlay/\d+/(merge|lower)", r"/overlay/<NUMBER>/\1", text)
    text = re.sub(r"\bbuildah\d+\b", "buildah<NUMBER>", text)
    return re.sub(r"\b(overlay2?/l)/[A-Z0-9]{26}\b", r"\1/<LINK>", text)


class Mount:
    """One line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    def __init__(self, line: str) -> None:
        before, after = line.split(" - ")
        fields = before.split(" ")
        self.id, self.parent, self.device, self.root, self.point, self.options = fields[:6]
        self.propagation = [re.sub(r"\d+", "N", tag) for tag in fields[6:]]
        self.type, self.source, self.super_options = after.split(" ")


def mounts(lines: Section) -> Section:
    """The mount tree: an id becomes the mount's place, a device number the first place that shows it.

    The order of mountinfo is that of the kernel's recycled mount ids, so that lines are sorted; the
    order in which mounts cover one another is in the parents.
    """
    table = [Mount(line) for line in lines]
    by_id = {mount.id: mount for mount in table}

    def place(mount: Mount) -> str:
        parent = by_id.get(mount.parent)
        if parent is not None and parent is not mount and parent.point == mount.point:
            return place(parent) + "+"
        return mount.point

    first_place: dict[str, str] = {}
    for mount in sorted(table, key=place):
        first_place.setdefault(mount.device, place(mount))
    described = []
    for mount in table:
        parent = by_id.get(mount.parent)
        on = place(parent) if parent is not None and parent is not mount else "nothing"
        described.append(
            f"{place(mount)} on={on} device={first_place[mount.device]} root={mount.root} {mount.options}"
            f" {','.join(mount.propagation) or 'private'} {mount.type} {mount.source} {mount.super_options}"
        )
    return sorted(described)


def _status(lines: Section) -> Section:
    kept = []
    for line in lines:
        name = line.split(":")[0]
        if name not in _STATUS_OF_A_MOMENT and not name.startswith(("Vm", "Rss", "Hugetlb")):
            kept.append(re.sub(r"[ \t]+", " ", line).strip())
    return kept


def _fds(lines: Section) -> Section:
    kept = []
    for line in lines:
        link = re.search(r" (\d+) -> (.*)$", line)
        if link is None or (link[1] == "10" and link[2].endswith("/look")):
            continue  # the total of ls, and where busybox sh keeps its script
        kept.append(f"{link[1]} " + re.sub(r"\[\d+\]", "[N]", re.sub(r"/\d+$", "/N", link[2])))
    return kept


def _session(line: str) -> str:
    """``PID GROUP SESSION TTY``: who leads, and whether there is a controlling terminal."""
    pid, group, session, terminal = line.split()
    leads = [what for what, leader in (("group", group), ("session", session)) if leader == pid]
    return f"leads={leads} terminal={terminal != '0'}"


def normalised(text: str, names: Mapping[str, str]) -> dict[str, Section]:
    """The sections of look.sh's output in comparable form."""
    found = sections(names_replaced(text, names))
    if "mountinfo" in found:
        found["mountinfo"] = mounts(found["mountinfo"])
        found["status"] = _status(found["status"])
        found["fds"] = _fds(found["fds"])
        found["namespaces"] = sorted(line.split(" ")[0] for line in found["namespaces"])
        found["env"] = sorted(found["env"])
        found["cgroup-files"] = sorted(found["cgroup-files"])
        found["session"] = [_session(line) for line in found["session"]]
    return found


def namespace_links(text: str) -> dict[str, str]:
    """``{"net": "net:[4026531840]"}``: which namespaces the container was really in."""
    return dict(line.split(" ", 1) for line in sections(text)["namespaces"])


def difference(left: Mapping[str, Section], right: Mapping[str, Section]) -> list[str]:
    """Lines ``SECTION -line`` (only left) and ``SECTION +line`` (only right), in order."""
    lines = []
    for name in sorted({*left, *right}):
        ours, theirs = left.get(name, []), right.get(name, [])
        if ours == theirs:
            continue
        only_left = [f"{name} -{line}" for line in ours if line not in theirs]
        only_right = [f"{name} +{line}" for line in theirs if line not in ours]
        lines += [*only_left, *only_right] or [f"{name} order or repetition differs: {ours} and {theirs}"]
    return lines
