"""What files of cgroups said before ops wrote to them, and how they come to say it again.

An update that fails needs it for all files, a creation that fails for the cgroups that were there before it.
"""

from __future__ import annotations

import posix

from pyrunc.host import failure, files
from pyrunc.host.cgroups import ownership, tree
from pyrunc.plan.resources.before import ALSO, before, devices, is_kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.plan.ops import Op

#: Ops whose arguments are a path and a value, and perhaps another path and value.
_WRITES = ("cgroup_write", "cgroup_write_if_there", "cgroup_write_either", "cgroup_write_pair")


class _File:
    """What a file said at first, and what has to be written for it to say that again: (path, value), in this order."""

    __slots__ = ("content", "writes")

    def __init__(self, content: str) -> None:
        self.content = content
        self.writes: list[tuple[str, str]] = []


class Noted:
    """The files that ops are about to write to; each op is noted before it is executed."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def note(self, op: Op) -> None:
        for path, value in _writes(op):
            directory, _, name = path.rpartition("/")
            for other in (name, *ALSO.get(name, ())):
                self._note(directory, other, value)

    def _note(self, directory: str, name: str, value: str) -> None:
        path = f"{directory}/{name}"
        if name in ("devices.allow", "devices.deny"):
            path = f"{directory}/devices.list"
            if path not in self._files:
                entry = self._files[path] = _File(_read(path))
                entry.writes = [(f"{directory}/{file}", line) for file, line in devices(entry.content)]
            return
        if not is_kept(name) or not _can_be_read(path):
            return
        content = _read(path)
        entry = self._files.setdefault(path, _File(content))
        old = before(name, value, content)
        if (path, old) not in entry.writes:
            entry.writes.insert(0, (path, old))  # a file that is written twice has its first value last

    def put_back(self) -> list[str]:
        """Returns what could not be put back, a text each.  What is gone, or says it already, needs nothing.

        What is refused is tried again as long as others change: they bound one another.
        """
        pending = [
            (path, *write)
            for path in reversed(self._files)
            if self._differs(path)
            for write in self._files[path].writes
        ]
        while pending:
            failed: dict[tuple[str, str, str], str] = {}
            for row in pending:
                _, path, value = row
                try:
                    tree.write(path, value)
                except OSError as error:
                    failed[row] = f'cannot put "{value.strip()}" back to {path}: {failure.reason(error)}'
            # An idle group's weight reads 0, which cannot be written: that has come with cpu.idle.
            left = [row for row in failed if self._differs(row[0])]
            if len(left) == len(pending):
                return [failed[row] for row in left]
            pending = left
        return []

    def _differs(self, path: str) -> bool:
        return files.exists(path) and tree.read(path) != self._files[path].content


class Found(Noted):
    """The same for cgroups that a creation has found there, and what else it does to them; the others go."""

    __slots__ = ("_owners", "directories")

    def __init__(self) -> None:
        super().__init__()
        self.directories: list[str] = []
        self._owners: dict[str, int] = {}

    def note(self, op: Op) -> None:
        args: Any = op.args
        if op.name == "cgroup_own":
            if args[0] in self.directories:
                self._owners = ownership.owners(args[0])
        elif op.name == "cgroup_copy":
            if args[0] in self.directories:
                self._note(args[0], args[1], "")
        else:
            super().note(op)

    def _note(self, directory: str, name: str, value: str) -> None:
        if directory in self.directories:
            super()._note(directory, name, value)

    def put_back(self) -> list[str]:
        return super().put_back() + ownership.put_back(self._owners)


def _writes(op: Op) -> Iterator[tuple[str, str]]:
    args: Any = op.args
    if op.name in _WRITES:
        yield args[0], args[1]
        if len(args) > 2:
            yield args[2], args[3]


def _can_be_read(path: str) -> bool:
    """Not what takes orders and says nothing, like memory.reclaim; what is absent, the op itself has to do with."""
    return files.exists(path) and bool(posix.stat(path).st_mode & 0o444)


def _read(path: str) -> str:
    try:
        return tree.read(path)
    except OSError as error:
        raise failure.op_failed(error, f"read {path}", op="cgroup_write", where="linux.resources") from error
