"""Can this runtime be asked at all?  One life of the smallest container, before any test of it.

What it says of a runtime is the verdict of each test of that runtime: one sentence, and never a traceback of ours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from conformance.state import STATUSES
from conformance.verdict import Broken, Failed, Hung
from conformance.workshop import Workshop

if TYPE_CHECKING:
    from conformance.call import Outcome
    from conformance.container import Container
    from conformance.installed import Installed


def silent(outcome: Outcome) -> None:
    """Standard output is the container's, except of verbs whose work is to print."""
    if outcome.stdout:
        raise Broken(f"`{outcome.line}` writes to standard output, which is the container's: {outcome.stdout[:200]!r}")


def live(container: Container) -> None:
    """From create to delete.  Raises Failed, or Broken."""
    silent(container.create())
    status = container.status()
    if status not in STATUSES:
        raise Broken(f"after create the status is {status!r}, which is none of {', '.join(sorted(STATUSES))}")
    if container.output() or container.errors():
        raise Broken(f"the container's program writes before start{container.told()}")
    silent(container.start())
    container.until_output("waiting")
    silent(container.kill("KILL"))
    container.until_stopped()
    silent(container.delete())


@cache
def complaint(installed: Installed, deadline: float) -> str:
    """What keeps the runtime from being tested, "" for nothing; found once in each process."""
    try:
        with Workshop(installed, deadline=deadline) as workshop:
            live(workshop.container())
    except Failed as failure:
        return f"{installed.name} cannot live through the smallest container:\n{failure}"
    return ""


class Patience:
    """How often a runtime may hang in this process until nobody asks it any more: each time costs a deadline."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.hung: dict[Installed, list[Hung]] = {}

    def note(self, installed: Installed, *errors: BaseException | None) -> None:
        """A test and its clearing up have ended with ``errors``; what several tests share has hung once."""
        known = self.hung.setdefault(installed, [])
        for error in errors:
            inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
            known += [each for each in inner if isinstance(each, Hung) and all(each is not one for one in known)]

    def complaint(self, installed: Installed) -> str:
        """Why the runtime is not asked any more, "" as long as it is."""
        if len(self.hung.get(installed, ())) < self.limit:
            return ""
        return f"{installed.name} was not asked: it had hung in {self.limit} tests (--hangs {self.limit})"
