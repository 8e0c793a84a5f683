"""linux.resources.devices: the rules, as lines for cgroup v1 and as an eBPF program for cgroup2.

runtime-spec config-linux.md "Allowed Device list"; kernel Documentation/admin-guide/cgroup-v1/devices.rst
and cgroup-v2.rst "Device controller".
"""

from __future__ import annotations

from _struct import pack

from pyrunc.plan.capabilities import CAP_SYS_ADMIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.plan.facts import HostFacts
    from pyrunc.spec.types import DeviceCgroup


class Rule:
    """One rule; ``None`` as a number stands for all."""

    __slots__ = ("access", "allow", "kind", "major", "minor", "where")

    def __init__(
        self, allow: bool, kind: str, major: int | None, minor: int | None, access: str, where: str = "devices"
    ) -> None:
        self.allow = allow
        self.kind = kind  # "a" (all), "b" or "c"
        self.major = major
        self.minor = minor
        self.access = access  # of "rwm"
        self.where = where

    def everything(self) -> bool:
        return self.kind == "a" and self.major is self.minor is None and set(self.access) == set("rwm")

    def v1_lines(self) -> list[str]:
        """``c 1:3 rwm``; the kernel reads ``a`` as all there is, so a narrower one stands for b and c."""
        if self.everything():
            return ["a"]
        major = "*" if self.major is None else self.major
        minor = "*" if self.minor is None else self.minor
        kinds = "bc" if self.kind == "a" else self.kind
        return [f"{kind} {major}:{minor} {self.access}" for kind in kinds]


#: What every container may use (config-linux.md "Default Devices"), and mknod of anything: a node that
#: may not be opened does no harm.  The same list as runc's.
DEFAULTS = (
    Rule(True, "c", None, None, "m"),
    Rule(True, "b", None, None, "m"),
    Rule(True, "c", 1, 3, "rwm"),  # null
    Rule(True, "c", 1, 5, "rwm"),  # zero
    Rule(True, "c", 1, 7, "rwm"),  # full
    Rule(True, "c", 1, 8, "rwm"),  # random
    Rule(True, "c", 1, 9, "rwm"),  # urandom
    Rule(True, "c", 5, 0, "rwm"),  # tty
    Rule(True, "c", 5, 2, "rwm"),  # ptmx
    Rule(True, "c", 136, None, "rwm"),  # pts/*
    Rule(True, "c", 10, 200, "rwm"),  # net/tun
)


def rules(entries: Sequence[DeviceCgroup]) -> list[Rule]:
    """Nothing is allowed at first, then the config's rules, then the defaults; a later rule wins."""
    found = [Rule(False, "a", None, None, "rwm")]
    for index, entry in enumerate(entries):
        # -1 stands for all, as nothing does.
        major = None if entry.get("major", -1) == -1 else entry["major"]
        minor = None if entry.get("minor", -1) == -1 else entry["minor"]
        where = f"devices[{index}]"
        found.append(Rule(entry["allow"], entry.get("type") or "a", major, minor, entry.get("access") or "rwm", where))
    return found + list(DEFAULTS)


def possible(facts: HostFacts) -> bool:
    """The kernel lets nobody but the host's root set rules.  Whoever is not makes no device nodes either."""
    return facts["initial_userns"] and bool(facts["caps"] & CAP_SYS_ADMIN)


# eBPF (kernel Documentation/bpf/standardization/instruction-set.rst)
_ALU_AND = 0x57  # and64 imm
_ALU_RSH = 0x77  # rsh64 imm
_MOV = 0xB7  # mov64 imm
_MOV_REG = 0xBF  # mov64 reg
_LOAD_W = 0x61  # dst = *(u32 *)(src + off)
_JNE = 0x55  # if dst != imm
_JNE_REG = 0x5D  # if dst != src
_EXIT = 0x95

_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*


def _instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return pack("<BBhi", code, src << 4 | dst, off, imm)


def program(rules: Iterable[Rule]) -> bytes:
    """BPF_PROG_TYPE_CGROUP_DEVICE: returns 1 to allow.

    The context is ``{u32 access_type; u32 major; u32 minor}`` with the device type in the low half of
    access_type and the access in the high half.  The last rule that matches decides, so they are tried from the
    last one on; a rule with everything ends the program, for nothing before it can matter.
    """
    code = [
        _instruction(_LOAD_W, 2, 1, 0),
        _instruction(_MOV_REG, 3, 2),
        _instruction(_ALU_AND, 2, imm=0xFFFF),  # r2: type
        _instruction(_ALU_RSH, 3, imm=16),  # r3: access
        _instruction(_LOAD_W, 4, 1, 4),  # r4: major
        _instruction(_LOAD_W, 5, 1, 8),  # r5: minor
    ]
    for rule in reversed(list(rules)):
        if rule.everything():
            code += [_instruction(_MOV, 0, imm=int(rule.allow)), _instruction(_EXIT)]
            return b"".join(code)
        code += _rule(rule)
    code += [_instruction(_MOV, 0, imm=0), _instruction(_EXIT)]
    return b"".join(code)


def _rule(rule: Rule) -> list[bytes]:
    """Tests that jump behind the rule's verdict when they fail."""
    tests: list[tuple[int, int, int, int, int]] = []  # code, dst, src, imm, instructions before it
    body: list[bytes] = []
    if rule.kind != "a":
        tests.append((_JNE, 2, 0, _TYPES[rule.kind], len(body)))
        body.append(b"")
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    if access != 7:
        if rule.allow:
            # Allowed only when nothing is asked for beyond the rule: (access & rule) == access.
            body += [_instruction(_MOV_REG, 0, 3), _instruction(_ALU_AND, 0, imm=access)]
            tests.append((_JNE_REG, 0, 3, 0, len(body)))
        else:
            # Denied when any of it is asked for: (access & rule) != 0, as a jump over a jump.
            body += [_instruction(_MOV_REG, 0, 3), _instruction(_ALU_AND, 0, imm=access)]
            tests.append((0x15, 0, 0, 0, len(body)))
        body.append(b"")
    for register, number in ((4, rule.major), (5, rule.minor)):
        if number is not None:
            tests.append((_JNE, register, 0, number, len(body)))
            body.append(b"")
    body += [_instruction(_MOV, 0, imm=int(rule.allow)), _instruction(_EXIT)]
    for code, dst, src, imm, at in tests:
        body[at] = _instruction(code, dst, src, len(body) - at - 1, imm)
    return body
