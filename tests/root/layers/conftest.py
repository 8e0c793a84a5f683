"""Fixtures of the tests of layers: a lower tree, a copy of it, and the state of a container that has layers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.root.layered import Layered
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """d with a subtree, e with a file of two names, and a file and a symlink above them."""
    root = tmp_path / "lower"
    for path in ("d/sub/deep", "e"):
        (root / path).mkdir(parents=True)
    for path in ("file", "d/one", "d/two", "d/sub/three", "e/first"):
        (root / path).write_text(f"{path}\n" * 100)
        os.utime(root / path, ns=(10**18, 10**18 + 7))
    os.link(root / "e/first", root / "e/second")
    (root / "link").symlink_to("file")
    return root


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Layered]:
    with Layered(tmp_path) as made:
        yield made


@pytest.fixture
def target(tmp_path: Path, lower: Path) -> Path:
    """A copy of the lower tree, for changes to be applied to."""
    trees.copy(str(lower), str(tmp_path / "target"))
    return tmp_path / "target"
