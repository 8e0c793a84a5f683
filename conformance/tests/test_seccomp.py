"""config-linux#seccomp: defaults, rules and their arguments, architectures and flags."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, needs, optional
from conformance.support.seccomp import DENIED, I386_GETPRIORITY, call, policy, rule

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker

pytestmark = [needs("seccomp", "known-calls"), optional("linux.seccomp.enabled")]


def denied(box: Container, seccomp: dict[str, Any], *calls: tuple[str, str]) -> list[int]:
    """The error that each of the calls ends with, 0 for none."""
    box.config["linux"]["seccomp"] = seccomp
    seen = box.report(*("=".join(each) for each in calls))
    assert seen["seccomp"] == 2, "there is no filter"
    return [seen.errno(*each) for each in calls]


@decides("config-linux.seccomp.default-action", "config-linux.seccomp.default-errno-ret-default")
@decides("config-linux.seccomp.action-allow")
def test_the_default_action_is_for_what_no_rule_names(container: Maker) -> None:
    seccomp = policy("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", "getpgid"))
    assert denied(container(), seccomp, call("getpriority"), call("getpgid", 0)) == [errno.EPERM, 0]


@decides("config-linux.seccomp.default-errno-ret", "config-linux.seccomp.errno-ret-default")
def test_default_errno_ret_is_of_the_default_and_not_of_rules(container: Maker) -> None:
    seccomp = policy("SCMP_ACT_ERRNO", {"names": ["getpgid"], "action": "SCMP_ACT_ALLOW"}, defaultErrnoRet=DENIED)
    assert denied(container(), seccomp, call("getpriority")) == [DENIED]
    seccomp = policy("SCMP_ACT_ALLOW", {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"})
    assert denied(container(), seccomp, call("getpgid", 0)) == [errno.EPERM]


@decides("config-linux.seccomp.names", "config-linux.seccomp.errno-ret")
def test_each_name_of_a_rule_and_each_errno_ret_counts(container: Maker) -> None:
    both = policy("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "getpriority", "getpgid"))
    assert denied(container(), both, call("getpriority"), call("getpgid", 0)) == [DENIED, DENIED]
    two = policy("SCMP_ACT_ALLOW", rule(errnoRet=5), rule("SCMP_ACT_ERRNO", "getpgid", errnoRet=6))
    assert denied(container(), two, call("getpriority"), call("getpgid", 0)) == [5, 6]


@decides("config-linux.seccomp.syscalls-optional")
def test_syscalls_may_be_left_out(container: Maker) -> None:
    box = container()
    box.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    assert box.run("exit", "0") in (0, None)


#: Operator -> which of 99, 100 and 101 match 100.
OPERATORS = {
    "NE": (True, False, True),
    "LT": (True, False, False),
    "LE": (True, True, False),
    "EQ": (False, True, False),
    "GE": (False, True, True),
    "GT": (False, False, True),
}


@pytest.mark.parametrize(
    "operator",
    [pytest.param(name, marks=decides(f"config-linux.seccomp.op-{name.lower()}")) for name in OPERATORS],
)
def test_an_operator_compares_an_argument(container: Maker, operator: str) -> None:
    seccomp = policy("SCMP_ACT_ALLOW", rule(args=[{"index": 1, "value": 100, "op": f"SCMP_CMP_{operator}"}]))
    calls = [call("getpriority", 0, value) for value in (99, 100, 101)]
    assert tuple(number == DENIED for number in denied(container(), seccomp, *calls)) == OPERATORS[operator]


@decides("config-linux.seccomp.op-masked-eq", "config-linux.seccomp.args-value-two")
def test_masked_eq_compares_under_a_mask(container: Maker) -> None:
    args = [{"index": 0, "value": 0xF0, "valueTwo": 0x50, "op": "SCMP_CMP_MASKED_EQ"}]
    calls = [call("getpriority", value) for value in (0x50, 0xF5F, 0x60, 0xF0)]
    found = denied(container(), policy("SCMP_ACT_ALLOW", rule(args=args)), *calls)
    assert [number == DENIED for number in found] == [True, True, False, False]


@decides("config-linux.seccomp.args-index")
@pytest.mark.parametrize("index", range(6))
def test_index_is_the_argument_that_is_compared(container: Maker, index: int) -> None:
    calls = [call("getpriority", *(0x77 if at == place else 0 for at in range(6))) for place in range(6)]
    found = denied(
        container(),
        policy("SCMP_ACT_ALLOW", rule(args=[{"index": index, "value": 0x77, "op": "SCMP_CMP_EQ"}])),
        *calls,
    )
    assert [number == DENIED for number in found] == [place == index for place in range(6)]


@decides("config-linux.seccomp.args-value-64-bit")
def test_a_value_has_64_bits(container: Maker) -> None:
    value = 0xFEDCBA9876543210
    calls = [call("getpriority", number) for number in (value, value & 0xFFFFFFFF, value & ~0xFFFFFFFF)]
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]
    found = denied(container(), policy("SCMP_ACT_ALLOW", rule(args=args)), *calls)
    assert [number == DENIED for number in found] == [True, False, False]


@decides("config-linux.seccomp.architectures")
@needs("i386")
def test_rules_are_for_each_architecture(container: Maker) -> None:
    seccomp = policy("SCMP_ACT_ALLOW", rule(), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    calls = [call(), ("syscall-i386", str(I386_GETPRIORITY))]
    assert denied(container(), seccomp, *calls) == [DENIED, DENIED]


@decides("config-linux.seccomp.architectures-unlisted")
@needs("i386")
def test_calls_of_an_architecture_that_is_not_listed_do_not_escape(container: Maker) -> None:
    box = container()
    box.config["linux"]["seccomp"] = policy("SCMP_ACT_ALLOW", rule(), architectures=["SCMP_ARCH_X86_64"])
    found = box.report(f"syscall-i386={I386_GETPRIORITY}").answer("syscall-i386", str(I386_GETPRIORITY))
    assert "signal" in found or found["errno"] != 0, found


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param(
            flag,
            marks=[
                decides(f"config-linux.seccomp.flag-{flag.lower().replace('_', '-')}"),
                optional("linux.seccomp.supportedFlags", f"SECCOMP_FILTER_FLAG_{flag}"),
            ],
        )
        for flag in ("TSYNC", "LOG", "SPEC_ALLOW")
    ],
)
def test_a_flag_is_recognized(container: Maker, flag: str) -> None:
    seccomp = policy("SCMP_ACT_ALLOW", rule(), flags=[f"SECCOMP_FILTER_FLAG_{flag}"])
    assert denied(container(), seccomp, call()) == [DENIED]


def argument(**without: Any) -> dict[str, Any]:
    whole = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ", **without}
    return policy("SCMP_ACT_ALLOW", rule(args=[{key: value for key, value in whole.items() if value is not None}]))


ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
#: Claim -> policies that are refused for it.
BAD: dict[str, list[dict[str, Any]]] = {
    "default-action-required": [{"syscalls": [rule()]}],
    "default-errno-ret-refused": [policy(default, defaultErrnoRet=5) for default in (ALLOW, "SCMP_ACT_KILL")],
    "architectures-unknown": [policy(ALLOW, rule(), architectures=["SCMP_ARCH_NOTHING"])],
    "flags-unknown": [policy(ALLOW, rule(), flags=["SECCOMP_FILTER_FLAG_NOTHING"])],
    "names-required": [policy(ALLOW, {"action": ERRNO})],
    "names-empty": [policy(ALLOW, {"names": [], "action": ERRNO})],
    "action-required": [policy(ALLOW, {"names": ["getpriority"]})],
    "action-unknown": [{"defaultAction": "SCMP_ACT_NOTHING"}, policy(ALLOW, rule("SCMP_ACT_NOTHING"))],
    "errno-ret-refused": [policy(ERRNO, rule(ALLOW, errnoRet=5)), policy(ALLOW, rule("SCMP_ACT_KILL", errnoRet=5))],
    "args-index-required": [argument(index=None)],
    "args-value-required": [argument(value=None)],
    "args-op-required": [argument(op=None)],
    "args-op-unknown": [argument(op="SCMP_CMP_NOTHING")],
}


@pytest.mark.parametrize(
    "seccomp",
    [
        pytest.param(seccomp, id=f"{claim}-{number}", marks=decides(f"config-linux.seccomp.{claim}"))
        for claim, policies in BAD.items()
        for number, seccomp in enumerate(policies)
    ],
)
def test_a_filter_that_cannot_be_is_refused(container: Maker, seccomp: dict[str, Any]) -> None:
    box = container()
    box.config["linux"]["seccomp"] = seccomp
    refused(box)


def refused(box: Container) -> None:
    """By create, or by start because it concerns the process."""
    if box.create(expect="any").status == 0:
        box.start(expect="error")
