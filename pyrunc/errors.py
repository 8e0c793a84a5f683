"""Every error that pyrunc raises on purpose.

Only exception types live here: what happened, where in config.json it comes from, and what to do
about it.  Nothing here prints or exits; only ``pyrunc.cli`` does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.sandbox.result import Completed


class PyruncError(Exception):
    """Base of all errors: ``where`` is a config path or a file, ``hint`` says what to do.

    ``str(error)`` is the one line that a user sees: ``where: message (hint)``.
    """

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.notes: list[str] = []

    def add(self, note: str) -> None:
        """Attach a clean-up failure; it never replaces the first error."""
        self.notes.append(note)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.hint:
            text += f" ({self.hint})"
        if self.notes:
            text += " [also: " + "; ".join(self.notes) + "]"
        return text


class Violation:
    """One broken rule of a config: ``path`` as in ``process.rlimits[2].soft``, and why."""

    __slots__ = ("path", "reason")

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason

    def __repr__(self) -> str:
        return f"Violation({self.path!r}, {self.reason!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Violation) and (self.path, self.reason) == (other.path, other.reason)

    def __hash__(self) -> int:
        return hash((self.path, self.reason))


class SpecError(PyruncError):
    """A config that cannot be used; ``violations`` holds every reason, in document order."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("\n".join(map(str, violations)))
        self.violations = tuple(violations)


class StateError(PyruncError):
    """A verb that the container's state does not allow, or a container that does not exist."""


class NoContainer(StateError):
    """There is no container of that id, not even what is left of one."""


class UsageError(PyruncError):
    """A command line or an argument of the API that makes no sense."""


class HostError(PyruncError):
    """The host lacks something, or refused something, outside of any single op."""


class CriuFailed(HostError):
    """CRIU's answer was no; the hint is what it has said beyond that."""


class OpFailed(PyruncError):
    """An op of the plan failed: ``op`` is its name, ``errno`` the kernel's answer (0: none)."""

    def __init__(self, message: str, *, op: str, errno: int = 0, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.op = op
        self.errno = errno


class ProgramFailed(PyruncError):
    """A program of a sandbox that was to succeed did not: ``result`` is the Completed."""

    def __init__(self, result: Completed) -> None:
        super().__init__(result.how, where=result.args[0])
        self.result = result
