"""``--compare``: what counts as worse, what is told, and files that are no runs."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from conformance.__main__ import main
from conformance.runs import compare, results
from conformance.runs.compare import Change
from conformance.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

#: A column for each verdict after, in the order of Verdict; w(orse), b(etter), c(hanged), = (the same).
TABLE = """
              passed failed broken deviation unexpected unsupported skipped error
passed        =      w      w      w         c          w           c       w
failed        b      =      w      b         b          b           c       w
broken        b      b      =      b         b          b           c       w
deviation     b      w      w      =         b          b           c       w
unexpected    c      w      w      w         =          w           c       w
unsupported   b      w      w      w         b          =           c       w
skipped       c      c      c      c         c          c           =       c
error         b      b      b      b         b          b           c       =
"""

LETTERS = {"w": Change.WORSE, "b": Change.BETTER, "c": Change.OTHER, "=": Change.SAME}


def table() -> dict[tuple[Verdict, Verdict], Change]:
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    return {
        (Verdict(row[0]), Verdict(after)): LETTERS[letter]
        for row in rows
        for after, letter in zip(head, row[1:], strict=True)
    }


def run(tests: dict[str, tuple[str, str]], runtime: str = "runc", version: str = "1") -> results.Run:
    """``tests``: name -> verdict and the statement that it decides."""
    found = [
        results.Result(name, f"tests/{name}", runtime, Verdict(verdict), f"it is {verdict}\nmore", (statement,))
        for name, (verdict, statement) in tests.items()
    ]
    said = [
        {"id": name, "section": "d#a", "level": "MUST", "says": f"says {name}"}
        for name in sorted({statement for _, statement in tests.values()})
    ]
    return results.Run(
        "2026-01-01T00:00:00+00:00", 1.0, {"kernel": "6"}, [results.Tested(runtime, "/r", version)], found, said
    )


def written(path: Path, *runs: results.Run) -> str:
    first = runs[0]
    for other in runs[1:]:
        first.runtimes += other.runtimes
        first.results += other.results
    path.write_text(results.dump(first))
    return str(path)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Verdict, repeat=2)))
def test_each_pair_of_verdicts_has_its_meaning(before: Verdict, after: Verdict) -> None:
    assert compare.change(before, after) is table()[before, after]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Verdict, repeat=2)))
def test_the_exit_status_is_1_where_something_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: Verdict, after: Verdict
) -> None:
    files = [written(tmp_path / str(verdict), run({"t": (verdict, "s")})) for verdict in (before, after)]
    meaning = table()[before, after]
    assert main(["--compare", *files]) == (1 if meaning is Change.WORSE else 0)
    lines = capsys.readouterr().out.splitlines()
    for word in ("statement s", "test t"):
        assert (f"{meaning.upper()} {word}: {before} -> {after}" in lines) is (before is not after)


def test_it_tells_of_each_change_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = run({"a": ("passed", "s1"), "b": ("failed", "s2"), "c": ("passed", "s3"), "d": ("passed", "s4")})
    after = run(
        {"a": ("broken", "s1"), "b": ("passed", "s2"), "c": ("passed", "s3"), "e": ("failed", "s5")}, version="2"
    )
    assert main(["--compare", written(tmp_path / "a", before), written(tmp_path / "b", after)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "before 2026-01-01T00:00:00+00:00  kernel 6",
        "after  2026-01-01T00:00:00+00:00  kernel 6",
        "",
        "runc 1 -> runc 2",
        "  statements  1 worse, 1 better, 0 changed, 1 the same",
        "  tests       1 worse, 1 better, 0 changed, 1 the same, 1 new, 1 removed",
        "WORSE statement s1: passed -> broken",
        "  MUST: says s1",
        "WORSE test a: passed -> broken",
        "  it is broken",
        "BETTER statement s2: failed -> passed",
        "  MUST: says s2",
        "BETTER test b: failed -> passed",
        "  it is passed",
        "NEW test e: failed",
        "REMOVED test d: passed",
    ]


def test_a_new_test_that_fails_makes_its_statement_worse_and_no_other(tmp_path: Path) -> None:
    before = written(tmp_path / "a", run({"a": ("passed", "s1")}))
    known = written(tmp_path / "b", run({"a": ("passed", "s1"), "b": ("failed", "s1")}))
    unknown = written(tmp_path / "c", run({"a": ("passed", "s1"), "b": ("failed", "s2")}))
    assert main(["--compare", before, known]) == 1
    assert main(["--compare", before, unknown]) == 0


def test_runtimes_are_compared_by_name_and_one_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = written(tmp_path / "one", run({"t": ("passed", "s")}, "old"))
    other = written(tmp_path / "other", run({"t": ("failed", "s")}, "new"))
    several = [run({"t": ("passed", "s")}, name) for name in ("new", "third")]
    both = written(tmp_path / "both", *several)
    assert main(["--compare", one, other]) == 1
    assert "old 1 -> new 1" in capsys.readouterr().out
    assert main(["--compare", other, both]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "only after: the runtime third"
    with pytest.raises(SystemExit) as ended:
        main(["--compare", one, both])
    assert ended.value.code == 2
    assert "no runtime is in both: old in the first, new, third in the second" in capsys.readouterr().err


def test_what_a_container_said_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = run({"t": ("failed", "s")})
    bad.results[0] = results.Result("t", "t", "runc", Verdict.FAILED, "\x1b]0;owned\x07\u202e\udcff", ("s",))
    before = written(tmp_path / "a", run({"t": ("passed", "s")}))
    assert main(["--compare", before, written(tmp_path / "b", bad)]) == 1
    assert r"  \x1b]0;owned\x07\u202e\udcff" in capsys.readouterr().out.splitlines()


def damaged(**change: Any) -> bytes:
    content = json.loads(results.dump(run({"t": ("passed", "s")})))
    for path, value in change.items():
        *way, last = path.split("__")
        place = content
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"", "it is no JSON: "),
        (b"\xff\xfe", "it is no JSON of a run: it is not UTF-8"),
        (b"[" * 100_000, "it is no JSON: "),
        (b"[]", "it is no run of this suite"),
        (b'{"specification": "1.3.0", "format": 1}', "its format is 1, and this suite reads 2"),
        (b'{"specification": "1.3.0", "format": 2}', "it is damaged: "),
        (damaged(results=[3]), "it is damaged: "),
        (damaged(results=None), "it is damaged: "),
        (damaged(results__0__verdict="perhaps"), "'perhaps' is not a valid Verdict"),
        (damaged(results__0__decides="s"), "it is damaged: "),
        (damaged(results__0__reason=None), "it is damaged: "),
        (damaged(results__0__extra="x"), "it is damaged: "),
        (damaged(results__0__evidence={"notes": [7]}), "it is damaged: "),
        (damaged(runtimes__0__name=["x"]), "it is damaged: "),
        (damaged(statements__0__says=4), "it is damaged: "),
        (damaged(statements=[{}]), "it is damaged: "),
        (damaged(machine=[]), "it is damaged: "),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_a_file_that_is_no_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content)
    good = written(tmp_path / "good.json", run({"t": ("passed", "s")}))
    for files in ([good, str(bad)], [str(bad), good]):
        with pytest.raises(SystemExit) as ended:
            main(["--compare", *files])
        assert ended.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        last = captured.err.splitlines()[-1]
        assert last.startswith(f"python -m conformance: error: {bad}: ")
        assert said in last


@pytest.mark.parametrize(
    "other", [["--runtime", "/bin/true"], ["--format", "json"], ["-k", "x"], ["test_kill.py"], ["--list"]], ids=" ".join
)
def test_it_runs_no_test(capsys: pytest.CaptureFixture[str], other: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--compare", "a", "b", *other])
    assert ended.value.code == 2
    assert "--compare takes two files and nothing else: it runs no test" in capsys.readouterr().err
