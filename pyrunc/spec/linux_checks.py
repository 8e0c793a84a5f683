"""Rules for the linux object: namespaces and what belongs to one, seccomp, the memory policy.

What few configs have (sysctl, lists, odd keys) is imported where it is met.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import jsontext
from pyrunc.spec.process_checks import not_absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.spec.types import IDMapping, Spec

_CLOCKS = ("monotonic", "boottime")
#: IFNAMSIZ less its NUL.
_NET_DEVICE_NAME = 15
#: __NEW_UTS_LEN of uname(2), for hostname and domainname.
_UTS_NAME = 64
_IDS = 1 << 32
NOTIFY = "SCMP_ACT_NOTIFY"
#: Actions with a number: the errno to return, or what the tracer is told.
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
#: An annotation of crun's names the listener as well.
_RECEIVER = "run.oci.seccomp.receiver"


def namespaces(spec: Spec) -> dict[str, str]:
    """Type to path of the namespaces that the container does not share with the runtime; "" is a new one."""
    found: dict[str, str] = {}
    for namespace in spec.get("linux", {}).get("namespaces", ()):
        found.setdefault(namespace["type"], namespace.get("path", ""))
    return found


def check_namespaces(spec: Spec) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for index, namespace in enumerate(spec.get("linux", {}).get("namespaces", ())):
        where = f"linux.namespaces[{index}]"
        first = seen.setdefault(namespace["type"], where)
        if first != where:
            yield Violation(f"{where}.type", f"{namespace['type']} is in {first} already")
        path = namespace.get("path", "")
        if path and not path.startswith("/"):
            yield not_absolute(f"{where}.path", path)
    if "mount" not in seen:
        reason = "a mount namespace is required: pyrunc never mounts in the host's"
        yield Violation("linux.namespaces", reason)


def check_id_mappings(spec: Spec) -> Iterator[Violation]:
    linux = spec.get("linux", {})
    user = namespaces(spec).get("user")
    for name in ("uidMappings", "gidMappings"):
        mappings: Sequence[IDMapping] = linux.get(name, ())  # type: ignore[assignment]
        if mappings and user is None:
            yield Violation(f"linux.{name}", "needs a user namespace in linux.namespaces")
        if not mappings and user == "":
            yield Violation(f"linux.{name}", "required for a new user namespace, but missing")
        yield from check_mappings(mappings, f"linux.{name}")


def check_mappings(mappings: Sequence[IDMapping], path: str) -> Iterator[Violation]:
    """user_namespaces(7): ranges stay below 2^32 and do not overlap, neither inside nor outside."""
    for index, mapping in enumerate(mappings):
        where = f"{path}[{index}]"
        for key in ("containerID", "hostID"):
            first: int = mapping[key]
            end = first + mapping["size"]
            if end >= _IDS:
                yield Violation(f"{where}.size", f"the ids from {key} {first} on go beyond 32 bits")
            for earlier in range(index):
                other: int = mappings[earlier][key]
                if first < other + mappings[earlier]["size"] and other < end:
                    yield Violation(f"{where}.{key}", f"{first}-{end - 1} overlaps {path}[{earlier}]")


def check_uts(spec: Spec) -> Iterator[Violation]:
    owned = namespaces(spec)
    for name in ("hostname", "domainname"):
        value: str = spec.get(name, "")  # type: ignore[assignment]
        if value and "uts" not in owned:
            yield Violation(name, "needs a uts namespace in linux.namespaces")
        if len(value.encode("utf-8", "replace")) > _UTS_NAME:
            yield Violation(name, f"longer than {_UTS_NAME} bytes")


def check_time_offsets(spec: Spec) -> Iterator[Violation]:
    offsets = spec.get("linux", {}).get("timeOffsets", {})
    time = namespaces(spec).get("time")
    if offsets and time is None:
        yield Violation("linux.timeOffsets", "needs a time namespace in linux.namespaces")
    if offsets and time:
        # time_namespaces(7): offsets can be written only as long as nobody is in the namespace
        yield Violation("linux.timeOffsets", "impossible for a time namespace that is joined by its path")
    for clock in offsets:
        if clock not in _CLOCKS:
            from pyrunc.spec import paths

            where = paths.join("linux.timeOffsets", clock)
            yield Violation(where, f"{jsontext.dumps(clock)} is not one of {', '.join(_CLOCKS)}")


def check_net_devices(spec: Spec) -> Iterator[Violation]:
    devices = spec.get("linux", {}).get("netDevices", {})
    if not devices:
        return
    from pyrunc.spec import paths

    if "network" not in namespaces(spec):
        yield Violation("linux.netDevices", "needs a network namespace in linux.namespaces")
    seen: dict[str, str] = {}
    for name, device in devices.items():
        where = paths.join("linux.netDevices", name)
        if not _is_net_device(name):
            yield Violation(where, f"{jsontext.dumps(name)} is not a name of a network device")
        inside = device.get("name") or name
        # The kernel puts a free number in the place of one %d.
        template = "%d" in inside
        if inside != name and not _is_net_device(inside.replace("%d", "00", 1)):
            yield Violation(f"{where}.name", f"{jsontext.dumps(inside)} is not a name of a network device")
        first = seen.setdefault(inside, where)
        if first != where and not template:
            yield Violation(f"{where}.name", f"{jsontext.dumps(inside)} is the name of {first} already")


def check_sysctl(spec: Spec) -> Iterator[Violation]:
    parameters = spec.get("linux", {}).get("sysctl", {})
    if parameters:
        from pyrunc.spec import sysctl

        yield from sysctl.violations(parameters, namespaces(spec))


def check_seccomp(spec: Spec) -> Iterator[Violation]:
    seccomp = spec.get("linux", {}).get("seccomp")
    if seccomp is None:
        return
    where = "linux.seccomp"
    if seccomp["defaultAction"] == NOTIFY:
        yield Violation(f"{where}.defaultAction", f"{NOTIFY} is impossible for what is not listed")
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
    from pyrunc.spec import lists

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


def _is_net_device(name: str) -> bool:
    """dev_valid_name() of the kernel, and no template (%d)."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= _NET_DEVICE_NAME
        and name not in (".", "..")
        and not any(character in "/:%" or character.isspace() for character in name)
    )
