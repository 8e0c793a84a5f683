"""A runtime as it is named on the command line: where its program is, and how it wants to be called."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass

#: NAME=PATH; a path with a = in it is given with a name, or has a slash before it.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)=(.+)")


class Unusable(Exception):
    """The command line names no program that can be run; the message says why and what to do."""


@dataclass(frozen=True)
class Installed:
    """``options`` come before every verb; ``root`` is the option that names the state directory, "" for none."""

    name: str
    path: str
    options: tuple[str, ...] = ()
    root: str = "--root"


def find(word: str, options: tuple[str, ...] = (), root: str = "--root") -> Installed:
    """The runtime ``[NAME=]PATH``; a name without a slash is looked for on PATH.  Raises Unusable."""
    named = _NAMED.fullmatch(word)
    path = named[2] if named else word
    if "/" not in path:
        found = shutil.which(path)
        if found is None:
            raise Unusable(f"runtime {path}: there is no such command on PATH; give the path of the program")
        path = found
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise Unusable(f"runtime {path}: there is no such file")
    if not os.path.isfile(path):
        raise Unusable(f"runtime {path}: it is no file; give the path of the program")
    if not os.access(path, os.X_OK):
        raise Unusable(f"runtime {path}: it is not executable; chmod +x, or give the path of another program")
    return Installed(named[1] if named else os.path.basename(path), path, options, root)


def find_all(words: list[str], options: list[str], root: str) -> tuple[Installed, ...]:
    """Every runtime of the command line.

    ``options`` are ``[NAME:]OPTION``: for the runtime of that name, or for all.  Raises Unusable.
    """
    found = tuple(find(word, (), root) for word in words)
    names = [runtime.name for runtime in found]
    for name in names:
        if names.count(name) > 1:
            raise Unusable(f"two runtimes are called {name}; tell them apart with --runtime NAME=PATH")
    wanted: dict[str, list[str]] = {name: [] for name in names}
    for option in options:
        name, colon, rest = option.partition(":")
        if not colon or name.startswith("-"):
            for each in wanted.values():
                each.append(option)
        elif name in wanted:
            wanted[name].append(rest)
        else:
            raise Unusable(f"--runtime-option {option}: no runtime is called {name}; there is {', '.join(names)}")
    return tuple(Installed(each.name, each.path, tuple(wanted[each.name]), root) for each in found)
