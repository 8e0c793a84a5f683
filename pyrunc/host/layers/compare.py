"""Whether an object of a layer differs from the one that it hides.

overlayfs copies a lower object into the upper directory as soon as something might change it, with its times.  What
was not changed after all is not a change.
"""

from __future__ import annotations

import os
import stat

from pyrunc.host.layers import content, xattrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import stat_result


def differs(name: str, upper: int, above: stat_result, lower: int, below: stat_result) -> bool:
    """Whether ``name`` is different in two directories, both open, where ``lstat`` found ``above`` and ``below``.

    Times and sizes of directories do not count: they follow from changes of what is in them.  A file whose
    attributes are all the same is compared by content: times are the container's to set, and would hide a change.
    """
    kind = stat.S_IFMT(above.st_mode)
    if _attributes(above) != _attributes(below):
        return True
    if kind != stat.S_IFDIR and above.st_mtime_ns != below.st_mtime_ns:
        return True
    if kind == stat.S_IFREG and above.st_size != below.st_size:
        return True
    if kind == stat.S_IFLNK and content.read_link(upper, name) != content.read_link(lower, name):
        return True
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and above.st_rdev != below.st_rdev:
        return True
    found = xattrs.read(xattrs.at(upper, name))
    if found is None or found != xattrs.read(xattrs.at(lower, name)):
        return True
    return kind == stat.S_IFREG and above.st_size > 0 and not _same_content(name, upper, lower, above.st_size)


def shows_through(merged: stat_result, below: stat_result) -> bool:
    """Whether what an overlay shows, no directory, is the lower object itself: nobody can give a copy its ctime."""
    return (merged.st_mode, merged.st_size, merged.st_ctime_ns) == (below.st_mode, below.st_size, below.st_ctime_ns)


def _attributes(found: stat_result) -> tuple[int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid


def _same_content(name: str, upper: int, lower: int, size: int) -> bool:
    one = content.open_regular(upper, name)
    try:
        try:
            other = content.open_regular(lower, name)
        except FileNotFoundError:  # the source has changed since
            return False
        try:
            return content.same(one, other, size)
        finally:
            os.close(other)
    finally:
        os.close(one)
