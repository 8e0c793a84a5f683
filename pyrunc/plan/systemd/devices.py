"""linux.resources.devices for systemd on cgroup v1, where it writes the very list that pyrunc writes.

Without a list of its own it allows everything whenever it looks at the unit again (a reload is enough).  On cgroup2 it
attaches a program only for a list, so there it gets none: pyrunc's program is the only one, and stays.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.plan.ops import Op
from pyrunc.plan.systemd.gvariant import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.plan.device_rules import Rule

_KINDS = {"b": "block", "c": "char"}
_WHERE = "linux.resources.devices"


def properties(rules: Iterable[Rule]) -> tuple[list[Op], list[Violation]]:
    """Ops ``systemd_property``, and the rules that a list of what is allowed cannot say."""
    everything = False
    allowed: list[Rule] = []
    problems: list[Violation] = []
    for rule in rules:
        if rule.everything():
            everything = rule.allow
            allowed, problems = [], []
        elif rule.allow and not everything:
            if rule.major is None and rule.minor is not None:
                problems.append(_unsayable(rule))
            allowed.append(rule)
        elif not rule.allow and (everything or any(_meet(rule, other) for other in allowed)):
            problems.append(_unsayable(rule))
    policy = "auto" if everything else "strict"
    entries = dict.fromkeys(entry for rule in allowed for entry in _entries(rule))
    listed = f"@a(ss) [{', '.join(entries)}]"
    return [
        Op("systemd_property", ("DevicePolicy", quoted(policy)), _WHERE),
        Op("systemd_property", ("DeviceAllow", listed), _WHERE),
    ], problems


def _entries(rule: Rule) -> list[str]:
    """systemd.resource-control(5) "DeviceAllow": a node need not exist, its number is read from the path."""
    found = []
    for kind in "bc" if rule.kind == "a" else rule.kind:
        word = _KINDS[kind]
        if rule.major is None:
            device = f"{word}-*"
        elif rule.minor is None:
            device = f"{word}-{rule.major}"
        else:
            device = f"/dev/{word}/{rule.major}:{rule.minor}"
        found.append(f"({quoted(device)}, {quoted(rule.access)})")
    return found


def _meet(one: Rule, other: Rule) -> bool:
    """Whether there is an access to a device that both are about."""
    return (
        ("a" in (one.kind, other.kind) or one.kind == other.kind)
        and (None in (one.major, other.major) or one.major == other.major)
        and (None in (one.minor, other.minor) or one.minor == other.minor)
        and bool(set(one.access) & set(other.access))
    )


def _unsayable(rule: Rule) -> Violation:
    reason = "systemd on cgroup v1 takes only a list of what is allowed, by number or by major number"
    return Violation(f"linux.resources.{rule.where}", f"{reason}; use the cgroup manager cgroupfs")
