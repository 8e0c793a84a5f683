"""Where an object is in a tree: a chain of names, so that a deep tree costs a link an object and not a path each."""

from __future__ import annotations

import errno
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


class Paths:
    """Paths of places when the root is ``directory``: found from the last one where a walk asks for them in its order.

    Only one is kept, for the reason that places are chains.
    """

    __slots__ = ("_directory", "_last")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._last: tuple[Place, str] | None = None

    def of(self, place: Place) -> str:
        return self._directory if place.parent is None else self._inside(place.parent) + place.name

    def _inside(self, place: Place) -> str:
        """The path of a directory, with a slash at its end."""
        if self._last is not None:
            last, path = self._last
            if place is last:
                return path
            if place.parent is last:
                path += place.name + "/"
            elif last.parent is place:
                path = path[: -len(last.name) - 1]
            else:
                path = self._whole(place)
        else:
            path = self._whole(place)
        self._last = place, path
        return path

    def _whole(self, place: Place) -> str:
        return place.below(self._directory).rstrip("/") + "/"


def failed(error: OSError, path: str) -> HostError:
    """The kernel's answer about ``path``, in the words of the other errors."""
    text = os.strerror(error.errno) if error.errno else str(error)
    refused = error.errno == errno.EACCES and os.geteuid() != 0
    hint = "it is closed to you: only root can, or a program in the container" if refused else ""
    return HostError(text[:1].lower() + text[1:], where=path, hint=hint)
