"""What tests of verbs share: verbs that are not run."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.runtime import commit, create, run
from pyrunc.runtime import exec as exec_verb


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the last call of a verb that is not to be run."""
    seen: dict[str, Any] = {}

    def record(*positional: object, **named: object) -> int:
        seen.update(named, positional=positional)
        return 7

    monkeypatch.setattr(create, "create", record)
    monkeypatch.setattr(run, "run", record)
    monkeypatch.setattr(commit, "commit", record)
    monkeypatch.setattr(exec_verb, "exec_", record)
    return seen
