"""The table of mounts of a process, whatever names other tests give theirs (proc_pid_mountinfo(5))."""

from __future__ import annotations

from pathlib import Path


def lines(process: str | int = "self") -> list[str]:
    """Fields end with a space each, lines with a newline: any other byte may be in a name, in UTF-8 or not."""
    return Path(f"/proc/{process}/mountinfo").read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]
