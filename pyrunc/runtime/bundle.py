"""From a bundle directory to a valid spec and a plan: everything that create does before it touches anything."""

from __future__ import annotations

import posix
from _stat import S_ISDIR, S_ISLNK, S_ISREG

from pyrunc.errors import HostError, SpecError, Violation
from pyrunc.host import files, probe
from pyrunc.plan.kernel import NAMESPACES
from pyrunc.spec import paths, sysctl
from pyrunc.spec.load import load_spec
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pyrunc.plan.facts import HostFacts, Request
    from pyrunc.spec.isolation import Isolation
    from pyrunc.spec.types import Spec

    T = TypeVar("T")


def read(bundle: str) -> bytes:
    """The bytes of config.json; HostError with runc's words when there is none."""
    path = bundle + "/config.json"
    try:
        # Without O_NONBLOCK, a FIFO would be waited for.
        fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        if not files.is_directory(bundle):
            raise HostError("no such bundle directory", where=bundle) from None
        raise HostError(
            "JSON specification file config.json not found", where=bundle, hint="pyrunc spec writes a default one"
        ) from None
    except OSError as error:
        raise HostError(posix.strerror(error.errno or 0).lower(), where=path) from None
    try:
        if not S_ISREG(posix.fstat(fd).st_mode):
            raise HostError("config.json is not a regular file", where=bundle)
        parts = []
        while part := posix.read(fd, 1 << 20):
            parts.append(part)
    except OSError as error:
        raise HostError(posix.strerror(error.errno or 0).lower(), where=path) from None
    finally:
        posix.close(fd)
    return b"".join(parts)


#: The last valid config: a program that creates many containers of one bundle need not validate it again.
_valid: tuple[bytes, Spec] | None = None


def load(bundle: str) -> tuple[Spec, bytes]:
    """The valid config, which nobody changes, and its bytes; SpecError with every violation."""
    global _valid
    data = read(bundle)
    valid = _valid
    if valid is None or valid[0] != data:
        _valid = valid = (data, loaded(load_spec, data))
    return valid[1], data


def loaded(load: Callable[..., T], data: bytes, *name: str) -> T:
    """What a function of spec.load returns."""
    try:
        return load(data, *name)
    except ModuleNotFoundError:
        # Of the wrong shape: the library that lists all that is wrong is not on the lean path.
        from pyrunc.host import site

        site.add()
        return load(data, *name)


def request(
    id: str,
    bundle: str,
    state_dir: str,
    *,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    preserve_fds: int = 0,
    cgroup_manager: str = "cgroupfs",
    extra_env: list[str] | None = None,
    serves_terminal: bool = False,
    terminal_size: tuple[int, int] | None = None,
    hold: bool = False,
    isolation: Isolation | None = None,
    cow_directories: tuple[str, ...] = (),
    pass_layers: bool = False,
) -> Request:
    return {
        "id": id,
        "bundle": bundle,
        "state_dir": state_dir,
        "no_pivot": no_pivot,
        "no_new_keyring": no_new_keyring,
        "preserve_fds": preserve_fds,
        "cgroup_manager": cgroup_manager,
        "extra_env": extra_env or [],
        "serves_terminal": serves_terminal,
        "terminal_size": terminal_size,
        "hold": hold,
        "isolation": isolation or {},
        "cow_directories": cow_directories,
        "pass_layers": pass_layers,
    }


def isolation(spec: Spec, flags: dict[str, str]) -> Isolation:
    """What the container is to have of its own: as its annotations say, and the flags where these are silent."""
    annotations = spec.get("annotations") or {}
    if not flags and not any(name.startswith("io.pyrunc.") for name in annotations):
        return {}
    from pyrunc.spec import isolation as wishes

    return wishes.wanted(spec, flags)


def cow_directories(spec: Spec, isolation: Isolation, bundle: str) -> tuple[str, ...]:
    """The sources of copy-on-write mounts that are directories; SpecError for those that are neither that nor a
    regular file, and for what an overlay would not show: mounts below them."""
    if "cow" not in isolation:
        return ()
    found: list[Violation] = []
    directories = []
    for index, mount in enumerate(spec.get("mounts") or ()):
        if normal(mount["destination"]) not in isolation["cow"]["destinations"]:
            continue
        source, where = mount["source"], f"mounts[{index}].source"
        path = source if source.startswith("/") else f"{bundle.rstrip('/')}/{source}"
        try:
            mode = posix.stat(path).st_mode
        except OSError as error:
            found.append(Violation(where, f"{path}: {posix.strerror(error.errno or 0).lower()}"))
            continue
        if S_ISDIR(mode):
            directories.append(path)
            found += mounts_below(path, where)
        elif not S_ISREG(mode):
            found.append(Violation(where, f"{path}: only a directory or a regular file can be copied on write"))
    if found:
        raise SpecError(found)
    return tuple(directories)


def mounts_below(path: str, where: str) -> list[Violation]:
    """An overlay shows one file system: what is mounted below its lower directory would be missing."""
    real = files.real_path(path).rstrip("/") + "/"
    return [
        Violation(where, f"{point} is mounted below {path}, and an overlay would not show it")
        for point in probe.mount_points()
        if point.startswith(real)
    ]


def facts(rootless: str | None) -> HostFacts:
    """The host's facts; ``--rootless=true`` makes a privileged caller behave like one who is not."""
    found = probe.facts()
    if rootless == "true":
        found["initial_userns"] = False
    elif rootless == "false":
        found["initial_userns"] = True
    return found


def with_systemd(facts: HostFacts) -> HostFacts:
    """The same with what systemd says of itself, for containers whose cgroups it manages; HostError without one."""
    from pyrunc.host.systemd import reach

    rootless = facts["uid"] != 0 or not facts["initial_userns"]
    return {**facts, "systemd": reach.facts(rootless=rootless)}


def check_lower(isolation: Isolation, rootfs: str) -> None:
    """That the whole rootfs can be the lower directory of an overlay; SpecError otherwise."""
    found = mounts_below(rootfs, "root.path") if "rootfs" in isolation else []
    if found:
        raise SpecError(found)


def check_rootfs(spec: Spec, bundle: str) -> str:
    """The rootfs exists and is a directory, not a link to one; SpecError otherwise.  Returns its path."""
    root = spec["root"]["path"]
    path = root if root.startswith("/") else f"{bundle.rstrip('/')}/{root}"
    try:
        mode = posix.lstat(path).st_mode
    except OSError as error:
        reason = posix.strerror(error.errno or 0)
        raise SpecError([Violation("root.path", f"{path}: {reason[:1].lower()}{reason[1:]}")]) from None
    if S_ISLNK(mode):
        raise SpecError([Violation("root.path", f"{path}: is a symbolic link; name the directory itself")])
    if not S_ISDIR(mode):
        raise SpecError([Violation("root.path", f"{path}: not a directory")])
    return path


def check_joined(spec: Spec) -> None:
    """Namespaces to join exist, and no sysctl goes to one that is ours: it would change the host (CVE-2022-0811)."""
    found: list[Violation] = []
    ours = set()
    linux = spec.get("linux") or {}
    for index, entry in enumerate(linux.get("namespaces") or ()):
        path = entry.get("path")
        if not path:
            continue
        try:
            theirs = posix.stat(path)
        except OSError as error:
            reason = posix.strerror(error.errno or 0)
            where = f"linux.namespaces[{index}].path"
            found.append(Violation(where, f"{path}: {reason[:1].lower()}{reason[1:]}"))
            continue
        own = posix.stat("/proc/self/ns/" + NAMESPACES[entry["type"]][1])
        if (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino):
            ours.add(entry["type"])
            if entry["type"] == "mount":
                where = f"linux.namespaces[{index}].path"
                found.append(Violation(where, "is the host's own: the container's mounts would be made in it"))
    for name in linux.get("sysctl") or ():
        if sysctl.owner(name) in ours:
            where = paths.join("linux.sysctl", name)
            found.append(Violation(where, f"the {sysctl.owner(name)} namespace to join is the host's own"))
    if found:
        raise SpecError(found)


def filter_of(spec: Spec, cache: str, machine: str) -> bytes:
    """The compiled seccomp filter, empty if the config has none."""
    seccomp = (spec.get("linux") or {}).get("seccomp")
    if not seccomp:
        return b""
    from pyrunc.host import seccomp as compiler

    return compiler.compile(seccomp, cache, machine)
