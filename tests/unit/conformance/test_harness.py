"""Parts of the harness that other tests do not see by what a bad runtime makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import installed, verdict
from conformance.call import BRIEF, SHOWN
from conformance.evidence import Evidence
from conformance.runs import results
from conformance.shared import Shelf
from conformance.verdict import Broken, Failed, Unsupported, Verdict
from tests.unit.conformance.fakes import fake

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.workshop import Workshop


@pytest.mark.needs("static")
def test_what_tests_share_is_made_once_for_each_runtime(tmp_path: Path) -> None:
    runtimes = [installed.find(str(fake(tmp_path / name))) for name in ("one", "two")]
    shelf = Shelf(20)
    made = []

    def status(workshop: Workshop) -> str:
        box = workshop.container()
        box.create()
        made.append(workshop.runtime.name)
        return box.status()

    for _ in range(3):
        for runtime in runtimes:
            result, failure, evidence = shelf.get(runtime, status)
            assert (result, failure) == ("created", None)
            assert len(evidence.calls) >= 2
    assert made == ["one", "two"]


@pytest.mark.needs("static")
def test_that_it_could_not_be_made_is_kept_as_well(tmp_path: Path) -> None:
    runtime = installed.find(str(fake(tmp_path / "fake", {"BEFORE_create": "exit 1"})))
    shelf = Shelf(20)
    tries = []

    def status(workshop: Workshop) -> str:
        tries.append(workshop.token)
        workshop.container().create()
        return "never"

    failures = [shelf.get(runtime, status)[1] for _ in range(2)]
    assert isinstance(failures[0], Failed)
    assert failures[0] is failures[1]
    assert len(tries) == 1


def several(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("a", errors)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (None, Verdict.PASSED),
        (AssertionError("a"), Verdict.FAILED),
        (Failed("a"), Verdict.FAILED),
        (Broken("a"), Verdict.BROKEN),
        (Unsupported("a"), Verdict.UNSUPPORTED),
        (pytest.skip.Exception("a"), Verdict.SKIPPED),
        (KeyError("a"), Verdict.ERROR),
        (several(AssertionError("a"), Broken("b")), Verdict.FAILED),
        (several(AssertionError("a"), KeyError("b")), Verdict.ERROR),
    ],
    ids=lambda value: getattr(value, "value", None) or type(value).__name__,
)
def test_the_exception_is_the_verdict(error: BaseException | None, wanted: Verdict) -> None:
    assert verdict.of(error) is wanted


def test_evidence_is_without_what_is_random_in_the_names_of_a_test() -> None:
    seen = Evidence()
    seen.config("/tmp/conformance-0f11f8f3-xyc_e09i/bundle1", {"args": ["conformance-0f11f8f3-2"]})
    seen.note("a line", "conformance-0f11f8f3-xyc_e09i/state conformance-0f11f8f3-10.")
    assert seen.plain() == {
        "configs": [{"bundle": "/tmp/conformance/bundle1", "config": {"args": ["conformance-2"]}}],
        "commands": [],
        "notes": [{"what": "a line", "seen": "conformance/state conformance-10."}],
    }


def test_of_a_long_text_the_evidence_has_both_ends() -> None:
    seen = Evidence()
    seen.note("much", "begin" + "x" * SHOWN + "end")
    for brief, limit in ((False, SHOWN), (True, BRIEF)):
        (note,) = seen.plain(brief=brief)["notes"]
        assert len(note["seen"]) < limit + 40
        assert note["seen"].startswith("begin")
        assert note["seen"].endswith("end")
        assert f"… {SHOWN + 8 - limit} characters …" in note["seen"]


def test_evidence_of_several_tests_is_written_once() -> None:
    note = {"what": "a", "seen": "seen " * 100}
    found = [results.Result(f"t{n}", f"t{n}", "a", Verdict.PASSED, evidence={"notes": [note, note]}) for n in range(9)]
    run = results.Run("now", 1.0, {}, [results.Tested("a", "/a", "1")], found, [])
    text = results.dump(run)
    assert text.count(note["seen"]) == 1
    assert results.load(text) == run
