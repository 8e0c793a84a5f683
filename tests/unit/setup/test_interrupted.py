"""A run of ``pyrunc setup`` that is interrupted anywhere has done all or nothing, and leaves nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.setup.conftest import FILES, System

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS = ("chmod", "fchmod", "fsync", "mkdir", "replace", "unlink")
RECORD = "etc/docker/daemon.json.before-pyrunc"


class Interrupter:
    """Raises KeyboardInterrupt before or behind the call of that number; counts them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0.0
        self.calls = 0
        for name in CALLS:
            monkeypatch.setattr(f"os.{name}", self.wrapped(getattr(os, name)))

    def wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def interrupted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.at == self.calls:
                raise KeyboardInterrupt
            result = call(*arguments, **named)
            if self.at == self.calls + 0.5:
                raise KeyboardInterrupt
            return result

        return interrupted


@pytest.mark.parametrize("options", [(), ("--default",), ("--remove",)], ids=["again", "default", "remove"])
@pytest.mark.parametrize("before", [False, True], ids=["fresh", "configured"])
@pytest.mark.parametrize("engine", FILES)
def test_all_or_nothing(
    system: System, engine: str, before: bool, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is what was there before, or what a whole run leaves; another run makes the latter of it."""
    if before:
        system.done(engine, "--runtime", "/usr/bin/pyrunc")
    start, directories = system.files(), {path for path in system.path.rglob("*") if path.is_dir()}
    with monkeypatch.context() as patch:
        interrupter = Interrupter(patch)
        system.done(engine, *options)
    end = system.files()
    for number in range(2, 2 * interrupter.calls + 2):
        restore(system, start, directories)
        with monkeypatch.context() as patch:
            Interrupter(patch).at = number / 2
            status, _, err = system.setup(engine, *options)
        assert (status, err) == (130, "pyrunc: interrupted\n")
        left = system.files()
        # the record may be there before what it is about, and stay behind it
        whole = [{key: text for key, text in one.items() if key != RECORD} for one in (left, start, end)]
        assert whole[0] in whole[1:], f"interrupted at {number / 2}"
        system.done(engine, *options)
        assert system.files() == end


def restore(system: System, files: dict[str, bytes], directories: set[Path]) -> None:
    for path in sorted(system.path.rglob("*"), reverse=True):
        if path.is_dir() and path not in directories:
            path.rmdir()
        elif path.is_file() and files.get(str(path.relative_to(system.path))) != path.read_bytes():
            path.unlink()
    for name, data in files.items():
        if not (system.path / name).exists():
            (system.path / name).write_bytes(data)
