"""What a box stands on, looked up on the host: its root file system, and the sources of what it is given.

The only part between the arguments and the config that reads the host.  ``spec`` writes down what is found here.
"""

from __future__ import annotations

import os
import stat

from pyrunc.errors import SpecError
from pyrunc.host import failure
from pyrunc.sandbox import arguments as args
from pyrunc.sandbox import defaults, exposure, skeleton
from pyrunc.sandbox.problems import Problems, shown
from pyrunc.sandbox.spec import RLIMITS, TTY
from pyrunc.spec.mount_checks import is_bind, normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyrunc.sandbox.arguments import Arguments
    from pyrunc.sandbox.shares import Share
    from pyrunc.spec.types import Mount, Spec

#: What the config of every box mounts itself, see ``spec``.
OWN = ("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
#: Types of file systems of the kernel's, which a box does not write to.
_READ_ONLY_TYPES = ("sysfs", "cgroup", "cgroup2")


class Base:
    """Facts about the host that the config depends on, as plain values.

    ``rootfs`` absolute; ``mounts`` and ``env`` what it brings; ``cwd`` where a bundle's process starts, or "/".
    ``upper``: some mount point is not in the rootfs, and nothing is to be made there.  ``swap``: the kernel has it.
    ``controllers``: of memory and pids, those that a box can have.  ``ceilings``: hard limits of this process.
    ``processes_apart``: RLIMIT_NPROC in a new user namespace counts only what runs in it.  ``alone``: this process can
    give a box no ids but its own, as an ordinary user, or as root of a user namespace that lacks those of the box.
    """

    __slots__ = (
        "alone", "ceilings", "controllers", "cwd", "env", "mounts", "processes_apart", "rootfs", "swap", "upper",
    )  # fmt: skip

    def __init__(
        self,
        rootfs: str,
        mounts: list[Mount],
        *,
        env: tuple[str, ...] = (),
        cwd: str = "/",
        upper: bool = False,
        swap: bool = True,
        controllers: frozenset[str] = frozenset(),
        ceilings: Mapping[str, int] | None = None,
        processes_apart: bool = True,
        alone: bool = False,
    ) -> None:
        self.rootfs = rootfs
        self.mounts = mounts
        self.env = env
        self.cwd = cwd
        self.upper = upper
        self.swap = swap
        self.controllers = controllers
        self.ceilings = ceilings or {}
        self.processes_apart = processes_apart
        self.alone = alone


def find(arguments: Arguments, root: str, cgroup_manager: str = "cgroupfs") -> Base:
    """Look at the host; ``root`` is the runtime root, which keeps the skeleton of rootfs="host".

    ``cgroup_manager`` is the one that makes the box's cgroup, which decides about its controllers.

    UsageError names every argument whose source is missing or of the wrong kind; HostError where the skeleton cannot
    be had.
    """
    problems = Problems()
    for share in arguments.shares:
        reason = _unusable(share)
        if reason:
            problems.lines.append(f"{share.where}: {share.source}: {reason}")
    found: Base | None = None
    if arguments.rootfs == args.HOST:
        problems.finish()
        found = _host(arguments, root)
    else:
        path = os.path.realpath(arguments.rootfs)
        reason = _not_a_directory(path) or exposure.reason(path, below=False)
        if reason:
            problems.add("rootfs", arguments.rootfs, reason)
        elif os.path.exists(path + "/config.json"):
            found = _bundle(problems, arguments, path)
        else:
            found = Base(path, [])
            found.upper = not all(_is_there(path, point) for point in _points(arguments, found))
    problems.finish()
    assert found is not None
    found.swap = os.path.exists("/proc/swaps")
    found.controllers = defaults.limited(("memory", "pids"), cgroup_manager)
    found.ceilings = defaults.ceilings((*RLIMITS, "RLIMIT_NPROC"))
    found.processes_apart = defaults.processes_counted_apart()
    found.alone = os.geteuid() != 0 or not defaults.has_ids((arguments.uid,), (arguments.gid, TTY))
    return found


def _unusable(share: Share) -> str:
    """Why the source of a share cannot be given to a box; "" if it can."""
    try:
        mode = os.stat(share.source).st_mode
        exposed = exposure.reason(share.source, below=share.directory)
    except OSError as error:
        return failure.reason(error)
    if exposed:
        return exposed
    if share.directory:
        return "" if stat.S_ISDIR(mode) else "is not a directory: it belongs into files"
    if stat.S_ISDIR(mode):
        return "is a directory: it belongs into mounts"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "is a device, and a box has none of the host's"
    if share.mode == "cow" and not stat.S_ISREG(mode):
        return "is not a regular file, and so cannot be copied on write"
    return ""


def _not_a_directory(path: str) -> str:
    try:
        return "" if stat.S_ISDIR(os.stat(path).st_mode) else "is not a directory"
    except OSError as error:
        return failure.reason(error)


def _host(arguments: Arguments, root: str) -> Base:
    host = skeleton.prepare(root, network=arguments.network, others=arguments.userns)
    found = Base(host.path, host.mounts)
    found.upper = not all(point in host.points for point in _points(arguments, found))
    return found


def _bundle(problems: Problems, arguments: Arguments, path: str) -> Base | None:
    from pyrunc.runtime import bundle

    try:
        config = bundle.load(path)[0]
        rootfs = bundle.check_rootfs(config, path)
        exposed = exposure.reason(rootfs, below=False)
    except SpecError as error:
        lines = [f"rootfs={shown(arguments.rootfs)}: config.json: {violation}" for violation in error.violations]
        problems.lines += lines
        return None
    if exposed:
        problems.add("rootfs", arguments.rootfs, f"config.json: root.path: {exposed}")
        return None
    process = config["process"]
    env = tuple(process.get("env") or ())
    found = Base(rootfs, [_absolute(mount, path) for mount in _kept(config)], env=env, cwd=process["cwd"])
    found.upper = not all(_is_there(rootfs, point) for point in _points(arguments, found))
    return found


def _kept(config: Spec) -> Iterable[Mount]:
    """The mounts of a bundle without those that every box has its own of."""
    return [mount for mount in config.get("mounts") or () if normal(mount["destination"]) not in OWN]


def _absolute(mount: Mount, bundle: str) -> Mount:
    """The same mount in a config that is not in the bundle's directory, and read-only where it is the kernel's."""
    found: Mount = {**mount}
    source = mount.get("source", "")
    if is_bind(mount) and not source.startswith("/"):
        found["source"] = f"{bundle}/{source}"
    if mount.get("type") in _READ_ONLY_TYPES:
        found["options"] = [*(option for option in mount.get("options") or () if option != "rw"), "ro"]
    return found


def _points(arguments: Arguments, base: Base) -> list[str]:
    """Paths that the rootfs itself must have: where something is mounted that is not below another mount."""
    places = [*OWN, *(normal(mount["destination"]) for mount in base.mounts)]
    places += [share.destination for share in arguments.shares]
    if arguments.tmp is not None:
        places.append("/tmp")
    if arguments.workspace is not None:
        places.append(arguments.workspace[0])
    points = [place for place in places if not _is_below(place, places)]
    cwd = arguments.cwd or base.cwd
    # The working directory is made where it is missing.
    if cwd not in ("/", *places) and not _is_below(cwd, places):
        points.append(cwd)
    return points


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path.startswith(place + "/") for place in places)


def _is_there(rootfs: str, path: str) -> bool:
    """Whether a path of the rootfs exists and leads through no link, which could lead anywhere."""
    place = rootfs
    for part in path.split("/")[1:]:
        place += "/" + part
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                return False
        except OSError:
            return False
    return True
