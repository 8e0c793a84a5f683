"""Fixtures of the tests of mount points: a directory of the host, and two containers of one bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that containers mount."""
    path = tmp_path / "host"
    path.mkdir()
    (path / "file").write_text("of the host\n")
    return path


@pytest.fixture
def beside(new_box: Callable[..., Box], box: Box) -> Box:
    """Another container of the same bundle as ``box``."""
    other = new_box()
    other.bundle = box.bundle
    return other
