"""Exceptions at every place where a signal handler could raise one: behind each call of a C function and at the
start of each function, in the files of the runtime."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyrunc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    #: File, function, line, kind of event, called function
    Site = tuple[str, str, int, str, str]

_FILES = str(Path(pyrunc.__file__).parent)


class Interruption(BaseException):
    """What the handler would raise."""


def sites(action: Callable[[], object]) -> list[Site]:
    """Where ``action`` can be interrupted, each place once, in the order in which they come."""
    found: dict[Site, None] = {}

    def note(frame: FrameType, event: str, called: object) -> None:
        site = _site(frame, event, called)
        if site is not None:
            found.setdefault(site)

    with _profiled(note):
        action()
    return list(found)


def interrupted(action: Callable[[], object], at: Site) -> bool:
    """Run ``action`` up to that place; False if it did not come there, and is done."""

    def interrupt(frame: FrameType, event: str, called: object) -> None:
        if frame.f_lineno == at[2] and _site(frame, event, called) == at:
            raise Interruption

    try:
        with _profiled(interrupt):
            action()
    except Interruption:
        return True
    return False


@contextlib.contextmanager
def _profiled(function: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    sys.setprofile(function)
    try:
        yield
    finally:
        sys.setprofile(None)


def _site(frame: FrameType, event: str, called: object) -> Site | None:
    code = frame.f_code
    if event not in ("call", "c_return") or not code.co_filename.startswith(_FILES) or code.co_name == "__del__":
        return None
    return code.co_filename, code.co_qualname, frame.f_lineno, event, getattr(called, "__qualname__", "")


def children() -> set[int]:
    """Processes that this one has not reaped, whichever of its threads has started them."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
