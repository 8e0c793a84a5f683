"""Many mounts in one container, for tests that look at one each.

Where a runtime cannot make that container, half of them are in one, and so on, so that a mount which it refuses does
not decide about the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.config import Config
    from conformance.seen import Mount, Seen
    from conformance.workshop import Workshop


@dataclass(frozen=True)
class Trial:
    """Entries of ``mounts``, and what the probe is asked about them."""

    entries: tuple[dict[str, Any], ...]
    asked: tuple[str, ...] = ()


def place(name: str) -> str:
    """Where the trial of that name has its mounts."""
    return f"/trials/{name}"


def trial(name: str, source: object, options: str, *asked: str, type: str = "none") -> Trial:
    """One mount at ``place(name)``; ``options`` are words, and "{}" in what is asked is the place."""
    entry = {"destination": place(name), "type": type, "source": str(source), "options": options.split()}
    return Trial((entry,), tuple(word.format(place(name)) for word in asked))


class Trials:
    """What the probe saw of each."""

    def __init__(
        self, workshop: Workshop, trials: dict[str, Trial], change: Callable[[Config], object] = lambda _: None
    ) -> None:
        """``change`` is made to the config beforehand."""
        self.workshop = workshop
        self.change = change
        self.found: dict[str, Seen | Failed] = {}
        self.find(list(trials.items()))

    def find(self, trials: list[tuple[str, Trial]]) -> None:
        """Run them together; where that fails, each half of them."""
        result: Seen | Failed
        try:
            result = self.run(each for _, each in trials)
        except Failed as failure:
            if len(trials) > 1:
                middle = len(trials) // 2
                self.find(trials[:middle])
                self.find(trials[middle:])
                return
            result = failure
        self.found.update((name, result) for name, _ in trials)

    def run(self, trials: Iterable[Trial]) -> Seen:
        box = self.workshop.container()
        self.change(box.config)
        # A user namespace's root may not make directories in what belongs to the host's.
        above = box.rootfs / place("").strip("/")
        above.mkdir()
        above.chmod(0o777)
        asked: list[str] = []
        for each in trials:
            box.config["mounts"] += each.entries
            asked += each.asked
        return box.report(*asked)

    def __getitem__(self, name: str) -> Seen:
        """The report of the container that has the trial; Failed where none could be made."""
        found = self.found[name]
        if isinstance(found, Failed):
            raise found
        return found

    def mount(self, name: str, below: str = "") -> Mount:
        return self[name].mount(place(name) + below)
