"""The same moment for many callers: each command stands at a gate, in a process of its own, and one act opens it."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from conformance.verdict import Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.call import Call, Outcome
    from conformance.runtime import Runtime

#: How many callers there are.
CALLERS = 16

#: Tells that it is there, reads until the gate is opened, and becomes the command.
_GATE = "import os, sys; fd = int(sys.argv[1]); os.write(fd, b'.'); os.read(fd, 1); os.close(fd); "
_GATE += "os.execv(sys.argv[2], sys.argv[2:])"

#: Seconds in which all callers should have come to the gate, on a machine that is busy.
_PATIENCE = 60.0


def begun(runtime: Runtime, lines: Sequence[Sequence[object]]) -> list[Call]:
    """Each of ``lines``, a verb and its arguments; none has begun before all could."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_PATIENCE)
        gate = [sys.executable, "-ISc", _GATE, str(theirs.fileno())]
        calls = [
            runtime.begin(str(verb), *map(str, arguments), fds=[theirs.fileno()], before=gate)
            for verb, *arguments in lines
        ]
        waiting = len(calls)
        while waiting:
            waiting -= len(ours.recv(waiting))
    return calls


def ended(runtime: Runtime, calls: Sequence[Call]) -> list[Outcome]:
    """What came of them; Broken where one hangs or crashes, when all have ended."""
    outcomes: list[Outcome] = []
    broken: list[Broken] = []
    for call in calls:
        try:
            outcomes.append(call.wait(runtime.deadline))
        except Broken as error:
            broken.append(error)
    if broken:
        raise broken[0]
    return outcomes


def at_once(runtime: Runtime, *lines: Sequence[object]) -> list[Outcome]:
    """The outcome of each of ``lines``, all of which were called at the same moment."""
    return ended(runtime, begun(runtime, lines))


def counted(outcomes: Sequence[Outcome]) -> tuple[list[int], str]:
    """Which have succeeded, and what all of them said, for a message."""
    winners = [number for number, outcome in enumerate(outcomes) if outcome.status == 0]
    return winners, "\n".join(outcome.told() for outcome in outcomes)
