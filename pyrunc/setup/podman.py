"""podman and buildah: a drop-in of containers.conf(5).

A list in a later file replaces the same list of earlier ones, so what is in force is written with our name added.
"""

from __future__ import annotations

import os

from pyrunc.errors import UsageError
from pyrunc.setup import file, toml
from pyrunc.setup.wish import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.setup.wish import Wish

FILE = "containers/containers.conf.d/50-pyrunc.conf"

_NO_CGROUPS = ("crun", "crun-vm", "krun", "ocijail")
#: podman looks only at the name of a runtime to know what it can do.  Its own defaults, of all its versions.
#: containers.conf(5) says nocgroups, and podman's code reads nocgroup; what it does not know it passes over.
LISTS = {
    "runtime_supports_json": ("crun", "crun-vm", "runc", "kata", "runsc", "youki", "krun", "ocijail"),
    "runtime_supports_nocgroup": _NO_CGROUPS,
    "runtime_supports_nocgroups": _NO_CGROUPS,
}
_OWN = (("engine", "runtimes", NAME), ("engine", "runtime"), *(("engine", name) for name in LISTS))


def path(wish: Wish) -> str:
    if wish.home and os.geteuid() == 0:
        raise UsageError("--user: root's podman reads the configuration of the system", hint="leave --user out")
    return wish.file("/etc/" + FILE, FILE)


def without(text: str | None, where: str, record: str | None) -> str | None:  # noqa: ARG001
    return toml.without(text, where, _OWN)


def within(text: str | None, where: str, wish: Wish) -> str:
    lines = ["[engine]"]
    engine: dict[str, Any] = {"runtimes": {NAME: [wish.runtime]}}
    if wish.default:
        engine["runtime"] = NAME
        lines.append(f"runtime = {toml.quoted(NAME)}")
    for name, usual in LISTS.items():
        engine[name] = [*(one for one in in_force(name, where, wish) or usual if one != NAME), NAME]
        lines.append(f"{name} = [{', '.join(map(toml.quoted, engine[name]))}]")
    lines += ["", "[engine.runtimes]", f"{NAME} = [{toml.quoted(wish.runtime)}]"]
    return toml.appended(text, where, lines, {"engine": engine})


def in_force(name: str, where: str, wish: Wish) -> list[str] | None:
    """The value of a list in the last file that has it and is read before ours."""
    found = None
    for path, data in before(files(wish), where):
        value = toml.at(data, "engine", name)
        if isinstance(value, list):
            if not all(isinstance(one, str) for one in value):
                raise UsageError(f"engine.{name} is no list of names", where=path)
            found = [one for one in value if isinstance(one, str)]
    return found


def files(wish: Wish) -> list[str]:
    """The files that podman reads, in its order (containers.conf(5))."""
    found = []
    places = [wish.sysroot + "/usr/share/containers", wish.sysroot + "/etc/containers"]
    for place in [*places, *([wish.home + "/containers"] if wish.home else [])]:
        found.append(f"{place}/containers.conf")
        found += drop_ins(f"{place}/containers.conf.d")
    return found


def drop_ins(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [f"{directory}/{name}" for name in sorted(names) if name.endswith(".conf")]


def before(paths: list[str], where: str) -> list[tuple[str, dict[str, Any]]]:
    """The files that exist, without the one at ``where`` and what is read behind it, each with its data."""
    found = []
    for path in paths:
        if os.path.dirname(path) == os.path.dirname(where) and path >= where:
            break
        text = file.read(path)
        if text is not None:
            found.append((path, toml.parse(text, path)))
    return found


def reload(wish: Wish, before: str, after: str) -> str:  # noqa: ARG001
    return "podman reads it when it starts next; only a podman service that runs must be restarted"


def use(wish: Wish) -> list[str]:
    found = [f"to use it: {'podman run' if wish.default else f'podman --runtime {NAME} run'} IMAGE"]
    found += [f"{name} is read later and has another {keys}: that counts" for name, keys in overruled(wish)]
    if "CONTAINERS_CONF" in os.environ:
        found.append("CONTAINERS_CONF is set here: as long as it is, podman reads that file instead of all others")
    return found


def overruled(wish: Wish) -> list[tuple[str, str]]:
    """The files that are read behind ours, and what of ours they set, too."""
    own = path(wish)
    read = files(wish)
    found = []
    for name in read[read.index(own) + 1 :] if own in read else ():
        engine = toml.table(toml.parse(file.read(name) or "", name), "engine")
        keys = [key for key in (*LISTS, *(["runtime"] if wish.default else [])) if key in engine]
        if keys:
            found.append((name, " and ".join(keys)))
    return found
