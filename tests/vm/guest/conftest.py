"""Fixtures of the guest's tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import wait_for_exit
from tests.root.conftest import box, new_box, runtime, sleeper

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["box", "new_box", "runtime", "sleeper"]


@pytest.fixture(scope="session", autouse=True)
def pause_process() -> Iterator[None]:
    """An ordinary user's podman keeps a process that holds its namespaces: it goes with the tests that have made it."""
    if os.geteuid() == 0 or "XDG_RUNTIME_DIR" not in os.environ:
        yield
        return
    path = Path(os.environ["XDG_RUNTIME_DIR"], "libpod/tmp/pause.pid")
    before = path.exists()
    yield
    if not before and path.exists():
        pid = int(path.read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for_exit(pid)
        path.unlink()
