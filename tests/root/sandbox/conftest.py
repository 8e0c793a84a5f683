"""The sandbox that most of these tests need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes


@pytest.fixture
def box(sandboxes: Sandboxes) -> Sandbox:
    return sandboxes(workspace="/work", pids=100, timeout=60)
