"""Changes files of cgroups, all or none: what was written before a failure is put back.

The ops are those of plan.update.  Limits that bound one another may be in the wrong order for what the cgroup has now:
what the kernel refuses with EINVAL is tried again when the others have been written.
"""

from __future__ import annotations

import errno

from pyrunc.errors import OpFailed, PyruncError
from pyrunc.host import execute
from pyrunc.host.cgroups import restoring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.plan.ops import Op


def change(ops: Sequence[Op], told: Sequence[Op], keep: Callable[[], None], forget: Callable[[], None]) -> None:
    """Perform the ops, then ``keep``, then what systemd is told; OpFailed, or what ``keep`` raises, when the files are
    as they were, and ``forget`` has undone ``keep``.

    systemd is the last because its properties cannot be put back: one that was not set has no value to be set to.
    What else could not be put back is told in the error's notes.
    """
    noted = restoring.Noted()
    undo: list[Callable[[], None]] = []
    try:
        _perform(ops, noted)
        keep()
        undo.append(forget)
        _perform(told, noted)
    except BaseException as error:
        for text in noted.put_back() + _undone(undo):
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


def _perform(ops: Sequence[Op], noted: restoring.Noted) -> None:
    context = execute.Context(str, "", _no_warning)
    pending = list(ops)
    while pending:
        postponed: list[Op] = []
        refusal: OpFailed | None = None
        for op in pending:
            noted.note(op)
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


def _no_warning(_: str) -> None:
    """No op of an update has one."""
