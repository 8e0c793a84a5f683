"""Moves a network device of the host into a container (runtime-spec 1.3, config-linux.md, Network Devices).

Netlink is spoken by pyroute2, which is imported only when a config has netDevices.
"""

from __future__ import annotations

import errno
import os

from pyrunc.host import failure, site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
CLONE_NEWNET = 0x40000000


def move(name: str, rename: str, pid: int, where: str) -> None:
    """Move the device into the network namespace of ``pid``, as ``rename`` unless that is "".

    In the place of "%d" in ``rename`` the kernel puts the first number that is free there.
    The kernel takes a device down and drops its addresses when it moves.  The permanent addresses of global
    scope are given back, then the device is set up, as the spec demands.
    """
    site.add()
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    new = rename or name
    moving = f"move network device {name} into the container" + (f" as {rename}" if rename else "")
    step = f"open a netlink socket in the network namespace of {pid}"
    try:
        with IPRoute(fileno=_socket_in(pid)) as there, IPRoute() as here:
            step = f"find network device {name}"
            found = here.link_lookup(ifname=name)
            if not found:
                raise OSError(errno.ENODEV, "")
            step = moving
            if "%d" not in new and there.link_lookup(ifname=new):
                # The kernel would move it first, and find out when it renames.
                raise OSError(errno.EEXIST, "")
            addresses = [_plain(address) for address in here.get_addr(index=found[0]) if _kept(address)]
            before = {link["index"] for link in there.get_links()}
            here.link("set", index=found[0], net_ns_pid=pid, ifname=new)
            step = f"find network device {new} in the container"
            index = _arrived(there, new, before)
            for address in addresses:
                step = f"add address {address['address']}/{address['prefixlen']} to {new} in the container"
                there.addr("add", index=index, **address)
            step = f"set network device {new} up in the container"
            there.link("set", index=index, state="up")
    except NetlinkError as error:
        refused = OSError(int(error.code), "")
        raise failure.op_failed(refused, step, op="move_net_device", where=where) from error
    except OSError as error:
        raise failure.op_failed(error, step, op="move_net_device", where=where) from error


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


def _socket_in(pid: int) -> int:
    """A netlink socket that belongs to the network namespace of the process.

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
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if libc.setns(namespace, CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
            finally:
                os.close(namespace)
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
