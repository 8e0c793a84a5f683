"""The engines: which there are, what their configuration says of pyrunc, and whether that is so.

Their configuration is read from its files; asking an engine itself would make podman write to its storage.
"""

from __future__ import annotations

import os
import stat

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine
from pyrunc.errors import PyruncError
from pyrunc.host import failure
from pyrunc.runtime import version
from pyrunc.setup import containerd, crio, docker, file, podman, toml
from pyrunc.setup.wish import NAME, Wish, config_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.doctor.finding import Status


class Known:
    """What an engine's configuration says: ``runtimes`` are paths of pyrunc, ``default`` the default runtime's name,
    ``systemd`` whether cgroups are to be made by systemd (None: as the engine sees fit), ``files`` what was read."""

    __slots__ = ("default", "files", "notes", "runtimes", "systemd")

    def __init__(self) -> None:
        self.runtimes: list[str] = []
        self.default: str | None = None
        self.systemd: bool | None = None
        self.files: list[str] = []
        self.notes: list[str] = []


def _podman(wish: Wish) -> Known:
    known = Known()
    for path in podman.files(wish):
        text = file.read(path)
        if text is None:
            continue
        known.files.append(path)
        engine = toml.table(toml.parse(text, path), "engine")
        known.runtimes = toml.texts(engine, "runtimes", NAME) or known.runtimes
        known.default = engine.get("runtime", known.default)
        manager = engine.get("cgroup_manager")
        known.systemd = manager == "systemd" if manager else known.systemd
        listed = engine.get("runtime_supports_nocgroup")
        if isinstance(listed, list):
            known.notes = [] if NAME in listed else [f"{path} says that {NAME} cannot do without cgroups"]
    return known


def _containerd(wish: Wish) -> Known:
    known = Known()
    path = containerd.path(wish)
    text = file.read(path)
    if text is None:
        return known
    data = toml.parse(text, path)
    for name, one in [(path, data), *containerd.imported(data, path, wish)]:
        known.files.append(name)
        section = toml.at(one, "plugins", containerd.plugin(one.get("version", 1), name), "containerd")
        entry = toml.at(section, "runtimes", NAME)
        if entry is not None:
            known.runtimes = [str(toml.at(entry, "options", "BinaryName") or "runc")]
            known.systemd = toml.at(entry, "options", "SystemdCgroup") is True
        known.default = toml.at(section, "default_runtime_name") or known.default
    if containerd.disabled(data):
        known.notes.append(f"{path} switches the CRI plugin off (disabled_plugins)")
    return known


def _docker(wish: Wish) -> Known:
    known = Known()
    path = docker.path(wish)
    text = file.read(path)
    if text is None:
        return known
    known.files.append(path)
    data = docker.parse(text, path)
    entry = toml.at(data, "runtimes", NAME, "path")
    known.runtimes = [] if entry is None else [str(entry)]
    known.default = data.get("default-runtime")
    for option in toml.texts(data, "exec-opts"):
        if option.startswith("native.cgroupdriver="):
            known.systemd = option == "native.cgroupdriver=systemd"
    return known


def _crio(wish: Wish) -> Known:
    known = Known()
    for path in crio.files(wish.sysroot):
        text = file.read(path)
        if text is None:
            continue
        known.files.append(path)
        runtime = toml.table(toml.parse(text, path), "crio", "runtime")
        entry = toml.at(runtime, "runtimes", NAME, "runtime_path")
        known.runtimes = known.runtimes if entry is None else [str(entry)]
        known.default = runtime.get("default_runtime", known.default)
        manager = runtime.get("cgroup_manager")
        known.systemd = manager == "systemd" if manager else known.systemd
    return known


#: Engine -> the program that its version is asked of, how its configuration is read, whether a user may have one.
ENGINES: dict[str, tuple[str, Callable[[Wish], Known], bool]] = {
    "podman": ("podman", _podman, True),
    "containerd": ("containerd", _containerd, True),
    "docker": ("dockerd", _docker, True),
    "crio": ("crio", _crio, False),
}


def engines(machine: Machine) -> Iterator[Finding]:
    found = False
    for name, (program, read, _) in ENGINES.items():
        path = machine.program(program)
        if path is None:
            continue
        found = True
        number = machine.version(path)
        if number is None:
            yield Finding(
                f"engine.{name}", name, "warning", f"{path} does not tell its version", f"look at: {path} --version"
            )
        else:
            yield Finding(f"engine.{name}", name, "ok", f"{number}, {path}")
        yield from _configuration(machine, name, read)
    if not found:
        yield Finding(
            "engine",
            "engines",
            "ok",
            f"none of {', '.join(ENGINES)} is installed: pyrunc is used by hand or from Python",
        )


def _configuration(machine: Machine, name: str, read: Callable[[Wish], Known]) -> Iterator[Finding]:
    id, title = f"engine.{name}.configuration", f"{name}'s configuration"
    try:
        known = read(Wish("", home=_home(machine, name)))
    except OSError as error:  # a directory of drop-ins that this user may not look at
        yield Finding(id, title, "unknown", f"cannot be looked at: {failure.sentence(error)}")
        return
    except PyruncError as error:
        status: Status = "unknown" if "permission denied" in str(error) else "problem"
        yield Finding(
            id, title, status, f"{error.where}: {error.message}" if error.where else error.message, error.hint
        )
        return
    do = _setup(machine, name)
    if not known.runtimes:
        if known.default == NAME:
            yield Finding(id, title, "problem", f"{NAME} is the default, and no runtime of that name is there", do)
        else:
            yield Finding(id, title, "ok", f"does not name {NAME}", f"to use it there: {do}")
        return
    yield _runtime(machine, id, title, known, do)
    if known.systemd and not machine.systemd:
        found = "has systemd make cgroups, and systemd does not run here"
        yield Finding(
            f"engine.{name}.cgroups", f"{name}'s cgroups", "problem", found, "set its cgroup manager to cgroupfs"
        )


def _home(machine: Machine, name: str) -> str:
    """Whose configuration an engine of this user reads."""
    if not machine.facts["uid"] or not ENGINES[name][2] or not machine.environment.get("HOME", "").startswith("/"):
        return ""
    home = config_home(machine.environment)
    own = {"containerd": containerd.FILE, "docker": docker.FILE}.get(name)
    return home if own is None or os.path.exists(f"{home}/{own}") else ""


def _setup(machine: Machine, name: str) -> str:
    """The command that mends the configuration which ``_home`` has chosen."""
    command = f"pyrunc setup {name}"
    if not machine.facts["uid"]:
        return command
    if _home(machine, name):
        return f"{command} --user"
    return f"as root: {command}" + (f"; for an engine of your own: {command} --user" if ENGINES[name][2] else "")


def _runtime(machine: Machine, id: str, title: str, known: Known, do: str) -> Finding:
    """Whether the pyrunc that is named there can be started, and is this one."""
    place = ", ".join(known.files[-1:])
    path = next((one for one in known.runtimes if os.path.exists(one)), None)
    if path is None:
        return Finding(id, title, "problem", f"{place} names {', '.join(known.runtimes)}, which does not exist", do)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.X_OK):
        return Finding(id, title, "problem", f"{place} names {path}, which cannot be started", do)
    number = machine.version(path)
    default = ", the default" if known.default == NAME else ""
    if number != version.VERSION:
        found = f"names {path}{default}, version {number or 'unknown'}; this one is {version.VERSION}"
        return Finding(id, title, "warning", found, f"install one version, or {do}")
    if known.notes:
        return Finding(id, title, "warning", "; ".join([f"names {path}{default}", *known.notes]), do)
    return Finding(id, title, "ok", f"names {path}{default}, version {number}")


CHECKS = (engines,)
