"""Why a sandbox could not be made, in the words of who asked for it: the argument, and the host's setting."""

from __future__ import annotations

import errno

from pyrunc.errors import HostError, OpFailed, SpecError, Violation
from pyrunc.host import probe
from pyrunc.sandbox.problems import item
from pyrunc.spec.isolation import COW, ROOTFS, TMP, WORKSPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.sandbox.arguments import Arguments
    from pyrunc.spec.types import Spec

#: Config path -> the argument that is behind it.
_ARGUMENTS = (
    ("linux.resources.memory", "memory"),
    ("linux.resources.pids", "pids"),
    ("linux.resources.cpu", "cpus"),
    ("process.cwd", "cwd"),
    ("process.env", "env"),
    ("process.user", "user"),
    ("root.path", "rootfs"),
    ("hostname", "hostname"),
    (f'annotations["{TMP}"]', "tmp"),
    (f'annotations["{WORKSPACE}"]', "workspace"),
)
_COW = f'annotations["{COW}"]'
_ROOTFS = f'annotations["{ROOTFS}"]'
_MOUNTS, _RLIMITS = "mounts[", "process.rlimits["

#: Options of the command line, in hints, -> what they are here.
_OPTIONS = (
    ("--root DIR", "root=DIR"),
    ("see --root", "see root="),
    ("--cgroup-manager cgroupfs", 'cgroup_manager="cgroupfs"'),
    ("--cgroup-manager systemd", 'cgroup_manager="systemd"'),
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

Refusal = SpecError | OpFailed | HostError


def told(error: Refusal, wanted: Arguments, config: Spec) -> Refusal:
    """The same error with the argument in front of the config path, and with its cause where that is known."""
    if isinstance(error, SpecError):
        found = [Violation(_named(one.path, one.reason, wanted, config), one.reason) for one in error.violations]
        return SpecError(found)
    if isinstance(error, OpFailed):
        has_userns = any(entry["type"] == "user" for entry in config["linux"]["namespaces"])
        cgroup = error.op.startswith(("cgroup", "join_cgroup"))
        if has_userns and error.errno in _REFUSALS and not cgroup:
            error.hint = _cause() or error.hint
        if wanted.userns and error.errno == errno.EACCES and not error.hint:
            error.hint = "with userns=True the box's users need to get there, through all directories above"
        error.where = _named(error.where, error.message, wanted, config)
        error.hint = _in_python(error.hint)
    return error


def _in_python(hint: str) -> str:
    for option, argument in _OPTIONS:
        hint = hint.replace(option, argument)
    return hint


def of_host(error: HostError, root: str) -> HostError:
    """The same error with the arguments that are no part of the config: the runtime root and the cgroup manager."""
    error.hint = _in_python(error.hint)
    if error.where == root or error.where.startswith(root + "/"):
        error.where = f"root ({error.where})"
    elif error.where == "systemd":
        error.where = "cgroup_manager (systemd)"
    return error


def _named(path: str, reason: str, wanted: Arguments, config: Spec) -> str:
    argument = _argument(path, reason, wanted, config)
    return f"{argument} ({path})" if argument and argument != path else path


def _argument(path: str, reason: str, wanted: Arguments, config: Spec) -> str:
    """What is behind a config path; "" for what every box has."""
    for prefix, argument in _ARGUMENTS:
        if path == prefix or path.startswith((prefix + ".", prefix + "[")):
            return argument
    if path.startswith(_MOUNTS):
        place = config["mounts"][_index(path)]["destination"]
        return next((share.where for share in wanted.shares if share.destination == place), "")
    if path.startswith(_RLIMITS):
        name = config["process"]["rlimits"][_index(path)]["type"]
        return item("rlimits", name.removeprefix("RLIMIT_").lower())
    if path == _ROOTFS:
        return "rootfs" if wanted.writable is None else "rootfs, writable"
    if path == _COW:
        copied = [share for share in wanted.shares if share.mode == "cow"]
        named = [share for share in copied if share.source in reason.replace(":", " ").split(" ")]
        return ", ".join(share.where for share in named or copied)
    if path == "linux.cgroupsPath":
        limits = {"memory": wanted.memory, "pids": wanted.pids, "cpus": wanted.cpus}
        return ", ".join([name for name, value in limits.items() if value is not None] or limits)
    return ""


def _index(path: str) -> int:
    return int(path[path.index("[") + 1 : path.index("]")])


def _cause() -> str:
    for name, value, text in _SETTINGS:
        try:
            if probe.read("/proc/sys/" + name).strip() == value:
                return text
        except FileNotFoundError:
            continue
    return ""
