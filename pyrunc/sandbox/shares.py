"""``files`` and ``mounts``: what a box is given of the host, and in which way.

Only what the arguments say: whether the sources exist is looked up in ``base``.
"""

from __future__ import annotations

from pyrunc.sandbox import values
from pyrunc.sandbox.problems import item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.sandbox.problems import Problems
    from pyrunc.spec.types import Mount

#: ro: read-only; rw: the host's own; cow: a private copy (a file) or overlay (a directory) of this box alone
MODES = ("ro", "rw", "cow")

_EXPECTED = "expected a path inside the box, or (path, mode)"


class Share:
    """``source`` on the host, absolute, at ``destination`` in the box; ``where`` names the argument."""

    __slots__ = ("destination", "directory", "mode", "source", "where")

    def __init__(self, where: str, source: str, destination: str, mode: str, *, directory: bool) -> None:
        self.where = where
        self.source = source
        self.destination = destination
        self.mode = mode
        self.directory = directory

    def mount(self) -> Mount:
        return bind(self.source, self.destination, directory=self.directory, readonly=self.mode == "ro")


def bind(source: str, destination: str, *, directory: bool, readonly: bool) -> Mount:
    """A bind mount; set-id bits and device nodes in it mean nothing, nor in what is mounted below a directory."""
    if directory:
        options = ["rbind", "rnosuid", "rnodev", *(["rro"] if readonly else [])]
    else:
        options = ["bind", "nosuid", "nodev", *(["ro"] if readonly else [])]
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def read(problems: Problems, files: object, mounts: object) -> tuple[Share, ...]:
    """Both arguments, ordered so that nothing is hidden by what is mounted above it later."""
    found = [*_read(problems, "files", files, False), *_read(problems, "mounts", mounts, True)]
    # Components, not text: "/a-b" sorts between "/a" and "/a/b".
    found.sort(key=lambda share: share.destination.split("/"))
    return tuple(found)


def _read(problems: Problems, name: str, given: object, directory: bool) -> list[Share]:
    if given is None:
        return []
    items = getattr(given, "items", None)
    if items is None:
        problems.add(name, given, "expected a dict from paths of the host to paths inside the box")
        return []
    found = []
    for source, value in items():
        where = item(name, source)
        share = _share(problems, where, source, value, directory)
        if share is not None:
            found.append(share)
    return found


def _share(problems: Problems, where: str, source: object, value: object, directory: bool) -> Share | None:
    destination, mode = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, "ro")
    if isinstance(destination, (tuple, list)):
        problems.add(where, value, _EXPECTED)
        return None
    before = len(problems.lines)
    host = problems.take(where, source, values.absolute, "")
    place = problems.take(where, destination, values.place, "")
    if not isinstance(mode, str) or mode not in MODES:
        problems.add(where, value, f"there is no mode {mode!r}; there are {', '.join(MODES)}")
    elif mode == "cow" and ":" in place:
        problems.add(where, value, "a path that is copied on write cannot contain a colon")
    if len(problems.lines) > before:
        return None
    return Share(where, host, place, mode, directory=directory)


def check(problems: Problems, shares: Sequence[Share], taken: dict[str, str]) -> None:
    """No two things at one place; ``taken`` says which are the box's own, and by which argument."""
    seen = dict(taken)
    for share in shares:
        first = seen.setdefault(share.destination, share.where)
        if first != share.where:
            problems.add(share.where, share.destination, f"is the place of {first} already")
