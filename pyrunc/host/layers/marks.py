"""Paths of a container at which a walk of a layer does something else: they stand for what pyrunc itself put there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Marks:
    """The marks of one directory: those of its own, and those below it by name."""

    __slots__ = ("below", "covered", "made")

    def __init__(self) -> None:
        self.below: dict[str, Marks] = {}
        self.made = False  # pyrunc made it as a mount point
        self.covered = False  # another layer is mounted there

    def at(self, name: str) -> Marks:
        return self.below.get(name, NONE)

    def _find(self, path: str) -> Marks:
        marks = self
        for name in filter(None, path.split("/")):
            marks = marks.below.setdefault(name, Marks())
        return marks


NONE = Marks()


def of_layer(destination: str, destinations: Iterable[str], made: Iterable[str]) -> Marks:
    """The marks of the layer at ``destination``; all are paths in the container."""
    marks = Marks()
    for path in destinations:
        if _inside(path, destination):
            marks._find(_relative(path, destination)).covered = True
    for path in made:
        if _inside(path, destination):
            marks._find(_relative(path, destination)).made = True
    return marks


def _inside(path: str, directory: str) -> bool:
    return path != directory and path.startswith(directory.rstrip("/") + "/")


def _relative(path: str, directory: str) -> str:
    return path[len(directory.rstrip("/")) :]
