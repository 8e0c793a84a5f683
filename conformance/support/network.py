"""Network devices of a test's own, by rtnetlink(7): made, looked at and given addresses in a namespace of its own."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 17, 18, 20, 22
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL = 0x001, 0x004, 0x300, 0x400, 0x200
_ERROR, _DONE = 2, 3
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_ALIAS = 1, 3, 4, 18, 20
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NODAD, _PERMANENT, _UP = 0x02, 0x80, 0x1
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Device:
    index: int
    name: str
    mtu: int
    hardware: str
    alias: str
    up: bool


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def ask(kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
    """Type and payload of each answer, in the namespace that this thread is in.  Raises OSError."""
    answers: list[tuple[int, bytes]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as link:
        link.bind((0, 0))
        link.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            data = link.recv(1 << 20)
            while data:
                length, answer = struct.unpack_from("=IH", data)
                payload, data = data[16:length], data[(length + 3) & ~3 :]
                if answer == _DONE:
                    return answers
                if answer == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    if number:
                        raise OSError(number, f"rtnetlink: {os.strerror(number)}")
                    return answers
                answers.append((answer, payload))


def link_message(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def veth(name: str, peer: str) -> None:
    """A pair of devices, both down."""
    other = attribute(1, link_message() + attribute(_IFLA_NAME, peer.encode() + b"\0"))
    info = attribute(1, b"veth\0") + attribute(2, other)
    body = link_message() + attribute(_IFLA_NAME, name.encode() + b"\0") + attribute(_IFLA_LINKINFO, info)
    ask(_NEWLINK, _ACK | _CREATE | _EXCL, body)


def change(name: str, *, up: bool | None = None, mtu: int = 0, hardware: str = "", alias: str = "") -> None:
    """Set what is given."""
    more = b""
    if mtu:
        more += attribute(_IFLA_MTU, struct.pack("=I", mtu))
    if hardware:
        more += attribute(_IFLA_ADDRESS, bytes.fromhex(hardware.replace(":", "")))
    if alias:
        more += attribute(_IFLA_ALIAS, alias.encode())
    state = (0, 0) if up is None else (_UP if up else 0, _UP)
    ask(_NEWLINK, _ACK, link_message(socket.if_nametoindex(name), *state) + more)


def devices() -> dict[str, Device]:
    """Those of the namespace that this thread is in, by name."""
    found = {}
    for kind, payload in ask(_GETLINK, _DUMP, link_message()):
        if kind != _NEWLINK:
            continue
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", payload)
        values = dict(attributes(payload[16:]))
        name = values[_IFLA_NAME].rstrip(b"\0").decode()
        mtu = struct.unpack("=I", values[_IFLA_MTU])[0]
        alias = values.get(_IFLA_ALIAS, b"").rstrip(b"\0").decode()
        found[name] = Device(index, name, mtu, values.get(_IFLA_ADDRESS, b"").hex(":"), alias, bool(flags & _UP))
    return found


def add_address(name: str, text: str) -> None:
    """``192.0.2.1/24`` or an address of IPv6, permanent and of global scope."""
    interface = ip_interface(text)
    packed = interface.ip.packed
    head = struct.pack(
        "=BBBBI", _FAMILIES[interface.version], interface.network.prefixlen, _NODAD, 0, socket.if_nametoindex(name)
    )
    ask(_NEWADDR, _ACK | _CREATE | _EXCL, head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed))


def addresses(name: str) -> dict[int, set[str]]:
    """IP version -> the permanent addresses of global scope, with their prefix lengths."""
    index = socket.if_nametoindex(name)
    found: dict[int, set[str]] = {4: set(), 6: set()}
    for version, family in _FAMILIES.items():
        for kind, payload in ask(_GETADDR, _DUMP, struct.pack("=BBBBI", family, 0, 0, 0, 0)):
            if kind != _NEWADDR:
                continue
            own, prefix, flags, scope, of = struct.unpack_from("=BBBBI", payload)
            values = dict(attributes(payload[8:]))
            if _IFA_FLAGS in values:
                flags = struct.unpack("=I", values[_IFA_FLAGS])[0]
            if (own, of, scope) == (family, index, 0) and flags & _PERMANENT:
                text = ip_address(values.get(_IFA_LOCAL, values[_IFA_ADDRESS]))
                found[version].add(f"{text}/{prefix}")
    return found
