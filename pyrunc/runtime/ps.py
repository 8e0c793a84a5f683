"""``ps``: the processes of a container, as the host sees them."""

from __future__ import annotations

import os

from pyrunc.errors import HostError
from pyrunc.host import cgroups
from pyrunc.runtime import state as states
from pyrunc.state import machine
from pyrunc.state.store import Record

DIRECTORIES = "/usr/bin:/bin"  # engines call without PATH


def pids(root: str, id: str) -> list[int]:
    """Host pids of the container's processes, ascending; none of a stopped container."""
    record = Record(root, id)
    state = record.load()
    status = states.status(record, state)
    machine.require("ps", status, id)
    if status == machine.STOPPED:
        return []
    if not state["cgroups"]:
        raise HostError(
            "its processes cannot be told from others",
            where=id,
            hint="it has no cgroup of its own",
        )
    return cgroups.procs(state["cgroups"])


def table(root: str, id: str, options: list[str]) -> str:
    """What ``ps OPTIONS`` (default: ``-ef``) prints, reduced to the header and the container's processes."""
    wanted = {str(pid) for pid in pids(root, id)}
    header, *lines = _ps(options or ["-ef"]).splitlines() or [""]
    columns = header.split()
    if "PID" not in columns:
        raise HostError("couldn't find PID field in ps output")
    column = columns.index("PID")
    kept = [header]
    for line in lines:
        fields = line.split()
        if len(fields) > column and fields[column] in wanted:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def _ps(options: list[str]) -> str:
    import shutil
    import subprocess

    program = shutil.which("ps", path=os.environ.get("PATH") or DIRECTORIES) or shutil.which("ps", path=DIRECTORIES)
    if program is None:
        raise HostError("ps: executable file not found in $PATH", hint="on Debian it is in the package procps")
    done = subprocess.run(
        [program, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split()) or "no message"
        raise HostError(f"ps {' '.join(options)}: exit status {done.returncode}: {reason}")
    return done.stdout
