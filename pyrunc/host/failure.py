"""Turns an OSError into the words and the OpFailed that the rest of pyrunc speaks, and does nothing else."""

from __future__ import annotations

import posix

from pyrunc.errors import OpFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def number(error: OSError) -> int:
    """The errno, 0 if there is none (as for a socket's time-out)."""
    return error.errno or 0


def reason(error: OSError) -> str:
    """strerror with a small first letter, as callers that match texts know it from other runtimes."""
    text = posix.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]


def sentence(error: OSError) -> str:
    """``file: reason``, or the reason alone where no file is named."""
    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)


def op_failed(error: OSError, what: str, *, op: str, where: str, hints: Mapping[int, str] | None = None) -> OpFailed:
    """``what: reason``, with the errno and the hint that the table has for it."""
    code = number(error)
    hint = (hints or {}).get(code, "")
    return OpFailed(f"{what}: {reason(error)}", op=op, errno=code, where=where, hint=hint)
