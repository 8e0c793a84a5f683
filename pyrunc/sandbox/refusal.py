"""Why a sandbox could not be made, in the words of who asked for it: the argument, and the host's setting."""

from __future__ import annotations

import errno

from pyrunc.errors import OpFailed, SpecError, Violation
from pyrunc.host import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Spec

#: Config path -> the argument that is behind it.
_ARGUMENTS = (
    ("linux.resources.memory", "memory"),
    ("linux.resources.pids", "pids"),
    ("linux.resources.cpu", "cpus"),
    ("linux.cgroupsPath", "memory, pids and cpus"),
    ("process.cwd", "cwd"),
    ("process.user", "user"),
    ("process.rlimits", "rlimits"),
    ("root.path", "rootfs"),
)

#: Settings that keep ordinary users from making user namespaces: file, value, what to say of it.
_SETTINGS = (
    ("user/max_user_namespaces", "0", "the sysctl user.max_user_namespaces is 0"),
    ("kernel/unprivileged_userns_clone", "0", "the sysctl kernel.unprivileged_userns_clone is 0"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "the sysctl kernel.apparmor_restrict_unprivileged_userns is 1, and no AppArmor profile allows one here",
    ),
)
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS)


def told(error: SpecError | OpFailed, config: Spec) -> SpecError | OpFailed:
    """The same error with the argument in front of the config path, and with its cause where that is known."""
    if isinstance(error, SpecError):
        return SpecError([Violation(_path(violation.path), violation.reason) for violation in error.violations])
    has_userns = any(entry["type"] == "user" for entry in config["linux"]["namespaces"])
    cgroup = error.op.startswith(("cgroup", "join_cgroup"))
    if has_userns and error.errno in _REFUSALS and not cgroup:
        error.hint = _cause() or error.hint
    error.where = _path(error.where)
    return error


def _path(path: str) -> str:
    for prefix, argument in _ARGUMENTS:
        if path == prefix or path.startswith((prefix + ".", prefix + "[")):
            return f"{argument} ({path})"
    return path


def _cause() -> str:
    for name, value, text in _SETTINGS:
        try:
            if probe.read("/proc/sys/" + name).strip() == value:
                return text
        except FileNotFoundError:
            continue
    return ""
