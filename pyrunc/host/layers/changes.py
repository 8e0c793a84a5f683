"""What a container has changed, as a list; and the part of a walk that whoever repeats the changes elsewhere needs."""

from __future__ import annotations

from pyrunc.host.layers.found import ENTER, ENTRY, LEAVE, SAME
from pyrunc.host.layers.place import Paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrunc.host.layers.found import Event, Found
    from pyrunc.host.layers.overlay import Walk
    from pyrunc.host.layers.place import Place


class Change:
    """``path``, absolute inside the container, was added ("A"), changed ("C") or deleted ("D").

    A name that is not UTF-8 has surrogate escapes.  The path is put together when it is asked for: those of a tree
    of ten thousand levels would fill the memory.
    """

    __slots__ = ("_paths", "_place", "kind")

    def __init__(self, kind: str, place: Place, paths: Paths) -> None:
        self.kind = kind
        self._place = place
        self._paths = paths

    @property
    def path(self) -> str:
        return self._paths.of(self._place)

    def __repr__(self) -> str:
        return f"Change({self.kind!r}, {self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and (self.kind, self.path) == (other.kind, other.path)

    def __hash__(self) -> int:
        return hash((self.kind, self.path))


def changes(walk: Walk) -> Iterator[Change]:
    """All changes of one layer, in the order of the walk."""
    paths = Paths(walk.destination)
    for step, found in walk.events():
        if step == ENTRY and found.kind != SAME:
            yield Change(found.kind, found.place, paths)


def kept(events: Iterator[Event], wanted: Callable[[Found], bool]) -> Iterator[Event]:
    """The objects that are ``wanted``, and the directories on the way to them; these by ENTER and LEAVE alone.

    The walk has each directory followed by what is in it.
    """
    pending: list[Found] = []  # entered, and nothing wanted has come yet
    for step, found in events:
        if step == LEAVE:
            if pending:
                pending.pop()
            else:
                yield LEAVE, found
        elif step == ENTER or not found.directory:
            if step == ENTER:
                pending.append(found)
            if wanted(found):
                yield from ((ENTER, directory) for directory in pending)
                pending.clear()
                if step == ENTRY:
                    yield ENTRY, found
