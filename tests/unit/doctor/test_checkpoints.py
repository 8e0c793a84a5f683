"""What ``pyrunc doctor`` says of CRIU, on machines that have it or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc.doctor import checkpoints
from tests.unit.doctor.test_doctor import machine, only

if TYPE_CHECKING:
    from pathlib import Path

ERROR = "echo '(00.1) Error (criu/vdso.c:1): vdso: what' >&2; echo more >&2; exit 1"


@pytest.mark.parametrize(
    ("version", "check", "status", "found"),
    [
        ("Version: 3.17.1", "exit 0", "ok", "is 3.17.1, and criu check passes"),
        ("Version: 4.0", "exit 0", "ok", "is 4.0, and criu check passes"),
        ("Version: 3.9.2", "exit 0", "warning", "is 3.9.2"),
        ("nothing", "exit 0", "warning", "does not tell its version"),
        ("Version: 3.17", ERROR, "warning", "criu check fails: (00.1) Error (criu/vdso.c:1): vdso: what"),
        ("Version: 3.17", "exit 3", "warning", "criu check fails: exit status 3"),
    ],
)
def test_the_one_that_is_there(version: str, check: str, status: str, found: str, tmp_path: Path) -> None:
    program = tmp_path / "criu"
    program.write_text(f"#!/bin/sh\n[ $1 = check ] || {{ echo '{version}'; exit 0; }}\n{check}\n")
    program.chmod(0o755)
    one = only(checkpoints.criu(machine({"PATH": f"{tmp_path}:/usr/bin:/bin"})))
    assert (one.id, one.status) == ("criu", status)
    assert found in one.found
    assert bool(one.do) == (status != "ok")


def test_none_at_all_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrunc.doctor.machine._SBIN", ())
    one = only(checkpoints.criu(machine()))
    assert (one.status, one.found) == ("ok", "not installed")
    assert "install" in one.do


def test_whoever_is_not_root_has_no_use_for_it() -> None:
    assert only(checkpoints.criu(machine(uid=1000))).found == "not used: checkpoints are root's"
