"""Lengths of time as Go writes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import durations, lean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5), ("100ms", 0.1), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0), ("-5s", -5), ("+1s", 1), ("1us", 1e-6),
        ("1µs", 1e-6), ("10ns", 1e-8), (".5s", 0.5), ("1.s", 1), ("1m0.5s", 60.5), ("-0", 0),
    ],
)  # fmt: skip
def test_a_length_of_time(text: str, expected: float) -> None:
    assert durations.seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "5 s", "5x", "1s2", "--1s", "1_0s", "٣s", "1..5s", "-", "9" * 40 + "s"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        durations.seconds(text)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_are_added(hours: int, minutes: int, milliseconds: int) -> None:
    total = hours * 3600 + minutes * 60 + milliseconds / 1000
    assert durations.seconds(f"{hours}h{minutes}m{milliseconds}ms") == pytest.approx(total)


@given(st.text(st.sampled_from("0123456789.nuµmsh+- "), max_size=10))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        found = durations.seconds(text)
    except ValueError:
        return
    assert (found < 0) <= text.startswith("-")


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ("0", "duration interval must be greater than 0"),
        ("-5s", "duration interval must be greater than 0"),
        ("x", 'invalid value "x" for flag -interval: parse error (as 5s or 100ms)'),
        ("5", 'invalid value "5" for flag -interval: parse error (as 5s or 100ms)'),
    ],
)
@pytest.mark.parametrize("more", [[], ["--stats"]])
def test_an_interval_that_is_none_is_refused_first(
    interval: str, said: str, more: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert lean.main(["--root", "/nowhere", "events", *more, "--interval", interval, "x"]) == 1
    assert capfd.readouterr().err == f"pyrunc: {said}\n"
