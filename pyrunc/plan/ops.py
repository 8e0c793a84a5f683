"""The vocabulary of a plan: every operation that pyrunc can perform, and the shape of its arguments.

This table is the only place where operations are declared.  The native build generates ``ops.h``
from it (``pyrunc/native/generate.py``), ``wire`` encodes by it, ``describe`` prints by it.  It holds
names and shapes only: what to do is decided in ``plan``, how it is done in ``native`` and ``host``.

An argument is ``name:kind`` or ``name:kind:table``, where kind is

* ``i``  signed 64-bit integer; ``table`` names the flag table that spells it out
* ``n``  a slot: an index into the executor's table of file descriptors (-1: none)
* ``s``  a string without NUL
* ``b``  bytes
* ``l``  a list of strings
* ``v``  a list of integers

An operation is executed by ``runtime`` (Python, on the host) or by ``init`` (pyrunc-init).  The
executor needs no allocation, no decision and no second look at the config.

Slots: 0 is the rootfs, 1 is the host's /proc, 2 is /dev/null, 3 the mount that masks directories;
others are handed out by the builder.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SLOT_ROOT: Final = 0
SLOT_PROC: Final = 1
SLOT_NULL: Final = 2
SLOT_MASK: Final = 3
SLOT_FIFO: Final = 4
SLOT_CGROUP: Final = 5
SLOT_TTY: Final = 6
SLOT_FIRST: Final = 8
SLOT_LIMIT: Final = 2048

# How `target` treats what it finds (its argument `flags`).
TARGET_NO_SYMLINKS: Final = 1  # every component must be what it says: /proc, /sys
TARGET_ALLOW_PROC: Final = 2  # may lie on a procfs (an allow-listed path)
TARGET_OPTIONAL: Final = 4  # absent: the slot becomes -1, and ops on it do nothing
TARGET_NOT_ROOT: Final = 8  # whatever the path's symlinks say, it is not the container's root directory

# What `target` creates when the path is absent (its argument `create`).
CREATE_NOTHING: Final = 0
CREATE_DIR: Final = 1
CREATE_FILE: Final = 2
CREATE_LIKE: Final = 3  # of the type of what slot `like` refers to

#: What both sides say and who waits for an answer (docs/internals.md, "Messages"): one more for each change of it.
MESSAGES: Final = 2

# fmt: off
RUNTIME: Final = {
    # name                arguments
    "make_directory":     "path:s",                       # in the container's directory below the runtime root
    "cgroup_create":      "path:s",                       # mkdir -p; remembered for removal
    "cgroup_copy":        "path:s name:s",                # v1 cpuset: fill from the nearest filled ancestor
    "cgroup_enable":      "path:s mount:s needed:l fields:l also:l",  # cgroup2: controllers; `also` if they can be had
    "cgroup_write":       "path:s value:s",               # path of the file
    "cgroup_write_if_there": "path:s value:s",            # nothing to do where the kernel has no such file
    "cgroup_write_either": "path:s value:s other:s other_value:s",  # the first file, or else the other one
    "cgroup_write_pair":  "path:s value:s other:s other_value:s other_where:s",  # two limits that bound one another
    "cgroup_usage":       "path:s limit:i what:s",        # refuse a limit that is not above what the file says
    "cgroup_own":         "path:s uid:i",                 # a cgroup2, with the files that a delegate may write
    "systemd_property":   "name:s value:s",               # of the unit that a later op is for; GVariant text
    "systemd_start":      "unit:s socket:s cgroups:l",    # with the process that waits; its cgroups must be unused
    "systemd_set":        "unit:s socket:s",
    "systemd_attach":     "unit:s socket:s below:s",      # the process that waits; to a cgroup below the unit's, or ""
    "write_id_maps":      "uid:s gid:s setgroups:s",      # text of the maps; setgroups "" leaves it alone
    "new_id_maps":        "uid:l gid:l",                  # newuidmap/newgidmap arguments
    "oom_score_adj":      "value:i",
    "move_net_device":    "name:s rename:s",
    "runtime_hook":       "kind:s path:s args:l env:l timeout:i",
}

INIT: Final = {
    # Descriptors and namespaces (host side)
    "open":               "slot:n path:s flags:i:open",
    "open_tree":          "slot:n path:s flags:i:open_tree",
    "userns":             "slot:n uid:s gid:s",           # a user namespace that exists only for its id maps
    "join_cgroup":        "path:s",                       # cgroup.procs, or tasks of v1; writes 0
    "device_filter":      "path:s program:b",             # load an eBPF device program and attach it to a cgroup2
    "detach_device_filter": "path:s",                     # what device_filter has attached for the same runtime
    "join_namespaces":    "slots:v types:v:namespace",    # in order; EPERM is retried after the others
    "join_pidfd":         "slot:n types:i:namespace",     # setns(pidfd, all at once)
    "clone":              "flags:i:clone cgroup:n",       # from here on in the container's first process
    "sync":               "",                             # wait until the runtime's ops that follow are done
    # Process attributes that come first
    "dumpable":           "value:i",
    "become_root":        "",
    "setsid":             "",
    "session_keyring":    "name:s",
    "unshare":            "flags:i:namespace",
    "open_proc":          "slot:n",                       # /proc of the host; refused unless it is a procfs
    "proc_write":         "path:s value:s",               # below slot PROC; no symlinks, no mounts on the way
    "enter_time_ns":      "",
    "loopback_up":        "",
    # Root file system and mounts
    "propagation":        "path:s flags:i:mount",
    "attach_root":        "slot:n path:s",                # mount the detached tree over its own path
    "target":             "slot:n path:s create:i:create mode:i:octal flags:i:target like:n",
    "fsmount":            "slot:n type:s source:s options:l attrs:i:mount_attr like:n",
    "overlay":            "slot:n lower:n layer:n options:l attrs:i:mount_attr",  # upper and work are made in the layer
    "pass_layer":         "index:i slot:n",               # to the runtime, which reads it when nobody else can
    "copy_file":          "slot:n source:s path:s",       # the mount of a copy with mode, owner, times, xattrs
    "copy_symlink":       "slot:n source:s path:s",       # a source that is a symlink is copied; else as open_tree
    "legacy_mount":       "target:n type:s source:s flags:i:mount data:s",
    "remount":            "target:n flags:i:mount data:s",
    "clone_mount":        "slot:n source:n flags:i:open_tree",
    "mount_attr":         "slot:n set:i:mount_attr clear:i:mount_attr propagation:i:mount recursive:i userns:n",
    "attach":             "slot:n target:n",
    "expect_mount":       "slot:n path:s",                # what the path leads to now is that mount
    "copy_up":            "source:n slot:n",              # copy what the target holds into a detached tmpfs
    "mkdir":              "path:s mode:i:octal uid:i gid:i",
    "mknod":              "path:s mode:i:mknod major:i minor:i uid:i gid:i",
    "symlink":            "path:s to:s",
    "open_null":          "slot:n",                       # the host's /dev/null, character device 1:3 or failure
    "mask":               "base:n path:s",                # /dev/null over files, slot MASK over directories
    "readonly_path":      "base:n path:s",
    "open_pty":           "rows:i columns:i mount:i onlcr:i",  # master goes to the runtime; slave stays in slot TTY
    "remove":             "base:s path:s mode:i uid:i gid:i device:i inode:i born:i",  # what was made there, as it was
    "container_hook":     "kind:s path:s args:l env:l timeout:i state:l",
    "pivot_root":         "",
    "move_root":          "path:s",
    "chroot":             "",
    "detach":             "path:s",                       # umount, lazily; what is not mounted is fine
    # Identity and limits
    "hostname":           "name:s",
    "domainname":         "name:s",
    "rlimit":             "resource:i:rlimit soft:i hard:i",
    "descriptors":        "least:i",                      # room for the first process of a sandbox
    "scheduler":          "policy:i flags:i nice:i priority:i runtime:i deadline:i period:i",
    "io_priority":        "value:i",
    "cpu_affinity":       "mask:b",
    "memory_policy":      "mode:i nodes:b maxnode:i",
    "personality":        "domain:i",
    "make_cwd":           "path:s",
    "chdir":              "path:s early:i",               # early: before the user changes; EACCES is not final
    "tty_stdio":          "uid:i",                        # slot TTY becomes stdio and the controlling terminal
    "stdio_owner":        "uid:i",                        # fchown of stdio that is not a terminal of somebody else
    "close_slots":        "keep:v",                       # all others: no descriptor of the host meets a path inside
    "bounding":           "keep:i:caps",
    "home":               "uid:i",                        # looked up in /etc/passwd; execve adds it
    "ids":                "uid:i gid:i groups:v setgroups:i",
    "umask":              "mode:i:octal",
    "caps":               "effective:i:caps permitted:i:caps inheritable:i:caps ambient:i:caps",
    "no_new_privs":       "",
    "seccomp":            "filter:b flags:i:seccomp listener:i",
    "find_executable":    "name:s path:l",                # directories of PATH; kept for execve
    # The end
    "preserve_fds":       "count:i",
    "ready":              "",                             # tell the runtime; it may leave now
    "wait_start":         "",                             # block on the exec FIFO in slot FIFO
    "execve":             "args:l env:l",
    "hold":               "",                             # the first process of a sandbox: starts what it is asked to
    "send_file":          "path:s flags:i:open mode:i:octal kind:i:octal",  # open a file or directory for the runtime
}
# fmt: on

#: Begins every program, so that a pyrunc-init of another version refuses it: the CRC-32 of what both sides have from
#: here.  The build says what it has to be after a change (native/generate.py).
MAGIC: Final = 0x7A8F53BB

#: name -> opcode; the wire knows only the init's operations.
OPCODES: Final = {name: number for number, name in enumerate(INIT)}


class Op:
    """One operation: its name, its arguments in the table's order, and the config path it is for."""

    __slots__ = ("args", "name", "where")

    def __init__(self, name: str, args: tuple[Arg, ...], where: str) -> None:
        self.name = name
        self.args = args
        self.where = where

    def __repr__(self) -> str:
        return f"Op({self.name!r}, {self.args!r}, {self.where!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and (self.name, self.args, self.where) == (other.name, other.args, other.where)

    __hash__ = None  # type: ignore[assignment]


if TYPE_CHECKING:
    Arg = int | str | bytes | tuple[str, ...] | tuple[int, ...]
