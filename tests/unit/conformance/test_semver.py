"""Versions, in the order that semver.org gives as an example, and what is none."""

from __future__ import annotations

import itertools

import pytest

from conformance import semver

ORDER = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
         "1.0.0-rc.1", "1.0.0", "1.0.2-dev", "1.0.2", "1.2.0", "1.10.0", "2.0.0"]  # fmt: skip


def test_the_order_of_versions() -> None:
    parsed = [semver.parse(text) for text in ORDER]
    assert None not in parsed
    assert all(low < high for low, high in itertools.pairwise(parsed))  # type: ignore[operator]


def test_a_build_does_not_count() -> None:
    assert semver.parse("1.2.0+dev") == semver.parse("1.2.0")


@pytest.mark.parametrize("text", ["", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0\n", None])
def test_what_is_no_version(text: str | None) -> None:
    assert semver.parse(text) is None
