"""What is not the same with pyrunc as with the other runtimes, and why.

(file or property, runtimes, managers, after which command) -> (their value, ours, the reason); the manager ``user`` is
the systemd of an ordinary user.
"""

from __future__ import annotations

Row = tuple[str, str, str]
Table = dict[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], Row]

OTHERS = ("runc", "crun")
ALL = ("systemd", "cgroupfs", "user")
SYSTEMD = ("systemd", "user")
BOTH = ("run", "update")
CURVE = "the curve of runc 1.4, on which the default of shares is the default of weights"

FILES: Table = {
    ("cpu.weight", OTHERS, ALL, ("run",)): ("20", "59", CURVE),
    ("cpu.weight", OTHERS, ALL, ("update",)): ("79", "174", CURVE),
    ("io.weight", OTHERS, ("systemd",), BOTH): (
        "default 100", "default 1200", "systemd writes here the IOWeight of which it makes 200 for BFQ",
    ),
    ("io.bfq.weight", ("runc",), ("systemd",), ("update",)): (
        "default 100",
        "default 200",
        "runc tells systemd of no weight: it writes its default at any change; crun has a cgroup below it",
    ),
}  # fmt: skip

PROPERTIES: Table = {
    ("CPUWeight", ("runc",), SYSTEMD, ("run",)): ("20", "59", CURVE),
    ("CPUWeight", ("runc",), SYSTEMD, ("update",)): ("79", "174", CURVE),
    ("IOWeight", ("runc",), ("systemd",), BOTH): (
        "[not set]",
        "1200",
        "runc writes the file and does not tell systemd",
    ),
    ("MemorySwapMax", ("runc",), SYSTEMD, ("update",)): (
        "33554432",
        "0",
        "runc tells systemd of no swap that is 0: the next reload undoes it (opencontainers/cgroups issue 74)",
    ),
}
