"""What containers without root need from the machine: ids, newuidmap, a runtime directory that stays."""

from __future__ import annotations

import os
import pwd
import stat

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine
from pyrunc.host.idmap import DIRECTORIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.doctor.finding import Status

#: Ids that an image may use; with fewer, files of its other users cannot be unpacked.
ENOUGH = 65536


def subordinate_ids(machine: Machine) -> Iterator[Finding]:
    if not machine.facts["uid"]:
        return
    ranges = {"/etc/subuid": machine.facts["subuids"], "/etc/subgid": machine.facts["subgids"]}
    sizes = {path: sum(count for _, count in found) for path, found in ranges.items()}
    found = ", ".join(f"{size} in {path}" for path, size in sizes.items())
    do = f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_name(machine.facts['uid'])}"
    if min(sizes.values()) >= ENOUGH:
        yield Finding("user.subids", "subordinate ids", "ok", found)
    else:
        found += f": containers have one user only, with fewer than {ENOUGH}"
        yield Finding("user.subids", "subordinate ids", "warning", found, f"{do} (a range that nobody else has)")


def map_programs(machine: Machine) -> Iterator[Finding]:
    """newuidmap and newgidmap; they need their own privilege to write the maps."""
    if not machine.facts["uid"]:
        return
    for name in ("newuidmap", "newgidmap"):
        path = next((f"{one}/{name}" for one in DIRECTORIES if os.access(f"{one}/{name}", os.X_OK)), None)
        if path is None:
            found = f"not in {', '.join(DIRECTORIES)}"
            do = "install the package uidmap (Debian, Ubuntu) or shadow-utils-subid (Fedora)"
            yield Finding(f"user.{name}", name, "warning", found, do)
            continue
        status = os.stat(path)
        how = ""
        if status.st_mode & stat.S_ISUID and status.st_uid == 0:
            how = "set-user-ID root"
        elif "security.capability" in os.listxattr(path):
            how = "with file capabilities"
        found = f"{path}, {how or 'without privilege'}"
        do = "" if how else f"as root: chmod u+s {path}"
        yield Finding(f"user.{name}", name, "ok" if how else "problem", found, do)


def runtime_directory(machine: Machine) -> Iterator[Finding]:
    """XDG_RUNTIME_DIR, where the state of containers is kept."""
    uid = machine.facts["uid"]
    if not uid:
        return
    title, do = (
        "runtime directory",
        "log in in a session of systemd, or set XDG_RUNTIME_DIR to a directory of mode 0700 on a tmpfs",
    )
    path = machine.environment.get("XDG_RUNTIME_DIR", "")
    status: Status = "problem"
    if not path:
        found = "XDG_RUNTIME_DIR is not set: only commands with --root work"
    elif not os.path.isdir(path):
        found = f"XDG_RUNTIME_DIR is {path}, which is no directory"
    elif os.stat(path).st_uid != uid or not os.access(path, os.W_OK | os.X_OK):
        found = f"XDG_RUNTIME_DIR is {path}, which belongs to somebody else"
        do = f"leave su and sudo, which keep the other user's: log in as {_name(uid)}, or use machinectl shell"
    else:
        found, do, status = path, "", "ok"
    yield Finding("user.runtime-directory", title, status, found, do)


def lingering(machine: Machine) -> Iterator[Finding]:
    """Without it, systemd ends a user's processes and removes the runtime directory with the last session."""
    uid = machine.facts["uid"]
    if not uid or not machine.systemd:
        return
    name = _name(uid)
    if os.path.exists(f"/var/lib/systemd/linger/{name}"):
        yield Finding("user.lingering", "lingering", "ok", f"{name}'s containers outlive the last session")
    else:
        found = f"{name}'s containers end with the last session"
        yield Finding(
            "user.lingering", "lingering", "ok", found, f"where they are to go on: loginctl enable-linger {name}"
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


CHECKS = (subordinate_ids, map_programs, runtime_directory, lingering)
