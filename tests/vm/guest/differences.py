"""What is not the same with pyrunc as with the other runtimes, and why.

(file or property, runtimes, managers, after which command) -> (their value, ours, the reason)
"""

from __future__ import annotations

Row = tuple[str, str, str]
Table = dict[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], Row]

ALL = ("systemd", "cgroupfs")
BOTH = ("run", "update")

FILES: Table = {
    ("cpu.weight", ("runc", "crun"), ALL, ("run",)): (
        "20", "59", "the curve of runc 1.4: the default of shares is the default of weights",
    ),
}  # fmt: skip

PROPERTIES: Table = {
    ("CPUWeight", ("runc",), ("systemd",), ("run",)): ("20", "59", "as cpu.weight"),
    ("IOWeight", ("runc",), ("systemd",), BOTH): ("[not set]", "1920", "runc writes the file only"),
}
