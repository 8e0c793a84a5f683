"""Fixtures of the tests that need root: a container under test, and proof that nothing changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle

    NewBox = Callable[..., Box]

FOREVER = ("/bin/sleep", "100000")


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> Path:
    """The runtime under test; PYRUNC_TEST_RUNTIME names another one (with runc the tests prove themselves)."""
    other = os.environ.get("PYRUNC_TEST_RUNTIME")
    return Path(other) if other else Path(request.getfixturevalue("pyrunc"))


@pytest.fixture
def new_box(runtime: Path, root: Path, tmp_path: Path, ids: Callable[[], str], bundle: Callable[..., Bundle]) -> NewBox:
    """A factory of containers with a fresh bundle and id: ``new_box("/bin/sleep", "9")``."""

    def make(*args: str, runtime: Path = runtime) -> Box:
        return Box(runtime, root, ids(), bundle().args(*(args or ("/bin/probe",))), tmp_path)

    return make


@pytest.fixture
def box(new_box: NewBox) -> Box:
    """One container, not created yet, whose program is the probe."""
    return new_box()


@pytest.fixture
def sleeper(new_box: NewBox) -> Box:
    """A running container that sleeps."""
    return new_box(*FOREVER).started()
