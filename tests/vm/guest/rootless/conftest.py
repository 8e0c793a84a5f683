"""Fixtures of the guest's tests that run as an ordinary user with a session."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session", autouse=True)
def pause_process() -> Iterator[None]:
    """podman keeps a process that holds the user's namespaces: it goes with the tests that have made it."""
    path = Path(os.environ["XDG_RUNTIME_DIR"], "libpod/tmp/pause.pid")
    before = path.exists()
    yield
    if not before and path.exists():
        pid = int(path.read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for_exit(pid)
        path.unlink()


#: The cgroup of a session is not its user's.  That of a scope which the user's systemd delegates is.
_DELEGATED = """\
#!/bin/sh
exec systemd-run --user --scope --quiet --collect --property=Delegate=yes -- /bin/sh -c '
own=/sys/fs/cgroup$(sed s/^0::// /proc/self/cgroup)
mkdir $own/caller && echo $$ >$own/caller/cgroup.procs && exec "$@"' sh {program} "$@"
"""


@pytest.fixture
def delegated(tmp_path: Path) -> Callable[[str | Path], Path]:
    """What runs a program in a cgroup that is this user's, with no processes in the one above: a program, too."""

    def make(program: str | Path) -> Path:
        path = tmp_path / f"delegated-{str(program).rpartition('/')[2]}"
        path.write_text(_DELEGATED.format(program=program))
        path.chmod(0o755)
        return path

    return make
