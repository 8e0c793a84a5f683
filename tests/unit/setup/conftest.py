"""A system below a directory, whose engines are configured through the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.cli import lean

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {
    "podman": "etc/containers/containers.conf.d/50-pyrunc.conf",
    "containerd": "etc/containerd/config.toml",
    "docker": "etc/docker/daemon.json",
    "crio": "etc/crio/crio.conf.d/50-pyrunc.conf",
}


class System:
    """``path`` of the directory; ``setup`` runs the command and returns (status, stdout, stderr)."""

    def __init__(self, path: Path, output: Callable[[], tuple[str, str]]) -> None:
        self.path = path
        self.output = output
        program = path / "usr/bin/pyrunc"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)

    def file(self, engine: str) -> Path:
        return self.path / FILES[engine]

    def write(self, engine: str, text: str) -> Path:
        path = self.file(engine)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.path)): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    def setup(self, engine: str, *options: str, runtime: str = "/usr/bin/pyrunc") -> tuple[int, str, str]:
        words = ["setup", engine, "--sysroot", str(self.path), "--runtime", runtime, *options]
        status = lean.main([word for word in words if word])
        return (status, *self.output())

    def done(self, engine: str, *options: str, runtime: str = "/usr/bin/pyrunc") -> str:
        status, out, err = self.setup(engine, *options, runtime=runtime)
        assert (status, err) == (0, "")
        return out

    def refused(self, engine: str, *options: str, runtime: str = "/usr/bin/pyrunc") -> str:
        """The message; nothing has changed."""
        before = self.files()
        status, out, err = self.setup(engine, *options, runtime=runtime)
        assert (status, out) == (1, "")
        assert self.files() == before
        return err


@pytest.fixture
def system(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> System:
    return System(tmp_path / "system", lambda: tuple(capfd.readouterr()))  # type: ignore[arg-type, return-value]


@pytest.fixture(autouse=True)
def _hook() -> object:
    """The command line sets the hook for uncaught exceptions; tests that follow have their own."""
    before = sys.excepthook
    yield
    sys.excepthook = before
