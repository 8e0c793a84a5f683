"""Everything that is wrong with the arguments of one call, told in one UsageError."""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Value = TypeVar("Value")

#: Characters of a value; a path has room.
_SHOWN = 400


class Problems:
    """Collects lines like ``memory="lots": expected bytes or a number with k, m or g``."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, value: object, reason: str) -> None:
        self.lines.append(f"{name}={shown(value)}: {reason}")

    def take(self, name: str, value: object, parse: Callable[[object], Value], default: Value) -> Value:
        """What ``parse`` makes of a value; where it refuses, the problem is noted and ``default`` stands in."""
        try:
            return parse(value)
        except ValueError as error:
            self.add(name, value, str(error))
            return default

    def finish(self) -> None:
        if self.lines:
            raise UsageError("\n".join(self.lines))


def shown(value: object) -> str:
    """A value as it might have been written, cut where it is long."""
    written = dumps(value) if isinstance(value, str) else repr(value)
    return written if len(written) <= _SHOWN else written[:_SHOWN] + "…"


def item(name: str, key: object) -> str:
    """How an entry of a dict is called: ``files["data.csv"]``."""
    return f"{name}[{shown(getattr(key, '__fspath__', lambda: key)())}]"


def named(name: str, value: object, parse: Callable[[object], Value]) -> Value:
    """What ``parse`` makes of one argument; UsageError with its name where it refuses."""
    try:
        return parse(value)
    except ValueError as error:
        raise UsageError(f"{name}={shown(value)}: {error}") from None
