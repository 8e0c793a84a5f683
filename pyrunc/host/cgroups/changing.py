"""Changes files of cgroups, all or none: what was written before a failure is put back.

The ops are those of plan.update.  Limits that bound one another may be in the wrong order for what the cgroup has now:
what the kernel refuses with EINVAL is tried again when the others have been written.
"""

from __future__ import annotations

import errno

from pyrunc.errors import OpFailed, PyruncError
from pyrunc.host import execute, failure, files
from pyrunc.host.cgroups import tree
from pyrunc.plan.resources.before import before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from pyrunc.plan.ops import Op


class _Before:
    """What a file said at first, and what has to be written, in this order, for it to say that again."""

    __slots__ = ("content", "values")

    def __init__(self, content: str) -> None:
        self.content = content
        self.values: list[str] = []


def change(ops: Sequence[Op], told: Sequence[Op], keep: Callable[[], None], forget: Callable[[], None]) -> None:
    """Perform the ops, then ``keep``, then what systemd is told; OpFailed, or what ``keep`` raises, when the files are
    as they were, and ``forget`` has undone ``keep``.

    systemd is the last because its properties cannot be put back: one that was not set has no value to be set to.
    What else could not be put back is told in the error's notes.
    """
    noted: dict[str, _Before] = {}
    undo: list[Callable[[], None]] = []
    try:
        _perform(ops, noted)
        keep()
        undo.append(forget)
        _perform(told, noted)
    except BaseException as error:
        for text in _put_back(noted) + _undone(undo):
            if isinstance(error, PyruncError):
                error.add(text)
        raise


def _undone(undo: list[Callable[[], None]]) -> list[str]:
    try:
        for each in undo:
            each()
    except PyruncError as error:
        return [str(error)]
    return []


def _perform(ops: Sequence[Op], noted: dict[str, _Before]) -> None:
    context = execute.Context(str, "", _no_warning)
    pending = list(ops)
    while pending:
        postponed: list[Op] = []
        refusal: OpFailed | None = None
        for op in pending:
            for path, value in _writes(op):
                _note(path, value, noted)
            try:
                execute.execute(op, context)
            except OpFailed as error:
                if error.errno != errno.EINVAL:
                    raise
                refusal = refusal or error
                postponed.append(op)
        if refusal and len(postponed) == len(pending):
            raise refusal
        pending = postponed


def _writes(op: Op) -> Iterator[tuple[str, str]]:
    args: Any = op.args
    if op.name in ("cgroup_write", "cgroup_write_if_there", "cgroup_write_either", "cgroup_write_pair"):
        yield args[0], args[1]
        if len(args) > 2:
            yield args[2], args[3]


def _note(path: str, value: str, noted: dict[str, _Before]) -> None:
    if not files.exists(path):
        return  # the op itself knows what that means
    try:
        content = tree.read(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return  # a file that takes orders and says nothing, like memory.reclaim
        raise failure.op_failed(error, f"read {path}", op="cgroup_write", where="linux.resources") from error
    entry = noted.setdefault(path, _Before(content))
    old = before(path.rpartition("/")[2], value, content)
    if old not in entry.values:
        entry.values.insert(0, old)  # a file that is written twice has its first value last


def _put_back(noted: dict[str, _Before]) -> list[str]:
    """Returns what could not be put back, a text each."""
    changed = [path for path, entry in noted.items() if tree.read(path) != entry.content]
    pending = [(path, value) for path in reversed(changed) for value in noted[path].values]
    while pending:
        failed: dict[tuple[str, str], str] = {}
        for path, value in pending:
            try:
                tree.write(path, value)
            except OSError as error:
                failed[path, value] = f'cannot put "{value.strip()}" back to {path}: {failure.reason(error)}'
        if len(failed) == len(pending):
            return list(failed.values())
        pending = list(failed)
    return []


def _no_warning(_: str) -> None:
    """No op of an update has one."""
