"""Deviations that are known: RUNTIME.toml beside this file lists what fails for that runtime, and why it is its fault.

    [[deviation]]
    test = "test_kill.py::test_name[case]"   # without the runtime
    statement = "runtime.kill.…"             # the statement that does not hold
    observed = "one line: what the runtime does instead"
    issue = "https://…"                      # of its own tracker, or a pull request, that is about it, if known
    versions = ["1.1", "1.2"]                # beginnings of its version; all, if left out
    where = ["cgroup1"]                      # needs (needs.py) that hold where it deviates; everywhere, if left out
    sometimes = true                         # it is a race that the runtime may win, so that the test may pass

A test that is listed has to fail: that it passes is a failure, which asks for the entry to be removed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from conformance import needs

FOLDER = Path(__file__).parent

_TEXTS = ("test", "statement", "observed", "issue")
_LISTS = ("versions", "where")
_FLAGS = ("sometimes",)
_NEEDED = ("test", "statement", "observed")


class BadList(Exception):
    """A file of deviations cannot be used; the message says which entry and why."""


@dataclass(frozen=True)
class Deviation:
    """One test that fails for one runtime."""

    test: str
    statement: str
    observed: str
    issue: str = ""
    versions: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    sometimes: bool = False

    def holds(self, version: str) -> bool:
        """Is it expected of this version on this machine?"""
        fits = not self.versions or any(version.startswith(prefix) for prefix in self.versions)
        return fits and not any(needs.unmet(name) for name in self.where)


def load(runtime: str, folder: Path = FOLDER) -> tuple[Deviation, ...]:
    """Those of the runtime of that name, () when no file has them.  Raises BadList."""
    path = folder / f"{runtime}.toml"
    if not path.exists():
        return ()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadList(f"{path}: {error}") from error
    entries = content.pop("deviation", [])
    if content or not isinstance(entries, list):
        raise BadList(f"{path}: holds [[deviation]] tables and nothing else")
    return tuple(_deviation(path, number, entry) for number, entry in enumerate(entries, 1))


def _deviation(path: Path, number: int, entry: dict[str, object]) -> Deviation:
    where = f"{path}: deviation {number}"
    for key, value in entry.items():
        if key in _TEXTS:
            good = isinstance(value, str) and bool(value)
        elif key in _LISTS:
            good = isinstance(value, list) and all(isinstance(word, str) for word in value)
        elif key in _FLAGS:
            good = value is True
        else:
            raise BadList(f"{where}: unknown key {key!r}; known: {', '.join((*_TEXTS, *_LISTS, *_FLAGS))}")
        if not good:
            kind = "a text" if key in _TEXTS else "a list of texts" if key in _LISTS else "true, or left out"
            raise BadList(f"{where}: {key} must be {kind}")
    for key in _NEEDED:
        if key not in entry:
            raise BadList(f"{where}: {key} is missing")
    for name in entry.get("where", []):  # type: ignore[attr-defined]
        if name not in needs.PROBES:
            raise BadList(f"{where}: unknown need {name!r}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Deviation(**values)  # type: ignore[arg-type]
