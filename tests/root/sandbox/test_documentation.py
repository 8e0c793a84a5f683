"""The programs and commands that the documents show run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")

CHECKOUT = Path(__file__).parents[3]
DOCUMENT = (CHECKOUT / "docs/sandbox.md").read_text()
README = (CHECKOUT / "README.md").read_text()


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PROGRAMS = [block for text in (DOCUMENT, README) for block in blocks(text, "python") if "Sandbox" in block]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documents_runs(program: str, tmp_path: Path) -> None:
    where = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    argv = [sys.executable, "-W", "ignore::ResourceWarning", "-c", program]
    done = subprocess.run(argv, cwd=tmp_path, env=where, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_was_found() -> None:
    assert len(PROGRAMS) == 4


def test_a_command_of_the_document_prints_what_it_says(pyrunc: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    (tmp_path / "in.csv").chmod(0o644)
    (command, said), *more = [block.removeprefix("$ ").split("\n", 1) for block in blocks(DOCUMENT, "console")]
    assert not more
    where = {**os.environ, "PATH": f"{pyrunc.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=where, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
