"""What a walk down a layer tells: one object after the other, and how each differs from what lies below."""

from __future__ import annotations

import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import stat_result

    from pyrunc.host.layers.marks import Marks
    from pyrunc.host.layers.place import Place

    Event = tuple[int, "Found"]

# What the walk tells: an object of the directory that it is in; that it has gone down into a directory, told
# before; that it is about to go up again.
ENTRY, ENTER, LEAVE = 0, 1, 2

ADDED, CHANGED, DELETED, SAME = "A", "C", "D", ""


class Found:
    """One object of a layer, or one that it takes away.

    ``stat`` is None of what is deleted, ``xattrs`` of all but directories, of those that have too many to list, and of
    all in a walk by path.
    ``merged``: what lies below shows through the directory that it is in.  ``lower``: a directory that lies over
    one.  ``hides``: it lets nothing of that one through, unlike its own parent.
    """

    __slots__ = ("hides", "kind", "lower", "marks", "merged", "place", "stat", "xattrs")

    def __init__(self, place: Place, kind: str, found: stat_result | None, *, merged: bool, marks: Marks) -> None:
        self.place = place
        self.kind = kind
        self.stat = found
        self.merged = merged
        self.marks = marks
        self.xattrs: dict[str, bytes] | None = None
        self.lower = False
        self.hides = False

    @property
    def directory(self) -> bool:
        return self.stat is not None and stat.S_ISDIR(self.stat.st_mode)

    @property
    def linked(self) -> bool:
        """Whether the container has made it one of several names: a copy from below has a single one."""
        return self.stat is not None and not self.directory and self.stat.st_nlink > 1
