"""Which verb may follow which status; an illegal pair is refused in runc's words."""

from __future__ import annotations

import pytest

from pyrunc.errors import StateError
from pyrunc.state import machine

ALL = (machine.CREATING, machine.CREATED, machine.RUNNING, machine.PAUSED, machine.STOPPED)


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize("verb", sorted(machine.LEGAL))
def test_every_pair_is_either_legal_or_has_words(verb: str, status: str) -> None:
    if status in machine.LEGAL[verb]:
        machine.require(verb, status, "id")
    else:
        with pytest.raises(StateError) as error:
            machine.require(verb, status, "id")
        assert error.value.message


def test_runcs_words() -> None:
    for verb, status, words in (
        ("start", machine.RUNNING, "cannot start an already running container"),
        ("start", machine.STOPPED, "cannot start a container that has stopped"),
        ("kill", machine.STOPPED, "container not running"),
        ("exec", machine.STOPPED, "cannot exec in a stopped container"),
        ("delete", machine.RUNNING, "cannot delete container c1 that is not stopped: running"),
    ):
        with pytest.raises(StateError) as error:
            machine.require(verb, status, "c1")
        assert error.value.message == words
