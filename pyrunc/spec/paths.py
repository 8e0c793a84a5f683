"""How a place in a config is written: ``mounts[3].options``, ``linux.sysctl["net.core.somaxconn"]``.

Only the notation and the order of places live here.  ops, violations and messages all use it.
"""

from __future__ import annotations

from pyrunc.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LAST = 1 << 62


def join(path: str, key: str | int) -> str:
    """The path of ``key`` in the object or array at ``path`` ("" is the whole document)."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not key.isidentifier():
        return f"{path}[{jsontext.dumps(key)}]"
    return f"{path}.{key}" if path else key


def join_all(keys: Iterable[str | int]) -> str:
    """The path that leads through ``keys`` from the top."""
    path = ""
    for key in keys:
        path = join(path, key)
    return path


def overlap(one: str, other: str) -> bool:
    """True when one path is the other, or holds it."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and (short == "" or long[len(short) : len(short) + 1] in ("", ".", "["))


def strings(document: object) -> Iterable[tuple[str, str]]:
    """Every string of a document with its path, the keys of objects too; in no particular order.

    Iterative: the depth of a document is its author's choice.
    """
    rest: list[tuple[str, object]] = [("", document)]
    while rest:
        path, value = rest.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for key, item in value.items():
                name = join(path, key)
                yield name, key
                rest.append((name, item))
        elif isinstance(value, list):
            rest.extend((f"{path}[{index}]", item) for index, item in enumerate(value))


def places(document: object) -> dict[str, tuple[int, ...]]:
    """Every path of a document with a key that sorts as the document is written."""
    found: dict[str, tuple[int, ...]] = {}
    rest: list[tuple[str, tuple[int, ...], object]] = [("", (), document)]
    while rest:
        path, place, value = rest.pop()
        found[path] = place
        if isinstance(value, dict):
            members = enumerate(value.items())
            rest.extend((join(path, key), (*place, index), item) for index, (key, item) in members)
        elif isinstance(value, list):
            rest.extend((f"{path}[{index}]", (*place, index), item) for index, item in enumerate(value))
    return found


def place(known: dict[str, tuple[int, ...]], path: str) -> tuple[int, ...]:
    """The sort key of ``path``; what is missing comes behind all that its parent has."""
    cut = len(path)
    while cut and (path[:cut] not in known or path[cut : cut + 1] not in ("", ".", "[")):
        cut -= 1
    return known[path] if cut == len(path) else (*known[path[:cut]], _LAST)
