"""The wheel, built once for the tests of a worker."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.command import run

SOURCE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files alone: a build must not need, or take, what an editable install left in the tree."""
    target = tmp_path_factory.mktemp("checkout")
    listed = run("git", "-C", SOURCE, "ls-files", "-z").stdout
    for name in filter(None, listed.split("\0")):
        if (SOURCE / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, target / name)
    return target


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, checkout, timeout=180)
    (made,) = folder.glob("*.whl")
    return made
