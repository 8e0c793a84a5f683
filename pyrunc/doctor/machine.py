"""What all checks look at: the facts that plans are made from, and the few ways to ask for more."""

from __future__ import annotations

import os
import re
import tempfile

from pyrunc.host import child, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.facts import HostFacts

#: Seconds that a program may take to tell its version.
PATIENCE = 10

_SBIN = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Machine:
    """``facts`` as every container's creation has them; ``environment`` of the caller."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.facts: HostFacts = probe.facts()
        self.environment = environment

    @property
    def rootless(self) -> bool:
        """Without root, or as root of a user namespace."""
        return self.facts["uid"] != 0 or not self.facts["initial_userns"]

    @property
    def systemd(self) -> bool:
        """Whether systemd is the first process (sd_booted(3))."""
        return os.path.isdir("/run/systemd/system")

    def program(self, name: str) -> str | None:
        """The path of a program; those of daemons are not on every user's PATH."""
        for directory in (*self.environment.get("PATH", "").split(":"), *_SBIN):
            path = f"{directory}/{name}"
            if directory.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        return None

    def version(self, path: str) -> str | None:
        """The first number with dots that ``PATH --version`` prints, None where it prints none."""
        # podman makes directories below HOME and XDG_RUNTIME_DIR before it tells anything.
        with tempfile.TemporaryDirectory(prefix="pyrunc-doctor-") as place:
            given = [f"{name}={place}" for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR")]
            given.append(f"PATH={self.environment.get('PATH', '')}")
            try:
                ended = child.run(path, (path, "--version"), given, timeout=PATIENCE)
            except OSError:
                return None
        number = re.search(r"\d+\.\d+[^\s,]*", ended.stdout)
        return number[0] if number and not ended.timed_out and ended.code == 0 else None


def read(path: str) -> str | None:
    """The words of a file of the kernel's, None where it is not there or not to be read by this user."""
    try:
        return probe.read(path).strip()
    except OSError:
        return None
