"""Where a daemon of an engine runs in the guest: its mounts and networks are its own, systemd is the machine's."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.callers.enclosure import Enclosure
from tests.vm.guest.engines import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: The daemons of two files at a time do not meet.
_FIRST = """\
ip link set lo up
for folder in /run/containerd /run/docker; do
    mkdir -p $folder
    mount -t tmpfs tmpfs $folder
done
echo ready
exec cat
"""


class Guest(Enclosure):
    """An enclosure that is open to systemd: a runtime needs its bus, and the pids that it knows."""

    def __init__(self) -> None:
        self._outer = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-ec", _FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._outer.stdout is not None
        assert self._outer.stdout.readline() == b"ready\n"
        self.pid = self._outer.pid

    def argv(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--wdns=/", "--", *command]

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = DEADLINE,
    ) -> subprocess.CompletedProcess[bytes]:
        return super().run(command, env=env, stdin=stdin, timeout=timeout)
