"""The global options that stand for io.pyrunc annotations: from their values to those of the annotations.

Imported only for a command line that has one of them.  The syntax of the values is known to ``pyrunc.spec.isolation``.
"""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.spec.isolation import COW, KEYS, ROOTFS, TMP, WORDS, WORKSPACE, flag_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def asked(given: dict[str, Any]) -> dict[str, str]:
    """Annotations by key, from all global options by name.  UsageError that names every malformed one."""
    found: dict[str, str] = {}
    for key in (TMP, ROOTFS):
        value = given[_option(key)]
        if value is not False:
            found[key] = WORDS[key] if value is True else f"{WORDS[key]},{value}"
    if given[_option(WORKSPACE)] is not None:
        found[WORKSPACE] = given[_option(WORKSPACE)]
    if given[_option(COW)]:
        found[COW] = ":".join(given[_option(COW)])
    problems = [f"{KEYS[key][0]}: {problem}" for key, value in found.items() if (problem := flag_problem(key, value))]
    if problems:
        raise UsageError("; ".join(problems))
    return found


def _option(key: str) -> str:
    return KEYS[key][0].removeprefix("--")
