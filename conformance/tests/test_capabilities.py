"""config#linux-process: capabilities, noNewPrivileges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.marks import decides, needs
from conformance.seen import CAPABILITIES
from conformance.support import caller

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.seen import Seen
    from conformance.workshop import Maker

SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def each_set(*names: str) -> pytest.MarkDecorator:
    """A parameter ``of`` that decides config.linux-process.capabilities-SET."""
    cases = [pytest.param(name, marks=decides(f"config.linux-process.capabilities-{name}")) for name in names]
    return pytest.mark.parametrize("of", cases)


def granted(container: Maker, uid: int, sets: dict[str, list[str]]) -> Seen:
    box = container("report")
    box.config["process"]["user"] = {"uid": uid, "gid": 0}
    box.config["process"]["capabilities"] = sets
    box.run()
    return box.seen()


@each_set(*SETS)
def test_the_sets_of_root(container: Maker, of: str) -> None:
    """The kernel gives root, when it executes, all that is bounding as permitted and effective (capabilities(7))."""
    upper = ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID"]
    sets = dict.fromkeys(("bounding", "effective", "permitted"), upper)
    sets |= {"inheritable": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_KILL"]}
    assert granted(container, 0, sets).capabilities(of) == set(sets[of])


@needs("root")
@each_set(*SETS)
def test_the_sets_of_another_user(container: Maker, of: str) -> None:
    """It keeps what is ambient, and no more."""
    sets = {name: ["CAP_CHOWN", "CAP_KILL"] for name in SETS}
    sets |= {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID"], "ambient": ["CAP_KILL"]}
    wanted = sets | {"effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}
    assert granted(container, 1, sets).capabilities(of) == set(wanted[of])


@each_set(*SETS)
def test_a_set_that_is_empty(container: Maker, of: str) -> None:
    assert granted(container, 0, {name: [] for name in SETS}).capabilities(of) == set()


@decides("config.linux-process.capabilities-unknown", "config.linux-process.capabilities-others")
def test_next_to_an_unknown_capability_the_others_are_granted(container: Maker) -> None:
    seen = granted(container, 0, {name: ["CAP_NOTHING", "CAP_KILL"] for name in SETS})
    assert {name: seen.capabilities(name) for name in SETS} == {name: {"CAP_KILL"} for name in SETS}


@needs("root")
@decides("config.linux-process.capabilities-not-granted", "config.linux-process.capabilities-others")
def test_next_to_a_capability_that_the_runtime_has_not_the_others_are_granted(
    container: Maker, runtime: Runtime
) -> None:
    runtime.prefix = caller.command(without=CAPABILITIES.index("CAP_SYS_TIME"))
    seen = granted(container, 0, {name: ["CAP_SYS_TIME", "CAP_KILL"] for name in SETS})
    assert {name: seen.capabilities(name) for name in SETS} == {name: {"CAP_KILL"} for name in SETS}


@decides("config.linux-process.no-new-privileges")
def test_no_new_privileges(container: Maker) -> None:
    box = container("report")
    box.config["process"]["noNewPrivileges"] = True
    box.run()
    assert box.seen()["noNewPrivileges"] == 1


@decides("config.linux-process.no-new-privileges-false")
@pytest.mark.parametrize("process", [{"noNewPrivileges": False}, {}], ids=["false", "absent"])
def test_new_privileges_as_for_the_caller(container: Maker, process: dict[str, bool]) -> None:
    box = container("report")
    box.config["process"].update(process)
    box.run()
    own = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("NoNewPrivs:")]
    assert own == [f"NoNewPrivs:\t{box.seen()['noNewPrivileges']}"]
