"""Configs that differ from the tests' default in one thing each: what the comparison with runc runs.

In a config's text ``{dir}`` stands for a directory of the host with some files in it, ``<ID>`` for the
container's id.  Nothing but these edits, and what may differ under them, lives here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle

ALL_CAPS = ["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_KILL"]
TMPFS = ("tmpfs", "tmpfs")
FILTER = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["mkdirat", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}],
}


def caps(**sets: list[str]) -> Callable[[Bundle], object]:
    return lambda bundle: bundle.edit(process__capabilities=sets)


def edit(**edits: Any) -> Callable[[Bundle], object]:
    return lambda bundle: bundle.edit(**edits)


def mount(destination: str, kind: str, source: str, *options: str) -> Callable[[Bundle], object]:
    return lambda bundle: bundle.mount(destination, kind, source, *options)


def mounts(*several: tuple[str, ...]) -> Callable[[Bundle], object]:
    return lambda bundle: [bundle.mount(*one) for one in several]


def no_namespace(*kinds: str) -> Callable[[Bundle], object]:
    return lambda bundle: [bundle.without_namespace(kind) for kind in kinds]


CONFIGS: dict[str, Callable[[Bundle], object]] = {
    "the default": edit(),
    "a read-only rootfs": edit(root__readonly=True),
    "an ordinary user": edit(process__user={"uid": 1000, "gid": 1000}),
    "a user with groups": edit(process__user={"uid": 1000, "gid": 50, "additionalGids": [5, 60, 2000]}),
    "a user with capabilities": lambda bundle: (
        bundle.edit(process__user={"uid": 1000, "gid": 1000}),
        bundle.edit(
            process__capabilities={
                name: ["CAP_KILL", "CAP_CHOWN"]
                for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
            }
        ),
    ),
    "a user without no_new_privs": edit(process__user={"uid": 1000, "gid": 1000}, process__noNewPrivileges=False),
    "all sets of capabilities": caps(
        bounding=ALL_CAPS, effective=ALL_CAPS, permitted=ALL_CAPS, inheritable=ALL_CAPS, ambient=ALL_CAPS
    ),
    "only bounding capabilities": caps(bounding=ALL_CAPS),
    "no capabilities": caps(),
    "different sets of capabilities": caps(
        bounding=ALL_CAPS, permitted=ALL_CAPS, effective=["CAP_KILL"], inheritable=["CAP_CHOWN"]
    ),
    "without no_new_privs": edit(process__noNewPrivileges=False),
    "a filter with no_new_privs": edit(linux__seccomp=FILTER),
    "a filter without no_new_privs": edit(linux__seccomp=FILTER, process__noNewPrivileges=False),
    "a filter for an ordinary user": edit(
        linux__seccomp=FILTER, process__noNewPrivileges=False, process__user={"uid": 1000, "gid": 1000}
    ),
    "resource limits": edit(
        process__rlimits=[
            {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_STACK", "soft": 1048576, "hard": 8388608},
        ]
    ),
    "an oom score": edit(process__oomScoreAdj=777),
    "an environment": edit(process__env=["A=1", "A=2", "EMPTY=", "EQUALS=a=b", "UTF8=grün", "HOME=/somewhere"]),
    "a working directory": edit(process__cwd="/tmp"),
    "a working directory to be made": edit(process__cwd="/made/for/me"),
    "no hostname": edit(hostname=None),
    "no namespace but mount": lambda bundle: [
        bundle.edit(hostname=None),
        *map(bundle.without_namespace, ("pid", "network", "ipc", "uts")),
    ],
    "the host's pids": no_namespace("pid"),
    "the host's network": no_namespace("network"),
    "the host's ipc": no_namespace("ipc"),
    "a cgroup namespace": lambda bundle: bundle.namespace("cgroup"),
    "a joined network": lambda bundle: bundle.namespace("network", "/proc/self/ns/net"),
    "cgroups": mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
    "writable cgroups": mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev"),
    "cgroups in a cgroup namespace": lambda bundle: bundle.namespace("cgroup").mount(
        "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"
    ),
    "a cgroup path": edit(linux__cgroupsPath="/<ID>-elsewhere"),
    "limits": edit(
        linux__resources={
            "memory": {"limit": 64 << 20, "reservation": 32 << 20},
            "pids": {"limit": 50},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000},
        }
    ),
    "device rules": edit(
        linux__resources={
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            ]
        }
    ),
    "devices": edit(
        linux__devices=[
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1, "gid": 2},
            {"path": "/dev/deep/er/loop", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        ]
    ),
    "a default device again": edit(
        linux__devices=[
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0}
        ],
        linux__resources={"devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]},
    ),
    "sysctls": edit(
        linux__sysctl={
            "net.ipv4.ip_forward": "1",
            "kernel.msgmax": "65536",
            "fs.mqueue.msg_max": "20",
            "net/core/somaxconn": "100",
        }
    ),
    "no masks": edit(linux__maskedPaths=None, linux__readonlyPaths=None),
    "more masks": edit(
        linux__maskedPaths=["/etc/passwd", "/proc/uptime", "/var", "/no/such/path", "/proc/fs"],
        linux__readonlyPaths=["/etc/group", "/tmp", "/no/such/path", "/proc/sys"],
    ),
    "rootfsPropagation slave": edit(linux__rootfsPropagation="slave"),
    "rootfsPropagation rprivate": edit(linux__rootfsPropagation="rprivate"),
    "a personality": edit(linux__personality={"domain": "LINUX32"}),
    "a tmpfs": mount("/tmp", *TMPFS, "nosuid", "nodev", "mode=1777", "size=1m"),
    "a tmpfs with owner": mount("/tmp", *TMPFS, "uid=7", "gid=8", "mode=700", "nr_inodes=100"),
    "a tmpfs without options": mount("/tmp", *TMPFS),
    "a tmpfs that copies": mount("/etc", *TMPFS, "tmpcopyup"),
    "a read-only tmpfs": mount("/tmp", *TMPFS, "ro"),
    "access times": mounts(
        ("/a", *TMPFS, "noatime"),
        ("/b", *TMPFS, "strictatime"),
        ("/c", *TMPFS, "nodiratime"),
        ("/d", *TMPFS, "relatime"),
        ("/e", *TMPFS, "sync", "dirsync"),
    ),
    "propagation": mounts(
        ("/a", *TMPFS, "shared"),
        ("/b", *TMPFS, "rslave"),
        ("/c", *TMPFS, "unbindable"),
        ("/d", *TMPFS, "private"),
        ("/e", *TMPFS, "rshared"),
    ),
    "a bind mount": mount("/data", "bind", "{dir}", "bind"),
    "a recursive bind mount": mount("/data", "bind", "{dir}", "rbind", "ro"),
    "a bind mount by option alone": mount("/data", "none", "{dir}", "rbind"),
    "a bind mount with flags": mount("/data", "bind", "{dir}", "bind", "ro", "nosuid", "nodev", "noexec", "noatime"),
    "recursive flags": mount("/data", "bind", "{dir}", "rbind", "rro", "rnosuid", "rnodev"),
    "a bind mount with propagation": mount("/data", "bind", "{dir}", "rbind", "rslave"),
    "a relative source": mount("/data", "bind", "rootfs/etc", "bind"),
    "a file": mount("/etc/new", "bind", "{dir}/file", "bind", "ro"),
    "a file over a file": mount("/etc/passwd", "bind", "{dir}/file", "bind"),
    "a file through a symlink": mount("/link-to-passwd", "bind", "{dir}/file", "bind"),
    "a directory through a symlink": mount("/link-to-etc/sub", "bind", "{dir}", "bind"),
    "mounts over one another": mounts(
        ("/data", *TMPFS), ("/data/below", "bind", "{dir}", "bind"), ("/data", *TMPFS, "ro")
    ),
    "a mount over the rootfs' tmp and below": mounts(
        ("/tmp", *TMPFS), ("/tmp/a/b/c", *TMPFS), ("/tmp/a", "bind", "{dir}", "bind")
    ),
    "an overlay": mount(
        "/data", "overlay", "overlay", "lowerdir={dir}/lower", "upperdir={dir}/upper", "workdir={dir}/work"
    ),
    "a second proc": mount("/data", "proc", "proc", "nosuid", "noexec", "nodev"),
    "a second devpts": mount("/data", "devpts", "devpts", "newinstance", "mode=0600"),
    "no dev": lambda bundle: bundle.edit(
        mounts=[m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")]
    ),
    "dev of the host": lambda bundle: bundle.edit(
        mounts=[
            *(m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")),
            {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind", "ro"]},
        ]
    ),
    "sys of the host": lambda bundle: bundle.edit(
        mounts=[
            *(m for m in bundle.config["mounts"] if m["destination"] != "/sys"),
            {
                "destination": "/sys",
                "type": "none",
                "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            },
        ]
    ),
    "a user namespace": edit(
        linux__uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
        linux__gidMappings=[{"containerID": 0, "hostID": 200000, "size": 65536}],
        linux__namespaces=[{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")],
    ),
    "a user namespace of the same ids": edit(
        linux__uidMappings=[{"containerID": 0, "hostID": 0, "size": 65536}],
        linux__gidMappings=[{"containerID": 0, "hostID": 0, "size": 65536}],
        linux__namespaces=[{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")],
    ),
    "several ranges": edit(
        linux__uidMappings=[
            {"containerID": 0, "hostID": 0, "size": 1},
            {"containerID": 1, "hostID": 100000, "size": 2000},
        ],
        linux__gidMappings=[
            {"containerID": 0, "hostID": 0, "size": 1},
            {"containerID": 1, "hostID": 100000, "size": 2000},
        ],
        linux__namespaces=[{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")],
        process__user={"uid": 1000, "gid": 1000},
    ),
}

#: What differs for the reason that the config uses something that runc 1.1 lacks or does otherwise.
NOT_AS_RUNC: dict[str, tuple[tuple[str, str], ...]] = {
    "an environment": (
        (r"^\+env A=1$", "runc keeps the last of two entries of one name; the spec passes env on as it is"),
    ),
    "a personality": ((r"^[-+]personality ", "runc has personality from 1.2 on"),),
    "a tmpfs with owner": (
        (r"^[-+](root|stat|write)[./]", "mode= of a tmpfs is kept; runc 1.1 replaces it with that of what is covered"),
    ),
}
