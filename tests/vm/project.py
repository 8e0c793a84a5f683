"""The project's disk: the checkout as it is now, built and installed with the guest's own Python and compiler."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

from tests.vm import cache
from tests.vm.debian import PROJECT, REPOSITORY, debian, make_disk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Modules that tests import are compiled here, with pytest's own rewriting, and the programs of containers are built.
BUILD = f"""
cd {PROJECT}
. .venv/bin/activate
pip --quiet install --no-index --no-deps --no-build-isolation --editable .
python -m compileall -q tests
python -c 'from tests.support import programs; programs.static("probe"); programs.static("idmap_probe")'
pytest -q --collect-only tests/vm/guest tests/root tests/rootless >/dev/null
"""


def files() -> list[str]:
    """What git tracks and what it would track, without what is ignored; paths below the repository."""
    words = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True)
    names = sorted(set(listed.stdout.split("\0")) - {""})
    return [name for name in names if (REPOSITORY / name).is_file()]


def commit() -> str:
    """What `pyrunc --version` says there, where git's own folder is not."""
    words = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def disk(release: str) -> Path:
    """The file with the project's disk; made anew where a file of the project or the guest's Debian has changed."""
    parts: list[bytes | str] = [debian(release).name, BUILD, commit()]
    names = files()
    for name in names:
        parts += [name, (REPOSITORY / name).read_bytes()]

    def make(folder: Path) -> None:
        copied = folder / "files"
        for name in names:
            target = copied / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target)
        (copied / "pyrunc" / "COMMIT").write_text(commit())
        make_disk(release, folder / "disk", copied, BUILD, where=PROJECT, size="1G", log=folder / "log")
        shutil.rmtree(copied)

    return cache.obtain(f"project-{release}", cache.key(*parts), make) / "disk"


#: What a build leaves in the checkout and what does not depend on where that is, or on the version of Python.
BUILT = ("pyrunc/native/pyrunc-init", "pyrunc/spec/_compiled.py")
#: What a machine that runs cannot be brought without a build of its own.
FIXED = ("pyrunc/native/launcher.c", "requirements-dev.txt", "pyproject.toml")


def contents() -> dict[str, str]:
    """The name of each file's content, of the project and of what is built in the checkout."""
    return {name: cache.key((REPOSITORY / name).read_bytes()) for name in (*files(), *BUILT)}


def packed(names: Iterable[str]) -> bytes:
    """A tar with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name in names:
            tar.add(REPOSITORY / name, name)
    return out.getvalue()
