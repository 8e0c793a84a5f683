"""What the probe's report says, with the kernel's texts taken apart."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from conformance.verdict import Failed

#: In the kernel's order (capabilities(7)): the number of each is its place.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo (proc_pid_mountinfo(5)).  ``propagation`` is "private", or words such as "shared:3"."""

    id: int
    parent: int
    root: str
    target: str
    options: frozenset[str]
    propagation: frozenset[str]
    type: str
    source: str
    super_options: frozenset[str]


def unescaped(text: str) -> str:
    """Mountinfo writes blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mounts(text: str) -> list[Mount]:
    """The mounts of a mountinfo, in its order: of two at one place the later one is on top."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        number, parent, _, root, target, options, *fields = before.split(" ")
        kind, source, above = [*after.split(" "), "", ""][:3]
        found.append(
            Mount(
                int(number), int(parent), unescaped(root), unescaped(target), frozenset(options.split(",")),
                frozenset(filter(None, fields)), kind, unescaped(source), frozenset(above.split(",")),
            )
        )  # fmt: skip
    return found


class Seen:
    """A report.  ``seen["hostname"]`` is what it says by that name; conformance/probe has all of them."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report

    def __getitem__(self, name: str) -> Any:
        return self.report[name]

    def answer(self, kind: str, value: str) -> Any:
        """The last answer to ``kind=value``."""
        for asked, of, answer in reversed(self.report["asked"]):
            if (asked, of) == (kind, value):
                return answer
        raise LookupError(f"the probe was not asked {kind}={value}")

    def errno(self, kind: str, value: str) -> int:
        """The error of a trial: 0 when it worked."""
        answer = self.answer(kind, value)
        return int(answer["errno"]) if isinstance(answer, dict) and "errno" in answer else 0

    def file(self, path: str) -> str:
        """The text of a file that was asked for with read=PATH, or that is in every report; Failed without one."""
        text = self.report["files"][path] if path in self.report["files"] else self.answer("read", path)
        if isinstance(text, dict):
            raise Failed(f"the container cannot read {path}: {os.strerror(text['errno'])}")
        return str(text)

    def capabilities(self, of: str) -> frozenset[str]:
        """The names in the set "effective", "permitted", "inheritable", "bounding" or "ambient"."""
        bits = self.report["capabilities"][of]
        names = (*CAPABILITIES, *(f"CAP_{number}" for number in range(len(CAPABILITIES), 64)))
        return frozenset(name for number, name in enumerate(names) if bits >> number & 1)

    def mounts(self) -> list[Mount]:
        return mounts(self.file("/proc/self/mountinfo"))

    def mount(self, target: str) -> Mount:
        """The uppermost mount at ``target``; Failed when there is none."""
        for found in reversed(self.mounts()):
            if found.target == target:
                return found
        raise Failed(f"nothing is mounted on {target}: {', '.join(each.target for each in self.mounts())}")

    def status(self, field: str) -> str:
        """A field of /proc/self/status."""
        for line in self.file("/proc/self/status").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
        raise LookupError(field)

    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.report["env"] if "=" in entry)


def reports(output: str) -> list[Seen]:
    """Every report in the output of a container, in its order."""
    found = []
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                found.append(Seen(json.loads(line)))
            except ValueError:
                raise Failed(f"the output of the container is mixed with another one: {line[:500]}") from None
    return found
