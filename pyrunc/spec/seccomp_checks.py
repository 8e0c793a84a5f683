"""Rules for linux.seccomp and linux.memoryPolicy: combinations that libseccomp or the kernel refuse."""

from __future__ import annotations

from ..errors import Violation
from . import jsontext, lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import Spec

NOTIFY = "SCMP_ACT_NOTIFY"
#: Actions with a number: the errno to return, or what the tracer is told.
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
#: An annotation of crun's names the listener as well.
_RECEIVER = "run.oci.seccomp.receiver"


def check_seccomp(spec: Spec) -> Iterator[Violation]:
    seccomp = spec.get("linux", {}).get("seccomp")
    if seccomp is None:
        return
    where = "linux.seccomp"
    if seccomp["defaultAction"] == NOTIFY:
        yield Violation(f"{where}.defaultAction", f"{NOTIFY} is impossible here: nothing could tell the listener")
    elif "defaultErrnoRet" in seccomp and seccomp["defaultAction"] not in _WITH_ERRNO:
        yield Violation(f"{where}.defaultErrnoRet", f"{seccomp['defaultAction']} has no errno")
    seen: dict[str, int] = {}
    for index, arch in enumerate(seccomp.get("architectures", ())):
        if seen.setdefault(arch, index) != index:
            yield Violation(f"{where}.architectures[{index}]", f"{arch} is there twice")
    listener = bool(seccomp.get("listenerPath") or _RECEIVER in spec.get("annotations", {}))
    if seccomp.get("listenerMetadata") and not listener:
        yield Violation(f"{where}.listenerMetadata", "needs a listenerPath")
    for index, rule in enumerate(seccomp.get("syscalls", ())):
        action = rule["action"]
        if "errnoRet" in rule and action not in _WITH_ERRNO:
            yield Violation(f"{where}.syscalls[{index}].errnoRet", f"{action} has no errno")
        if action == NOTIFY and not listener:
            yield Violation(f"{where}.syscalls[{index}].action", f"{NOTIFY} needs {where}.listenerPath")
        if action == NOTIFY and "write" in rule["names"]:
            # the init sends the listener's descriptor and its failures with write(2) and sendmsg(2)
            place = f"{where}.syscalls[{index}].names[{rule['names'].index('write')}]"
            yield Violation(place, f"{NOTIFY} is impossible for write")


def check_memory_policy(spec: Spec) -> Iterator[Violation]:
    policy = spec.get("linux", {}).get("memoryPolicy")
    if policy is None:
        return
    where = "linux.memoryPolicy"
    mode, text, flags = policy["mode"], policy.get("nodes", ""), policy.get("flags", [])
    nodes = lists.numbers(text)
    if nodes is None:
        yield Violation(f"{where}.nodes", f"{jsontext.dumps(text)} is not a list of nodes like 0-3,7")
    elif nodes and mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        yield Violation(f"{where}.nodes", f"{mode} takes no nodes")
    elif not nodes and mode not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"):
        yield Violation(f"{where}.nodes", f"{mode} needs nodes")
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        yield Violation(f"{where}.flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude one another")
