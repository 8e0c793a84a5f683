"""The native programs, built once per test session: ordinary, for tests, and with sanitizers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

NATIVE = Path(__file__).parents[2] / "pyrunc" / "native"


def load(name: str) -> ModuleType:
    """build.py and generate.py are no modules of the package: they run before it is built."""
    spec = importlib.util.spec_from_file_location(f"native_{name}", NATIVE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    return load("build")


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    return load("generate")


@pytest.fixture(scope="session")
def ordinary(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = builder.build(tmp_path_factory.mktemp("ordinary"))
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="session")
def testing(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the arguments stop=, fail= and decode."""
    path = builder.build(tmp_path_factory.mktemp("testing"), test=True)
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="session")
def sanitized(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like ``testing``, with a libc, ASan and UBSan."""
    path = builder.build(tmp_path_factory.mktemp("sanitized"), test=True, sanitize=True)
    assert isinstance(path, Path)
    return path


@pytest.fixture(params=["testing", "sanitized"])
def init(request: pytest.FixtureRequest) -> Path:
    """Both builds in turn: what the one does wrong by accident, the other reports."""
    path = request.getfixturevalue(request.param)
    assert isinstance(path, Path)
    return path
