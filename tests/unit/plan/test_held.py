"""The plan of a sandbox: what its first process takes on, and what is left to each program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.plan import held
from pyrunc.plan.create import create
from tests.support.config import default_config
from tests.unit.plan import hosts

if TYPE_CHECKING:
    from pyrunc.spec.types import Process


def spec(**edits: Any) -> Any:
    config = default_config()
    config["root"]["path"] = "/rootfs"
    config["process"].update(edits)
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    return config


def names(config: Any) -> list[str]:
    return [op.name for op in create(config, hosts.root_v2(), hosts.request(hold=True)).ops]


def test_the_first_process_holds_in_place_of_a_program() -> None:
    found = names(spec())
    assert found[-3:] == ["seccomp", "dumpable", "hold"]
    assert not {"ready", "wait_start", "find_executable", "execve"} & set(found)
    assert "exec.fifo" not in str(create(spec(), hosts.root_v2(), hosts.request(hold=True)).ops)


def test_it_cannot_be_traced_whoever_it_is() -> None:
    """A change of the user makes a process dumpable again: this comes behind it."""
    found = names(spec())
    assert found.index("ids") < len(found) - 1 - found[::-1].index("dumpable")


def test_it_has_none_of_the_limits_that_would_end_it() -> None:
    limits = [
        {"type": "RLIMIT_CPU", "soft": 1, "hard": 1},
        {"type": "RLIMIT_AS", "soft": 4096, "hard": 4096},
        {"type": "RLIMIT_NOFILE", "soft": 8, "hard": 1000},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
    ]
    config = spec(rlimits=limits)
    ops = create(config, hosts.root_v2(), hosts.request(hold=True)).ops
    assert [op.args for op in ops if op.name == "rlimit"] == [(4, 0, -1)]
    assert [op.args for op in ops if op.name == "descriptors"] == [(1000,)]
    program = held.program(config["process"])
    assert [op.args for op in program if op.name == "rlimit"] == [
        (0, 1, 1), (9, 4096, 4096), (7, 8, 1000), (4, 0, -1),
    ]  # fmt: skip


def test_a_program_changes_its_directory_and_runs() -> None:
    process: Process = {"args": ["a", "b"], "cwd": "/work", "env": ["PATH=/x:/y", "A=1"]}
    assert [(op.name, op.args) for op in held.program(process)] == [
        ("setsid", ()),
        ("chdir", ("/work", 0)),
        ("find_executable", ("a", ("/x", "/y"))),
        ("execve", (("a", "b"), ("PATH=/x:/y", "A=1"))),
    ]


def test_a_null_device_of_the_host_is_replaced() -> None:
    process: Process = {"args": ["a"], "cwd": "/", "user": {"uid": 7}}
    assert [op.name for op in held.program(process, null=True)][:2] == ["setsid", "stdio_owner"]


@pytest.mark.parametrize(
    ("edit", "path"),
    [({"terminal": True}, "process.terminal"), ({}, "linux.namespaces")],
)
def test_what_a_sandbox_cannot_be_is_refused(edit: dict[str, Any], path: str) -> None:
    config = spec(**edit)
    if not edit:
        config["linux"]["namespaces"] = [ns for ns in config["linux"]["namespaces"] if ns["type"] != "pid"]
    with pytest.raises(SpecError) as error:
        create(config, hosts.root_v2(), hosts.request(hold=True))
    assert path in [violation.path for violation in error.value.violations]
