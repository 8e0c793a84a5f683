"""Where an object is in a tree: a chain of names, so that a deep tree costs a link an object and not a path each."""

from __future__ import annotations

import os

from pyrunc.errors import HostError


class Place:
    """A name in a directory; the root of a tree has neither."""

    __slots__ = ("name", "parent")

    def __init__(self, parent: Place | None = None, name: str = "") -> None:
        self.parent = parent
        self.name = name

    def names(self) -> list[str]:
        """The names that lead from the root to here."""
        found = []
        place: Place | None = self
        while place is not None and place.parent is not None:
            found.append(place.name)
            place = place.parent
        found.reverse()
        return found

    def below(self, directory: str) -> str:
        """The path of this place when the root is ``directory``, an absolute path."""
        names = self.names()
        if not names:
            return directory
        return directory.rstrip("/") + "/" + "/".join(names)


def failed(error: OSError, path: str) -> HostError:
    """The kernel's answer about ``path``, in the words of the other errors."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return HostError(text[:1].lower() + text[1:], where=path)
