"""Signals by every name that people and engines use."""

from __future__ import annotations

import signal

import pytest

from pyrunc.errors import UsageError
from pyrunc.host import signals


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigterm", 15),
        ("Term", 15),
        ("15", 15),
        ("0", 0),
        ("64", 64),
        ("SIGIOT", 6),
        ("CLD", signal.SIGCHLD),
        ("POLL", signal.SIGIO),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmax-1", signal.SIGRTMAX - 1),
    ],
)
def test_a_signal_is_known_by(text: str, number: int) -> None:
    assert signals.number(text) == number


@pytest.mark.parametrize("text", ["", "SIG", "FOO", "65", "-1", "1.5", "RTMIN-1", "RTMAX+1", "RTMIN+99", "²"])
def test_an_unknown_signal_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        signals.number(text)
    assert str(caught.value).startswith(f'unknown signal "{text}" (')


def test_names_and_numbers_agree_with_the_standard_library() -> None:
    for known in signal.Signals:
        assert signals.number(known.name) == known
        assert signals.number(signals.name(known)) == known
    assert signals.name(17) == "SIGCHLD"
    assert signals.name(signal.SIGRTMIN + 2) == "SIGRTMIN+2"
    assert signals.name(99) == "99"
