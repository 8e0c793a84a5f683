"""The runtime's own program cannot be reached from a container (CVE-2019-5736)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

REPOSITORY = Path(__file__).parents[3]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def programs_unchanged(pyrunc: Path) -> Iterator[None]:
    """The launcher, the interpreter, its library and pyrunc-init are the same files with the same content."""
    base = Path(os.path.realpath(sys.executable))
    files = [pyrunc, base, *REPOSITORY.glob("pyrunc/native/pyrunc-init"), *base.parent.glob("../lib/libpython3*.so*")]
    before = {path: (digest(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
    yield
    assert {path: (digest(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files} == before


@pytest.mark.usefixtures("programs_unchanged")
@pytest.mark.parametrize("script", [None, "#!/proc/self/exe\n"])
def test_the_container_runs_its_own_executable(box: Box, canary: Canary, script: str | None) -> None:
    if script is None:
        box.bundle.args("/proc/self/exe")
    else:
        (box.bundle.rootfs / "script").write_text(script)
        (box.bundle.rootfs / "script").chmod(0o755)
        box.bundle.args("/script")
    result = box.run(status=None)
    assert result.status != 0
    box.nothing_left()


@pytest.mark.usefixtures("programs_unchanged")
def test_a_container_that_writes_to_every_executable_it_sees(new_box: Callable[..., Box]) -> None:
    script = (
        "while :; do for exe in /proc/[0-9]*/exe; do"
        ' case "$(readlink $exe)" in /bin/busybox) ;; *) echo overwritten >>$exe && echo WROTE $(readlink $exe);; esac;'
        " done; done 2>/dev/null"
    )
    box = new_box("/bin/sh", "-c", script)
    box.bundle.edit(process__capabilities={"bounding": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"],
                                           "permitted": ["CAP_SYS_PTRACE"]})  # fmt: skip
    box.started()
    for _ in range(10):
        box.exec("ID", "/bin/true")
    box.delete("--force")
    assert "WROTE" not in box.output()


def test_what_stands_behind_the_created_process_is_sealed(box: Box) -> None:
    box.create()
    pid = box.state()["pid"]
    exe = os.readlink(f"/proc/{pid}/exe")
    assert "memfd:" in exe
    assert "deleted" in exe
    with open(f"/proc/{pid}/exe", "rb") as file:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    wanted = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    assert seals & wanted == wanted
