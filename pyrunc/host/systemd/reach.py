"""Where a systemd is reached, and what a plan has to know about it: fills ``plan.facts.SystemdFacts``."""

from __future__ import annotations

import os

from pyrunc.errors import HostError
from pyrunc.host import files
from pyrunc.host.cgroups import tree
from pyrunc.host.systemd.bus import PRIVATE, Bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.facts import SystemdFacts

_SYSTEM = "/run/dbus/system_bus_socket"


def facts(*, rootless: bool) -> SystemdFacts:
    """Ask the systemd of the host, or where the runtime is ``rootless`` that of its user.

    Raises HostError that names the sockets that were tried.
    """
    user = rootless and _is_users(os.environ)
    tried = []
    for path in sockets(os.environ, user=user):
        try:
            bus = Bus(path)
        except HostError as error:
            tried.append(str(error))
            continue
        with bus:
            return {
                "user": user,
                "version": _version(str(bus.property("", "Manager", "Version"))),
                "socket": path,
                "control_group": str(bus.property("", "Manager", "ControlGroup")),
                "bfq": has_bfq(),
            }
    raise HostError("; ".join(tried) or "there is no D-Bus", where="systemd", hint=_hint(user=user))


def has_bfq(disks: str = "/sys/block") -> bool:
    """Whether the kernel has BFQ: then each disk offers it as a scheduler, used or not, and cgroups have its files."""
    try:
        names = os.listdir(disks)
    except FileNotFoundError:
        return False
    schedulers = [tree.read(f"{disks}/{name}/queue/scheduler") for name in names]
    return any("bfq" in text.replace("[", " ").replace("]", " ").split() for text in schedulers)


def _is_users(environment: Mapping[str, str]) -> bool:
    """Root of a user namespace in which a whole system runs has the systemd of that, and no session."""
    return os.geteuid() != 0 or bool({"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} & environment.keys())


def sockets(environment: Mapping[str, str], *, user: bool) -> list[str]:
    """Paths of sockets to try, in this order; one that begins with @ is abstract."""
    if not user:
        return [*addresses(environment.get("DBUS_SYSTEM_BUS_ADDRESS") or f"unix:path={_SYSTEM}"), "/run" + PRIVATE]
    directory = environment.get("XDG_RUNTIME_DIR", "")
    given = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    found = addresses(given)
    if not given and directory:
        found = [directory + "/bus"]
    return found + ([directory + PRIVATE] if directory else [])


def addresses(text: str) -> list[str]:
    """The sockets of a list of addresses (D-Bus specification "Server Addresses"); other transports are left out."""
    found = []
    for address in text.split(";"):
        transport, _, rest = address.partition(":")
        values = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        if transport == "unix" and "path" in values:
            found.append(_unescaped(values["path"]))
        elif transport == "unix" and "abstract" in values:
            found.append("@" + _unescaped(values["abstract"]))
    return found


def _unescaped(text: str) -> str:
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    octets = first
    for part in rest:
        try:
            octets += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            octets += b"%" + part
    return octets.decode("utf-8", "surrogateescape")


def _version(text: str) -> int:
    """``252.39-1~deb12u2``, ``v255``: the number that all of it begins with."""
    digits = text.lstrip("v").partition(".")[0].partition("-")[0].partition("~")[0].split()[0:1]
    if not digits or not digits[0].isdecimal():
        raise HostError(f"the version {text!r} of systemd cannot be read", where="systemd")
    return int(digits[0])


def _hint(*, user: bool) -> str:
    if user:
        return "log in as that user with a systemd session, or set XDG_RUNTIME_DIR; or use --cgroup-manager cgroupfs"
    if not files.is_directory("/run/systemd/system"):
        return "systemd does not run here: use --cgroup-manager cgroupfs"
    return "start the system's D-Bus, or use --cgroup-manager cgroupfs"
