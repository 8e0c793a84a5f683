"""The values of update's options: how sizes and numbers are read, and what is refused by the option's name."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import lean, limits
from pyrunc.cli.commands import UPDATE
from pyrunc.errors import UsageError

NOTHING: dict[str, Any] = {option.name: option.default for option in UPDATE}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096b", 4096),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("64 mi", 64 << 20),
        ("1.5g", 3 << 29),
        ("0.5k", 512),
        ("1t", 1 << 40),
        ("2p", 2 << 50),
        ("-1", -1),
    ],
)
def test_a_size_is_what_runc_takes_for_one(text: str, expected: int) -> None:
    assert limits.size(text) == expected


#: How docker's library reads a size, in a line.
SIZE = re.compile(r"(\d+)(?:\.(\d+))? ?([kmgtp]?)(i?b|b?i?)", re.ASCII | re.IGNORECASE)


@given(st.text(st.sampled_from("0123456789.kKmMgGtTpPiIbB -+x٣"), max_size=8))
def test_a_size_is_taken_exactly_or_not_at_all(text: str) -> None:
    try:
        found = limits.size(text)
    except ValueError:
        assert not re.fullmatch(r"\d+[kmg]?", text, re.ASCII)
        return
    if text == "-1":
        assert found == -1
        return
    match = SIZE.fullmatch(text)
    assert match
    whole, fraction, unit = match[1], match[2] or "", match[3].lower()
    factor = 1024 ** " kmgtp".index(unit or " ")
    assert found == int(Fraction(int(whole + fraction), 10 ** len(fraction)) * factor)


@given(st.integers(-(10**19), 10**19))
def test_a_whole_number_is_taken_as_written(number: int) -> None:
    assert limits.whole(str(number)) == number


@pytest.mark.parametrize("text", ["", "1_0", " 1", "1 ", "+1", "0x10", "1.0", "--1", "٣", "1e3", "9" * 5000])
def test_what_is_no_whole_number_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid value for --cpu-period: .* is not a whole number$"):
        limits.resources({**NOTHING, "cpu-period": text})


@pytest.mark.parametrize("text", ["", "m", "1.m", ".5m", "-2", "-64m", "1..5", "64x", "64mm", "1 2", "64  m", "inf"])
def test_what_is_no_size_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid value for --memory-swap: .* is not a size like 64m, 1.5g or 4096"):
        limits.resources({**NOTHING, "memory-swap": text})


def test_each_option_sets_its_field() -> None:
    values = {option: str(number) for number, option in enumerate(limits.FIELDS, 1)}
    assert limits.resources({**NOTHING, **values}) == {
        "blockIO": {"weight": 1},
        "cpu": {
            "period": 2, "quota": 3, "burst": 4, "shares": 5, "realtimePeriod": 6, "realtimeRuntime": 7, "idle": 8,
            "cpus": "9", "mems": "10",
        },
        "memory": {"limit": 11, "reservation": 12, "swap": 13, "kernel": 14, "kernelTCP": 15},
        "pids": {"limit": 16},
    }  # fmt: skip
    assert limits.resources(NOTHING) == {}


def test_every_option_of_the_table_is_a_field_or_refused() -> None:
    others = {"resources", "plan"}
    assert {option.name for option in UPDATE} - others == set(limits.FIELDS) | set(limits.REFUSED)


@pytest.mark.parametrize("option", limits.REFUSED)
def test_what_is_not_implemented_is_refused_by_name(option: str) -> None:
    with pytest.raises(UsageError, match=rf"^--{option}: Intel RDT is not implemented by pyrunc$"):
        limits.resources({**NOTHING, option: "L3:0=f"})


@pytest.mark.parametrize("option", [*limits.FIELDS, *limits.REFUSED])
def test_no_other_option_beside_a_file(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["--root", "/nowhere", "update", "-r", "/absent", f"--{option}", "1", "x"]) == 1
    text = f"pyrunc: --{option}: not together with --resources (put it into the file)\n"
    assert capfd.readouterr().err == text
