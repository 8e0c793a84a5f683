"""One container for many tests: what it showed is kept, so that each statement has a test and a verdict of its own.

A test asks the fixture ``shared`` for what a function of its module returns.  The function is given a workshop, and
runs once for each runtime in each process; that it fails is kept as well, and is the verdict of each test that asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from conformance.verdict import Failed
from conformance.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from conformance.evidence import Evidence
    from conformance.installed import Installed

    class Shared(Protocol):
        """The fixture: ``shared(function)`` is what ``function(workshop)`` returned."""

        def __call__(self, make: Callable[[Workshop], T]) -> T: ...


T = TypeVar("T")


class Shelf:
    """What was made in this process: by runtime and function, with the evidence, or the failure in its place."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.made: dict[tuple[Installed, Callable[[Workshop], Any]], tuple[Any, BaseException | None, Evidence]] = {}

    def get(
        self, installed: Installed, make: Callable[[Workshop], T]
    ) -> tuple[T | None, BaseException | None, Evidence]:
        key = (installed, make)
        if key not in self.made:
            workshop = Workshop(installed, deadline=self.deadline)
            result: T | None = None
            failure: BaseException | None = None
            try:
                with workshop:
                    result = make(workshop)
            except (AssertionError, Failed) as error:
                failure = error
            self.made[key] = (result, failure, workshop.evidence)
        return self.made[key]
