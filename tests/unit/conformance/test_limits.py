"""Limits that are tried together: what a runtime refuses of them says nothing about the others."""

from __future__ import annotations

import pytest

from conformance.support.limits import together
from conformance.verdict import Failed


def test_what_works_together_is_run_once() -> None:
    runs = []

    def run(some: dict[str, int]) -> str:
        runs.append(sorted(some))
        return "fine"

    assert together({"a": 1, "b": 2, "c": 3}, run) == dict.fromkeys("abc", "fine")
    assert runs == [["a", "b", "c"]]


@pytest.mark.parametrize("bad", [{"a"}, {"c"}, {"b", "e"}, set("abcde")], ids=lambda names: "".join(sorted(names)))
def test_a_failure_is_that_of_the_wish_alone(bad: set[str]) -> None:
    def run(some: dict[str, int]) -> list[str]:
        if bad & some.keys():
            raise Failed(f"not {sorted(some)}")
        return sorted(some)

    found = together(dict.fromkeys("abcde", 1), run)
    assert {name for name, each in found.items() if isinstance(each, Failed)} == bad
    assert all(name in each for name, each in found.items() if isinstance(each, list))


def test_nothing_to_try_is_nothing() -> None:
    assert together({}, lambda some: some) == {}
