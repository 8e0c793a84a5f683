"""Removes the cgroups of tests that were killed, which nobody else does: a hierarchy outlives every namespace."""

from __future__ import annotations

import subprocess
from typing import Self

# It is told when the tests end by themselves; the end of its input alone means that they were killed.  What was in the
# cgroups is about to end then, too.
_SWEEP = """\
read -r _ && exit
tries=600
while [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$0")" ] && [ $tries -gt 0 ]; do
    find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup/*/$0*" -exec rmdir {} + 2>/dev/null
    tries=$((tries - 1))
    sleep 0.1
done
"""


class Sweeper:
    """``cgroup`` is ``/NAME``, in every hierarchy; use as a context manager."""

    def __init__(self, cgroup: str) -> None:
        # A session of its own: what ends the tests' process group is not to end it.
        self._process = subprocess.Popen(
            ["sh", "-c", _SWEEP, cgroup.lstrip("/")], stdin=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(b"end\n", timeout=60)
