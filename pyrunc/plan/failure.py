"""From a failed op to the sentence that a user reads: what, why, and what to do about it.

Pure: the op, the kernel's errno and the executor's detail go in; an OpFailed comes out.
"""

from __future__ import annotations

import errno as numbers

from pyrunc.errors import OpFailed
from pyrunc.plan.ops import INIT, RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.ops import Op

#: Ops whose detail is the complete message: engines look for these texts.
COMPLETE = frozenset({"find_executable", "execve", "container_hook"})

#: To be born in a cgroup or to move there takes the right to write to cgroup.procs of one above both (cgroups(7)).
_CANNOT_MOVE = "this user may not move a process to the container's cgroup from the one that it is in"
_MOVE_HINT = "one that is delegated to the user has to be above both; or use --cgroup-manager systemd"

#: Engines look for the last words.
_NO_SOURCE = "source does not exist: no such file or directory"

#: (op, errno) -> (the reason in place of strerror, or "" to keep it; the hint)
REASONS = {
    ("open_tree", "ENOENT"): (_NO_SOURCE, "create it on the host, or remove the mount"),
    ("open_tree", "ELOOP"): ("is a symbolic link", "name the directory that it points to"),
    ("open_tree", "EPERM"): ("", "mounting needs CAP_SYS_ADMIN: run as root, or add a user namespace"),
    ("open_tree", "EINVAL"): ("", 'the source has locked mounts below it: use "rbind" in a user namespace'),
    ("target", "ELOOP"): ("a symbolic link is on the way", "the image must have a plain directory there"),
    ("target", "EPERM"): ("lies inside a procfs", "a mount there could blind masks and labels"),
    ("target", "ENOTDIR"): ("exists and is not a directory", ""),
    # Of the kernel's two texts, docker gives its hint for "not a directory" alone.
    ("target", "EISDIR"): ("a directory is there, but the source is a file, not a directory", ""),
    ("target", "EBUSY"): ("leads to the root directory", "the image has a symbolic link there"),
    ("overlay", "EINVAL"): ("", "a procfs, or an overlay over an overlay, cannot be below an overlay"),
    ("overlay", "EOVERFLOW"): (
        "its owner is not mapped in the user namespace",
        "see linux.uidMappings and gidMappings",
    ),
    ("copy_file", "EOVERFLOW"): (
        "its owner is not mapped in the user namespace",
        "see linux.uidMappings and gidMappings",
    ),
    ("copy_file", "EINVAL"): ("does not say how much it holds", "files of procfs, sysfs and the like cannot be copied"),
    ("copy_file", "EBUSY"): ("changes while it is copied", ""),
    ("overlay", "ENODEV"): ("", "the kernel has no overlayfs, or has not loaded it: modprobe overlay"),
    ("target", "EROFS"): ("does not exist, and the rootfs is read-only", "create the mount point in the rootfs"),
    ("clone", "EPERM"): ("", "new namespaces need CAP_SYS_ADMIN: run as root, or add a user namespace"),
    ("clone", "ENOSPC"): ("", "a limit of /proc/sys/user/max_*_namespaces is reached"),
    ("clone", "EUSERS"): ("", "user namespaces are nested too deeply"),
    ("clone", "EAGAIN"): ("", "a limit of processes is reached: pids.limit, also of a cgroup above, or RLIMIT_NPROC"),
    ("clone", "EBUSY"): (
        "the container's cgroup gives controllers to others below it, and so takes no process",
        "set linux.cgroupsPath to a cgroup of its own",
    ),
    ("clone", "EOPNOTSUPP"): (
        "the container's cgroup is threaded, or below a threaded one",
        "such a cgroup2 takes threads of a process that is in it already; set linux.cgroupsPath to another place",
    ),
    ("clone", "EACCES"): (_CANNOT_MOVE, _MOVE_HINT),
    ("join_cgroup", "EACCES"): (_CANNOT_MOVE, _MOVE_HINT),
    ("join_cgroup", "EBUSY"): (
        "the cgroup gives controllers to others below it, and so takes no process",
        "set linux.cgroupsPath to a cgroup of its own",
    ),
    ("join_cgroup", "EOPNOTSUPP"): (
        "the cgroup is threaded, or below a threaded one",
        "such a cgroup2 takes threads of a process that is in it already",
    ),
    ("join_namespaces", "EINVAL"): ("not a namespace of that type, or one that cannot be entered", ""),
    ("fsmount", "EPERM"): ("", "the kernel does not let this user namespace mount that file system"),
    ("fsmount", "ENODEV"): ("unknown file system type", "see /proc/filesystems"),
    ("proc_write", "ENOENT"): ("this kernel has no such file", ""),
    ("proc_write", "EXDEV"): ("something is mounted over it", ""),
    ("rlimit", "EPERM"): ("", "a hard limit above the caller's own needs CAP_SYS_RESOURCE"),
    ("caps", "EPERM"): ("", "the caller does not have these capabilities itself"),
    ("bounding", "EPERM"): ("", "the caller lacks CAP_SETPCAP"),
    ("ids", "EINVAL"): ("the id is not mapped in the user namespace", "see linux.uidMappings and gidMappings"),
    ("become_root", "EINVAL"): ("id 0 is not mapped in the user namespace", "see linux.uidMappings"),
    ("attach_root", "ENOTDIR"): ("is not a directory", ""),
    ("mknod", "EPERM"): ("", "creating devices needs CAP_MKNOD in the host's user namespace"),
    ("seccomp", "EINVAL"): ("the kernel refuses the filter or its flags", ""),
    ("scheduler", "EPERM"): (
        "",
        "this policy needs CAP_SYS_NICE, and on cgroup v1 realtime in the container's cpu cgroup",
    ),
    ("pivot_root", "EINVAL"): ("", "on an initramfs, use --no-pivot"),
}

#: Where a clone fails with these, it is for the cgroup that the process was to be born in (clone(2)).
_OF_CGROUP = frozenset({"EACCES", "EBUSY", "EOPNOTSUPP"})


def name(errno: int) -> str:
    """The kernel's symbol, "" for 0; of two that the C library has for one number, that one."""
    if errno == numbers.EOPNOTSUPP:
        return "EOPNOTSUPP"
    return numbers.errorcode.get(errno, f"errno {errno}") if errno else ""


def explain(op: Op, errno: int, detail: str, strerror: str) -> OpFailed:
    """``detail: reason (ERRNO)`` with the config path of the op.

    ``detail`` names the path or the step; ``strerror`` is the C library's text, lower-cased.
    """
    if op.name in COMPLETE and detail.startswith(("exec", "hook")):
        # Engines look at how these begin, so the config path comes last.
        hook = op.name == "container_hook"
        looked_up = op.name == "find_executable"
        where, hint = op.where if hook else "", op.where if looked_up else ""
        return OpFailed(detail, op=op.name, errno=errno, where=where, hint=hint)
    symbol = name(errno)
    reason, hint = REASONS.get((op.name, symbol), ("", ""))
    subject = detail or subject_of(op)
    if reason:
        subject = subject.removeprefix(op.name + " ")  # the reason says what the call was for
    else:
        reason = strerror
    where = op.where or op.name
    if op.name == "clone" and symbol in _OF_CGROUP:
        subject, where = "", "linux.cgroupsPath"
    text = f"{subject}: {reason}" if subject else reason
    if symbol:
        text += f" ({symbol})"
    return OpFailed(text, op=op.name, errno=errno, where=where, hint=hint)


def subject_of(op: Op) -> str:
    """The arguments that a reader knows: the strings of the op."""
    shape = (INIT if op.name in INIT else RUNTIME)[op.name].split()
    strings = [str(value) for spec, value in zip(shape, op.args, strict=False) if spec.split(":")[1] == "s" and value]
    return " ".join((op.name, *strings))
