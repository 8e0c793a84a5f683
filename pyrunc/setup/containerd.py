"""containerd: a runtime of its CRI plugin, in config.toml itself.

Not in a file that ``imports`` names: up to containerd 1.7 a plugin's section in such a file replaces the whole section
of the main file, and with it whatever else is set there (containerd issue 5837).
"""

from __future__ import annotations

import glob
import os
import re
import tomllib

from pyrunc.errors import HostError
from pyrunc.setup import file, toml
from pyrunc.setup.wish import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.setup.wish import Wish

FILE = "containerd/config.toml"

#: Version of config.toml -> what the CRI plugin's section is called; version 1 is what has no version.
PLUGINS = {
    1: "cri",
    2: "io.containerd.grpc.v1.cri",
    3: "io.containerd.cri.v1.runtime",
    4: "io.containerd.cri.v1.runtime",
}
SHIM = "io.containerd.runc.v2"
_OWN = (
    ("version",),
    *(
        ("plugins", plugin, "containerd", *rest)
        for plugin in PLUGINS.values()
        for rest in (("runtimes", NAME), ("runtimes", "runc"), ("default_runtime_name",))
    ),
)


def path(wish: Wish) -> str:
    return wish.file("/etc/" + FILE, FILE)


def without(text: str | None, where: str, record: str | None) -> str | None:  # noqa: ARG001
    return toml.without(text, where, _OWN)


def within(text: str | None, where: str, wish: Wish) -> str:
    data = toml.parse(text or "", where)
    # A file of version 2 is understood by all that are in use; containerd 2 migrates it.
    version = 2 if text is None else data.get("version", 1)
    section = ("plugins", plugin(version, where), "containerd")
    _refuse_imported(data, where, section, wish)
    if NAME in toml.table(data, *section, "runtimes"):
        raise HostError(
            f"has a runtime {NAME} that setup did not write: {toml.key((*section, 'runtimes', NAME))}",
            where=where,
            hint="remove it by hand; nothing was changed",
        )
    lines = ["version = 2", ""] if text is None else []
    expected: dict[str, Any] = {"version": 2} if text is None else {}
    runtimes = _runtimes(data, section, wish)
    for name, entry in runtimes.items():
        lines += _table((*section, "runtimes", name), entry)
    expected |= toml.nested((*section, "runtimes"), runtimes)
    if not wish.default:
        return toml.appended(text, where, lines, expected)
    named = toml.merged(expected, toml.nested((*section, "default_runtime_name"), NAME))
    if text is not None and (edited := _with_default(text, data, section)) is not None:
        return toml.appended(edited, where, lines, named)
    at = lines.index("") + 1 if text is None else 0
    lines[at:at] = [f"[{toml.key(section)}]", f"default_runtime_name = {toml.quoted(NAME)}", ""]
    return toml.appended(text, where, lines, named)


def plugin(version: object, where: str) -> str:
    """What a config.toml of this version calls the section."""
    if isinstance(version, bool) or not isinstance(version, int) or version not in PLUGINS:
        raise HostError(
            f"version {version!r} is unknown to pyrunc, which knows {', '.join(map(str, PLUGINS))}", where=where
        )
    return PLUGINS[version]


def _runtimes(data: dict[str, Any], section: tuple[str, ...], wish: Wish) -> dict[str, Any]:
    options: dict[str, Any] = {"BinaryName": wish.runtime}
    present = toml.table(data, *section, "runtimes")
    # The kubelet has one cgroup driver for all runtimes, so runc's switch is the one to follow.
    if wish.systemd or toml.at(present, "runc", "options", "SystemdCgroup") is True:
        options["SystemdCgroup"] = True
    runtimes: dict[str, Any] = {}
    if "runc" not in present and toml.at(data, *section, "default_runtime_name") in (None, "runc"):
        # containerd's own entry for runc is there only as long as the file has no runtimes at all.
        runtimes["runc"] = {"runtime_type": SHIM, **({"options": {"SystemdCgroup": True}} if wish.systemd else {})}
    runtimes[NAME] = {"runtime_type": SHIM, "options": options}
    return runtimes


def _table(keys: tuple[str, ...], entry: dict[str, Any]) -> list[str]:
    lines = [f"[{toml.key(keys)}]"]
    for name, value in entry.items():
        if isinstance(value, dict):
            lines += _table((*keys, name), value)
        else:
            lines.append(f"{name} = {'true' if value is True else toml.quoted(value)}")
    return lines


def _with_default(text: str, data: dict[str, Any], section: tuple[str, ...]) -> str | None:
    """The text with our name as the default where the section's table has a header; None where it has none."""
    expected = toml.merged(data, toml.nested((*section, "default_runtime_name"), NAME))
    setting = f"default_runtime_name = {toml.quoted(NAME)}"
    lines = text.split("\n")
    for header, line in enumerate(lines):
        if _header(line) != section:
            continue
        for number in range(header + 1, len(lines)):
            if _header(lines[number]):
                break
            if re.match(r"\s*[\"']?default_runtime_name\b", lines[number]):
                changed = toml.change(text, number, _indent(lines[number]) + setting)
                return changed if toml.says(changed, expected) else None
        added = toml.insert(text, header, _indent(line) + setting)
        if toml.says(added, expected):
            return added
    return None


def _header(line: str) -> tuple[str, ...]:
    """The keys of a table's header, () for other lines."""
    if not line.lstrip().startswith("[") or line.lstrip().startswith("[["):
        return ()
    try:
        table: Any = tomllib.loads(line.rstrip("\r"))
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(table, dict) and table:
        ((word, table),) = table.items()
        keys.append(word)
    return tuple(keys)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _refuse_imported(data: dict[str, Any], where: str, section: tuple[str, ...], wish: Wish) -> None:
    """Where an imported file has the section, that of the main file counts for nothing."""
    if data.get("version", 1) not in (1, 2):
        return  # only containerd 2 reads it, which merges sections
    last = next((name for name, found in reversed(imported(data, where, wish)) if toml.at(found, *section[:2])), None)
    if last is not None:
        name = last.removeprefix(wish.sysroot)
        raise HostError(
            f"imports {name}, whose section of the CRI plugin replaces that of this file before containerd 2",
            where=where,
            hint=f"change that file: --config {name}",
        )


def imported(data: dict[str, Any], where: str, wish: Wish) -> list[tuple[str, dict[str, Any]]]:
    """What a config.toml imports, in containerd's order: (file, its data), without the file itself."""
    loaded, waiting = {where}, _imports(data, where, wish)
    found = []
    while waiting:
        path = waiting.pop(0)
        text = file.read(path)
        if path in loaded or text is None:
            continue
        loaded.add(path)
        more = toml.parse(text, path)
        found.append((path, more))
        waiting += _imports(more, path, wish)
    return found


def _imports(data: dict[str, Any], where: str, wish: Wish) -> list[str]:
    found = []
    for name in toml.texts(data, "imports"):
        place = wish.sysroot + name if name.startswith("/") else os.path.join(os.path.dirname(where), name)
        found += sorted(glob.glob(place)) if re.search(r"[*?\[]", name) else [os.path.normpath(place)]
    return found


def reload(wish: Wish, before: str, after: str) -> str:  # noqa: ARG001
    daemon = "systemctl --user restart containerd" if wish.home else "systemctl restart containerd"
    return f"to make containerd read it, while its containers go on: {daemon}"


def use(wish: Wish) -> list[str]:
    return [
        f"it is used for {'all pods' if wish.default else f'pods whose RuntimeClass has the handler {NAME}'}",
        f"ctr takes it from the command line: ctr run --runc-binary {wish.runtime} IMAGE ID",
    ]


def disabled(data: dict[str, Any]) -> bool:
    """Whether a config.toml switches the CRI plugin off, as that of docker's packages does."""
    return bool(
        {"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"} & {*toml.texts(data, "disabled_plugins")}
    )
