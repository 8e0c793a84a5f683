"""CRI-O: a drop-in of crio.conf.d(5)."""

from __future__ import annotations

import os

from pyrunc.errors import UsageError
from pyrunc.setup import toml
from pyrunc.setup.wish import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.setup.wish import Wish

MAIN = "/etc/crio/crio.conf"
DROP_INS = "/etc/crio/crio.conf.d"
FILE = f"{DROP_INS}/50-pyrunc.conf"
_OWN = (("crio", "runtime", "runtimes", NAME), ("crio", "runtime", "default_runtime"))


def path(wish: Wish) -> str:
    if wish.home:
        raise UsageError("--user: CRI-O runs for the whole system only", hint="leave --user out")
    return wish.file(FILE, "")


def without(text: str | None, where: str, record: str | None) -> str | None:  # noqa: ARG001
    return toml.without(text, where, _OWN)


def within(text: str | None, where: str, wish: Wish) -> str:
    entry = {"runtime_path": wish.runtime, "runtime_type": "oci", "runtime_root": f"/run/{NAME}"}
    runtime: dict[str, Any] = {"runtimes": {NAME: entry}}
    lines = []
    if wish.default:
        runtime["default_runtime"] = NAME
        lines += ["[crio.runtime]", f"default_runtime = {toml.quoted(NAME)}", ""]
    lines += [f"[crio.runtime.runtimes.{NAME}]", *(f"{name} = {toml.quoted(value)}" for name, value in entry.items())]
    return toml.appended(text, where, lines, {"crio": {"runtime": runtime}})


def files(sysroot: str) -> list[str]:
    """The files that CRI-O reads, in its order: of the drop-ins all, whatever their names."""
    found = [sysroot + MAIN]
    for directory, below, names in os.walk(sysroot + DROP_INS, onerror=_refuse):
        below.sort()
        found += [f"{directory}/{name}" for name in names]
    return [found[0], *sorted(found[1:], key=lambda path: path.split("/"))]


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def reload(wish: Wish, before: str, after: str) -> str:  # noqa: ARG001
    return "to make CRI-O read it, while its containers go on: systemctl restart crio"


def use(wish: Wish) -> list[str]:
    return [f"it is used for {'all pods' if wish.default else f'pods whose RuntimeClass has the handler {NAME}'}"]
