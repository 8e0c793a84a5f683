"""Sequences of verbs that nobody thought of, for several containers that have nothing to do with one another.

``Machine`` lets hypothesis choose the verbs, which life.py carries out and foretells, and ``Search`` runs it: the
shortest sequence that was seen to fail is the verdict.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from conformance.evidence import RANDOM, Evidence
from conformance.support.life import BAD, PROGRAMS, Life
from conformance.verdict import Broken, Failed
from conformance.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.installed import Installed

#: Seconds for shortening a sequence that fails, and for all of them.
SHORTENING, SEARCHING = 8.0, 75.0

STEPS = 12

PROGRAM = st.sampled_from(list(PROGRAMS))

#: Mostly the first, as what is interesting takes several verbs of one container; the third has no beginning.
WHICH = st.sampled_from([0, 0, 0, 1, 2, 2])

#: What may be done to a container of each status: first, and most often, what leads on.
VERBS = {
    "": ["create", "create", "create", "create_in_vain", "create_in_vain", "start", "kill", "delete"],
    "created": [
        "start", "start", "start", "kill", "delete", "create", "create_in_vain", "die", "kill_with_nonsense",
        "lose_the_bundle",
    ],
    "running": [
        "kill", "kill", "kill", "start", "delete", "create", "create_in_vain", "die", "kill_with_nonsense",
        "lose_the_bundle",
    ],
    "stopped": ["delete", "delete", "delete", "start", "kill", "create", "create_in_vain", "lose_the_bundle"],
}  # fmt: skip

#: And what they are told.
WORDS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "create": (PROGRAM,),
    "create_in_vain": (st.sampled_from(list(BAD)),),
    "kill": (st.sampled_from(["KILL", "TERM", "USR1"]),),
}


class Machine(RuleBasedStateMachine):
    """A workshop of its own for each sequence."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search
        self.workshop = Workshop(search.installed, Evidence(), search.deadline)
        self.lives = [Life(self.workshop, name) for name in "abc"]
        self.known: set[int] = set()
        self.failure: BaseException | None = None

    @contextlib.contextmanager
    def step(self, which: int) -> Iterator[Life]:
        """A verb for one container; then each that a verb was ever for is compared."""
        self.known.add(which)
        with self.watched():
            yield self.lives[which]
            for number in sorted(self.known):
                self.lives[number].compare()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except (AssertionError, Failed) as error:
            self.failure = error
            self.search.failed(error, self.workshop.evidence)
            raise

    @initialize(program=PROGRAM)
    def first(self, program: tuple[str, ...]) -> None:
        with self.step(0) as life:
            life.create(program)

    @initialize(running=st.booleans())
    def neighbour(self, running: bool) -> None:
        """What is done to the first must not be seen by this one."""
        with self.step(1) as life:
            life.create(("wait", "3"))
            if running:
                life.start()

    @rule(which=WHICH, data=st.data())
    def verb(self, which: int, data: st.DataObject) -> None:
        with self.step(which) as life:
            verb = data.draw(st.sampled_from(VERBS[life.status]))
            getattr(life, verb)(*[data.draw(word) for word in WORDS.get(verb, ())])

    def teardown(self) -> None:
        failed = self.failure
        with self.watched():
            self.workshop.__exit__(type(failed) if failed else None, failed, None)
        self.search.ran(self.workshop.evidence)


class Enough(BaseException):
    """No further sequence; hypothesis lets it through."""


class Search:
    """``count`` sequences, chosen by ``chance``; fewer where the runtime is slow."""

    def __init__(self, installed: Installed, deadline: float) -> None:
        self.installed = installed
        self.deadline = deadline
        self.ends = time.monotonic() + SEARCHING
        self.evidence = Evidence()
        self.failure: BaseException | None = None
        self.over = False

    def run(self, count: int, chance: object) -> None:
        """Raises the Failed of the shortest sequence that failed; ``evidence`` is that of it, or of the last one."""
        wanted = settings(
            max_examples=count, stateful_step_count=STEPS, database=None, deadline=None, verbosity=Verbosity.quiet,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck), print_blob=False,
            report_multiple_bugs=False,
        )  # fmt: skip

        def machine() -> Machine:
            if time.monotonic() > self.ends:
                self.over = True
                raise Enough
            return Machine(self)

        try:
            run_state_machine_as_test(seed(chance)(machine), settings=wanted)  # type: ignore[arg-type]
        except Enough:
            pass
        except (Exception, Failed):
            # hypothesis takes a sequence without any step amiss, once it has seen others.
            if self.failure is None and not self.over:
                raise  # it is the suite's fault
        if self.failure is not None:
            lines = "\n".join(f"{outcome.line}  # exits {outcome.status}" for outcome in self.evidence.calls)
            lines = RANDOM.sub(r"\1", lines)
            kind = Broken if isinstance(self.failure, Broken) else Failed
            raise kind(f"{self.failure}\nThe sequence, with the configs of the evidence:\n{lines}")

    def failed(self, error: BaseException, evidence: Evidence) -> None:
        """Keep it when it is the first or the shortest; one that hangs is never tried again."""
        if self.failure is None:
            self.ends = min(self.ends, time.monotonic() + SHORTENING)
        if self.failure is None or len(evidence.calls) < len(self.evidence.calls):
            self.failure, self.evidence = error, evidence
        if isinstance(error, Broken):
            raise Enough

    def ran(self, evidence: Evidence) -> None:
        if self.failure is None:
            self.evidence = evidence
