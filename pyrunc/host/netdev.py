"""Moves a network device of the host into a container (runtime-spec 1.3, config-linux.md, Network Devices), and back
where there comes to be no container: of the devices that are in its namespace when that ends the kernel keeps real ones
alone.

Netlink is spoken by pyroute2, which is imported only when a config has netDevices.
"""

from __future__ import annotations

import errno
import os

from pyrunc.host import failure, site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyroute2.netlink.exceptions import NetlinkError

    from pyrunc.errors import OpFailed

IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
CLONE_NEWNET = 0x40000000
IFF_UP = 1


class Moved:
    """A device that is in the container's network namespace, and how it was before.

    ``namespace`` is a descriptor, which keeps that alive; ``index`` the device's there; ``addresses`` are given to it
    wherever it is; ``up``: whether it was.  ``close`` is to be called.
    """

    __slots__ = ("addresses", "index", "name", "namespace", "up", "where")

    def __init__(self, name: str, where: str, namespace: int) -> None:
        self.name = name
        self.where = where
        self.namespace = namespace
        self.index = 0
        self.addresses: list[dict[str, Any]] = []
        self.up = False

    def close(self) -> None:
        os.close(self.namespace)


def move(name: str, rename: str, pid: int, where: str, moved: list[Moved]) -> None:
    """Move the device into the network namespace of ``pid``, as ``rename`` unless that is "".

    In the place of "%d" in ``rename`` the kernel puts the first number that is free there.
    The kernel takes a device down and drops its addresses when it moves.  The permanent addresses of global
    scope are given back, then the device is set up, as the spec demands.  ``moved`` gets it as soon as it is there.
    """
    site.add()
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    new = rename or name
    moving = f"move network device {name} into the container" + (f" as {rename}" if rename else "")
    step = f"open a netlink socket in the network namespace of {pid}"
    namespace = -1
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with IPRoute(fileno=_socket_in(namespace)) as there, IPRoute() as here:
            step = f"find network device {name}"
            found = here.link_lookup(ifname=name)
            if not found:
                raise OSError(errno.ENODEV, "")
            step = moving
            if "%d" not in new and there.link_lookup(ifname=new):
                # The kernel would move it first, and find out when it renames.
                raise OSError(errno.EEXIST, "")
            device = Moved(name, where, namespace)
            device.addresses = [_plain(address) for address in here.get_addr(index=found[0]) if _kept(address)]
            device.up = bool(here.get_links(found[0])[0]["flags"] & IFF_UP)
            before = {link["index"] for link in there.get_links()}
            here.link("set", index=found[0], net_ns_pid=pid, ifname=new)
            moved.append(device)
            namespace = -1
            step = f"find network device {new} in the container"
            device.index = _arrived(there, new, before)
            for address in device.addresses:
                step = f"add address {address['address']}/{address['prefixlen']} to {new} in the container"
                there.addr("add", index=device.index, **address)
            step = f"set network device {new} up in the container"
            there.link("set", index=device.index, state="up")
    except (OSError, NetlinkError) as error:
        raise _failed(error, step, where) from error
    finally:
        if namespace >= 0:
            os.close(namespace)


def give_back(device: Moved) -> None:
    """Move a device to where this process is, with its name, addresses and state as they were; OpFailed."""
    site.add()
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    step = f"move network device {device.name} back"
    try:
        with IPRoute(fileno=_socket_in(device.namespace)) as there, IPRoute() as here:
            there.link("set", index=device.index, net_ns_pid=os.getpid(), ifname=device.name)
            (index,) = here.link_lookup(ifname=device.name)
            for address in device.addresses:
                step = f"add address {address['address']}/{address['prefixlen']} to {device.name} again"
                here.addr("add", index=index, **address)
            if device.up:
                step = f"set network device {device.name} up again"
                here.link("set", index=index, state="up")
    except (OSError, NetlinkError) as error:
        raise _failed(error, step, device.where) from error


def _failed(error: OSError | NetlinkError, step: str, where: str) -> OpFailed:
    if not isinstance(error, OSError):
        error = OSError(int(error.code), "")
    return failure.op_failed(error, step, op="move_net_device", where=where)


def _arrived(there: Any, name: str, before: set[int]) -> int:
    """The index of the device called ``name``, or of the new one whose name fits that template."""
    head, template, tail = name.partition("%d")
    if not template:
        return int(there.link_lookup(ifname=name)[0])
    for link in there.get_links():
        own = link.get_attr("IFLA_IFNAME")
        if link["index"] not in before and own.startswith(head) and own.endswith(tail):
            return int(link["index"])
    raise OSError(errno.ENODEV, "")


def _kept(address: Any) -> bool:
    flags = address.get_attr("IFA_FLAGS") or address["flags"]
    return bool(flags & IFA_F_PERMANENT) and address["scope"] == RT_SCOPE_UNIVERSE


def _plain(address: Any) -> dict[str, Any]:
    """What is needed to give an address to a device again."""
    kept = {
        "family": address["family"],
        "prefixlen": address["prefixlen"],
        # On a point-to-point device IFA_ADDRESS is the peer's; IFA_LOCAL is only there for IPv4.
        "address": address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS"),
    }
    if broadcast := address.get_attr("IFA_BROADCAST"):
        kept["broadcast"] = broadcast
    return kept


def _socket_in(namespace: int) -> int:
    """A netlink socket that belongs to the network namespace.

    setns(2) changes the calling thread only, so it is called in one that ends right after; the program's
    other threads never leave their namespace.  pyroute2 itself would fork, which a threaded program
    must not.
    """
    import ctypes
    import socket
    import threading

    result: list[int | OSError] = []

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            if libc.setns(namespace, CLONE_NEWNET) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            made = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
            result.append(made.detach())
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=enter, name="pyrunc-setns")
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]
