"""capabilities(7): names and numbers, and how a config's five sets become masks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: OCI name -> number, in the kernel's order.
CAPS = {
    name: number
    for number, name in enumerate(
        (
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_LINUX_IMMUTABLE",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BROADCAST",
            "CAP_NET_ADMIN",
            "CAP_NET_RAW",
            "CAP_IPC_LOCK",
            "CAP_IPC_OWNER",
            "CAP_SYS_MODULE",
            "CAP_SYS_RAWIO",
            "CAP_SYS_CHROOT",
            "CAP_SYS_PTRACE",
            "CAP_SYS_PACCT",
            "CAP_SYS_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_SYS_NICE",
            "CAP_SYS_RESOURCE",
            "CAP_SYS_TIME",
            "CAP_SYS_TTY_CONFIG",
            "CAP_MKNOD",
            "CAP_LEASE",
            "CAP_AUDIT_WRITE",
            "CAP_AUDIT_CONTROL",
            "CAP_SETFCAP",
            "CAP_MAC_OVERRIDE",
            "CAP_MAC_ADMIN",
            "CAP_SYSLOG",
            "CAP_WAKE_ALARM",
            "CAP_BLOCK_SUSPEND",
            "CAP_AUDIT_READ",
            "CAP_PERFMON",
            "CAP_BPF",
            "CAP_CHECKPOINT_RESTORE",
        )
    )
}

CAP_SETGID = 1 << CAPS["CAP_SETGID"]
CAP_SETUID = 1 << CAPS["CAP_SETUID"]
CAP_SYS_ADMIN = 1 << CAPS["CAP_SYS_ADMIN"]
CAP_MKNOD = 1 << CAPS["CAP_MKNOD"]


def mask(names: Iterable[str], last_cap: int) -> int:
    """The bits of ``names``; a name that nobody or not this kernel knows has none (spec: a warning)."""
    bits = 0
    for name in names:
        number = CAPS.get(name)
        if number is not None and number <= last_cap:
            bits |= 1 << number
    return bits


def names(bits: int) -> list[str]:
    """The names of the set bits, in the kernel's order; a bit without a name by its number."""
    by_number = {number: name for name, number in CAPS.items()}
    return [by_number.get(n, f"CAP_{n}") for n in range(bits.bit_length()) if bits >> n & 1]
