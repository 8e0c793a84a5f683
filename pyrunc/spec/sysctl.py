"""Which kernel parameters a container may set, and where they lie below /proc/sys (sysctl(8)).

A parameter that no namespace of the container owns would change the host (CVE-2022-0811), so what is not
in these tables is refused.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

#: Parameter, or a prefix that ends with a dot -> type of the namespace that owns it.
OWNERS = {
    "kernel.msgmax": "ipc",
    "kernel.msgmnb": "ipc",
    "kernel.msgmni": "ipc",
    "kernel.sem": "ipc",
    "kernel.shmall": "ipc",
    "kernel.shmmax": "ipc",
    "kernel.shmmni": "ipc",
    "kernel.shm_rmid_forced": "ipc",
    "fs.mqueue.": "ipc",
    "net.": "network",
    "kernel.domainname": "uts",
    "kernel.hostname": "uts",
}

_SWAP = {ord("."): "/", ord("/"): "."}


def file(name: str) -> str:
    """The path below /proc/sys of a parameter.

    Both notations of sysctl(8) are understood: whichever separator comes first is the separator, and the
    other one stands for a dot in a component (``net/ipv4/conf/eno2.100/rp_filter``).
    """
    dot, slash = name.find("."), name.find("/")
    if slash >= 0 and (dot < 0 or slash < dot):
        return name
    return name.translate(_SWAP)


def owner(name: str) -> str:
    """The type of namespace that a parameter belongs to, "" when it belongs to none."""
    dotted = file(name).translate(_SWAP)
    if dotted in OWNERS:
        return OWNERS[dotted]
    for prefix, kind in OWNERS.items():
        if prefix.endswith(".") and dotted.startswith(prefix):
            return kind
    return ""


def violations(parameters: Iterable[str], owned: Container[str]) -> Iterator[Violation]:
    """What is wrong with the keys of linux.sysctl in a container that has these types of namespaces."""
    for name in parameters:
        where = paths.join("linux.sysctl", name)
        kind = owner(name)
        if not kind:
            yield Violation(where, "not a kernel parameter of a namespace, so it would change the host")
        elif any(part in ("", ".", "..") for part in file(name).split("/")):
            yield Violation(where, "not a path below /proc/sys")
        elif kind not in owned:
            yield Violation(where, f"needs a namespace of type {kind} in linux.namespaces")
        elif file(name) == "kernel/hostname":
            yield Violation(where, "conflicts with hostname, which is the way to set it")
