"""Mount options: one table, as mount(8), runc and the kernel have them, and how a list of them is read.

Everything that is not in the table is an option of the file system and is passed on to it.
"""

from __future__ import annotations

from pyrunc.plan.kernel import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_POSIXACL,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SILENT,
    MS_SLAVE,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: An attribute of one mount: name -> (set, clear) of MOUNT_ATTR_*
ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    # The access time modes are one field: each replaces the others.  relatime is 0 in it.
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "relatime": (0, MOUNT_ATTR__ATIME),
    "atime": (0, MOUNT_ATTR__ATIME),
    "norelatime": (0, MOUNT_ATTR__ATIME),
    "nostrictatime": (0, MOUNT_ATTR__ATIME),
}

#: The same for the mount and all below it: "rro" is "ro", recursively.
RECURSIVE_ATTRIBUTES = {"r" + name: bits for name, bits in ATTRIBUTES.items()}

PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

BINDS = {"bind": MS_BIND, "rbind": MS_BIND | MS_REC}

#: Flags of the superblock: name -> (flag of mount(2) or 0, what fsconfig(2) calls it or "")
SUPERBLOCK = {
    "sync": (MS_SYNCHRONOUS, "sync"),
    "async": (0, "async"),
    "dirsync": (MS_DIRSYNC, "dirsync"),
    "mand": (MS_MANDLOCK, "mand"),
    "nomand": (0, "nomand"),
    "lazytime": (MS_LAZYTIME, "lazytime"),
    "nolazytime": (0, "nolazytime"),
    # These three have no name in fsconfig(2).
    "iversion": (MS_I_VERSION, ""),
    "noiversion": (0, ""),
    "silent": (MS_SILENT, ""),
    "loud": (0, ""),
    "acl": (MS_POSIXACL, ""),
    "noacl": (0, ""),
}

#: What pyrunc itself does with a mount.
EXTENSIONS = ("tmpcopyup", "copy-symlink", "idmap", "ridmap")

#: Every name that is not handed to the file system; ``features`` prints these.
NAMES = frozenset(
    (*ATTRIBUTES, *RECURSIVE_ATTRIBUTES, *PROPAGATION, *BINDS, *SUPERBLOCK, *EXTENSIONS, "remount", "defaults")
)


class Options:
    """What a list of mount options says, in the kernel's terms."""

    __slots__ = (
        "attr_clear",
        "attr_set",
        "bind",
        "copy_symlink",
        "data",
        "idmap",
        "ms_flags",
        "only_mount",
        "propagation",
        "recursive_clear",
        "recursive_set",
        "remount",
        "superblock",
        "tmpcopyup",
    )

    def __init__(self) -> None:
        self.bind = 0  # MS_BIND, with MS_REC for rbind
        self.remount = False
        self.attr_set = 0
        self.attr_clear = 0
        self.recursive_set = 0
        self.recursive_clear = 0
        self.propagation: list[int] = []
        self.superblock: list[str] = []  # names for fsconfig
        self.ms_flags = 0  # the same for mount(2)
        self.only_mount = False  # some of ms_flags cannot be said to fsconfig
        self.data: list[tuple[int, str]] = []  # (index in the list, option of the file system)
        self.tmpcopyup = False
        self.copy_symlink = False
        self.idmap: tuple[int, str] | None = None  # (index, the option as written)


def parse(options: Iterable[str]) -> Options:
    """Read ``options`` from left to right; a later one wins over an earlier one."""
    found = Options()
    for index, option in enumerate(options):
        bits = ATTRIBUTES.get(option)
        if bits is not None:
            # What an option sets, it no longer clears, and the other way round; a field is replaced whole.
            found.attr_set = found.attr_set & ~bits[1] | bits[0]
            found.attr_clear = found.attr_clear & ~bits[0] | bits[1]
            continue
        bits = RECURSIVE_ATTRIBUTES.get(option)
        if bits is not None:
            found.recursive_set = found.recursive_set & ~bits[1] | bits[0]
            found.recursive_clear = found.recursive_clear & ~bits[0] | bits[1]
        elif option in BINDS:
            found.bind = BINDS[option]
        elif option in PROPAGATION:
            found.propagation.append(PROPAGATION[option])
        elif option in SUPERBLOCK:
            flag, name = SUPERBLOCK[option]
            found.ms_flags |= flag
            if name:
                found.superblock.append(name)
            elif flag:
                found.only_mount = True
        elif option == "remount":
            found.remount = True
        elif option == "tmpcopyup":
            found.tmpcopyup = True
        elif option == "copy-symlink":
            found.copy_symlink = True
        elif option.split("=", 1)[0] in ("idmap", "ridmap"):
            found.idmap = (index, option)
        elif option not in ("defaults", ""):
            found.data.append((index, option))
    return found


def ms_flags(attributes: int) -> int:
    """The flags of mount(2) for MOUNT_ATTR_* ``attributes``."""
    flags = attributes & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
    if attributes & MOUNT_ATTR_NODIRATIME:
        flags |= 2048
    if attributes & MOUNT_ATTR_NOSYMFOLLOW:
        flags |= 256
    atime = attributes & MOUNT_ATTR__ATIME
    if atime == MOUNT_ATTR_NOATIME:
        flags |= 1024
    elif atime == MOUNT_ATTR_STRICTATIME:
        flags |= 1 << 24
    return flags
