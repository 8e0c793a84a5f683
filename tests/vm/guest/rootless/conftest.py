"""Fixtures of the guest's tests that run as an ordinary user with a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
