"""Rules about namespaces and what belongs to one: id mappings, host name, time offsets, network devices."""

from __future__ import annotations

from ..errors import Violation
from . import jsontext, paths
from .process_checks import not_absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .types import IDMapping, Spec

_CLOCKS = ("monotonic", "boottime")
#: IFNAMSIZ less its NUL.
_NET_DEVICE_NAME = 15
#: __NEW_UTS_LEN of uname(2), for hostname and domainname.
_UTS_NAME = 64
_IDS = 1 << 32


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
        yield Violation("linux.namespaces", "a mount namespace is required: pyrunc never mounts in the host's")


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
            first: int = mapping[key]  # type: ignore[literal-required]
            end = first + mapping["size"]
            if end >= _IDS:
                yield Violation(f"{where}.size", f"{key} {first} and size {mapping['size']} go beyond 32 bits")
            for earlier in range(index):
                other: int = mappings[earlier][key]  # type: ignore[literal-required]
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
            where = paths.join("linux.timeOffsets", clock)
            yield Violation(where, f"{jsontext.dumps(clock)} is not one of {', '.join(_CLOCKS)}")


def check_net_devices(spec: Spec) -> Iterator[Violation]:
    devices = spec.get("linux", {}).get("netDevices", {})
    if devices and "network" not in namespaces(spec):
        yield Violation("linux.netDevices", "needs a network namespace in linux.namespaces")
    seen: dict[str, str] = {}
    for name, device in devices.items():
        where = paths.join("linux.netDevices", name)
        if not _is_net_device(name):
            yield Violation(where, f"{jsontext.dumps(name)} is not a name of a network device")
        inside = device.get("name") or name
        if inside != name and not _is_net_device(inside):
            yield Violation(f"{where}.name", f"{jsontext.dumps(inside)} is not a name of a network device")
        first = seen.setdefault(inside, where)
        if first != where:
            yield Violation(f"{where}.name", f"{jsontext.dumps(inside)} is the name of {first} already")


def _is_net_device(name: str) -> bool:
    """dev_valid_name() of the kernel; no template (%d) either, as nobody could find the device again."""
    return (
        0 < len(name.encode("utf-8", "replace")) <= _NET_DEVICE_NAME
        and name not in (".", "..")
        and not any(character in "/:%" or character.isspace() for character in name)
    )
