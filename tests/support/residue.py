"""What a run of the tests must not leave behind: mounts, cgroups, processes, state directories, users'
sockets; and descriptors of the process that runs them.

A snapshot is taken before the first test and after the last one.  A run owns what carries its token (every
container id of the ``ids`` fixture does, every path below its temporary directory does).  Where the machine
is the run's alone (PYRUNC_REQUIRE=all, as in CI) every new mount and state directory is residue, and every
new process and cgroup that bears the name of a container program.
"""

from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

from tests.support import mount_table
from tests.support.requirements import cgroup_mounts

#: Environment variable with the token of this run; every worker and every program it starts inherits it.
TOKEN = "PYRUNC_TEST_TOKEN"

NAMES = ("pyrunc", "runc", "crun", "conmon", "libpod", "netavark", "aardvark", "buildah")

#: What pyrunc keeps in its root for the containers to come: a lock, and compiled filters.
KEPT = (".mounting", ".seccomp")
STATE_DIRECTORIES = ("/run/pyrunc", "/run/runc", "/run/crun", f"/run/user/{os.getuid()}/pyrunc")


def snapshot() -> dict[str, str]:
    """Everything that could be left behind: a key that identifies it -> a line that describes it."""
    return {**_mounts(), **_cgroups(), **_processes(), **_states()}


def left_behind(before: dict[str, str], after: dict[str, str], marks: tuple[str, ...], strict: bool) -> list[str]:
    """Descriptions of what is only in ``after`` and carries one of ``marks``; ``strict`` as told above."""
    found = []
    for key, line in sorted(after.items()):
        if key in before:
            continue
        everything = strict and line.startswith(("mount:", "state:"))
        if everything or any(mark in line for mark in (*marks, *(NAMES if strict else ()))):
            found.append(line)
    return found


def descriptors() -> dict[int, str]:
    """What this process has open, once the objects that nobody has any more are gone."""
    gc.collect()
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the directory itself
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _mounts() -> dict[str, str]:
    found = {}
    for line in mount_table.lines():
        fields = line.split(" ")
        if fields[4].startswith("/proc/sys/fs/binfmt_misc"):
            continue  # mounted by systemd's automount when somebody looks
        if fields[4] == "/run/netns":
            continue  # where podman and ip keep network namespaces; each of those is a mount below
        found[f"mount {fields[0]} {fields[4]}"] = f"mount: {line}"
    return found


DEPTH = 12


def cgroup_directories() -> list[str]:
    """All cgroups of all hierarchies, but no deeper than any container nests them."""
    found: list[str] = []
    level = sorted(set(cgroup_mounts().values()))
    for _ in range(DEPTH):
        found += level
        level = [below for folder in level for below in _directories(folder)]
    return found


def _cgroups() -> dict[str, str]:
    return {f"cgroup {folder}": f"cgroup: {folder}" for folder in cgroup_directories()}


def _directories(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []  # its container has gone


def _processes() -> dict[str, str]:
    found = {}
    mine = ancestors()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        described = _process(Path(entry.path))
        if described:
            found["process " + described.split("\n")[0]] = "process: " + described.replace("\n", " ")
    return found


def _process(folder: Path) -> str:
    """``pid starttime`` on the first line, then command line and what ties the process to a run; "" if it is
    gone."""
    try:
        stat = (folder / "stat").read_text()
        fields = stat.rpartition(")")[2].split()
        if fields[0] == "Z" and fields[1] == "1":
            return ""  # init has not got round to it
        cmdline = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        if not cmdline and fields[6] != "0" and fields[1] == "2":
            return ""  # a kernel thread
        where = " ".join(_link(folder / name) for name in ("exe", "root", "cwd"))
        cgroup = (folder / "cgroup").read_text().replace("\n", " ")
        environ = (folder / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
    token = next((item.decode() for item in environ if item.startswith(TOKEN.encode() + b"=")), "")
    return f"{folder.name} {fields[19]}\n{stat.split()[1]} {cmdline} {where} {cgroup} {token}"


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return "?"


def ancestors() -> set[int]:
    """This process and those above it: they belong to whoever started the tests."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return found


def _states() -> dict[str, str]:
    found = {}
    for folder in STATE_DIRECTORIES:
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, PermissionError):
            continue
        for name in set(names).difference(KEPT):
            found[f"state {folder}/{name}"] = f"state: {folder}/{name}"
    return found
