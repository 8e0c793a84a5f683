"""``--from``: reports of runs that were saved, side by side, and files of which none can be made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from conformance.__main__ import main
from conformance.runs import results
from conformance.runs.results import Result, Run
from conformance.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path


def run(name: str, verdict: str = "passed", *, kernel: str = "6.1", partial: str = "") -> Run:
    found = Result("t.py::t[x]", f"tests/t.py::t[{name}-x]", name, Verdict(verdict), "why", ("a.b.c",))
    said = {"id": "a.b.c", "section": "a#b", "level": "MUST", "says": "something"}
    machine = {"kernel": kernel, "machine": "x86_64"}
    started = f"2026-01-0{len(name)}T00:00:00+00:00"
    return Run(started, 1.5, machine, [results.Tested(name, f"/bin/{name}", "1")], [found], [said], partial)


def saved(path: Path, made: Run) -> str:
    path.write_text(results.dump(made))
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--from", *words])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1].removeprefix("python -m conformance: error: ")


def test_each_format_is_made_of_a_saved_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run("runc", "failed")
    file = saved(tmp_path / "run.json", made)
    assert main(["--from", file]) == 1
    text = capsys.readouterr().out
    assert "FAILED runc t.py::t[x]" in text
    assert "  run  " not in text
    formats = [f"--format={name}={tmp_path / name}" for name in ("json", "junit", "html")]
    assert main(["--from", file, *formats]) == 1
    assert (tmp_path / "json").read_text() == (tmp_path / "run.json").read_text() + "\n"
    assert ET.fromstring((tmp_path / "junit").read_text())[0].get("failures") == "1"
    assert "failed: a.b.c, runc" in (tmp_path / "html").read_text()


def test_runs_of_several_runtimes_and_machines_are_one_matrix(tmp_path: Path) -> None:
    first = saved(tmp_path / "a", run("runc"))
    second = saved(tmp_path / "b", run("youki", "failed", kernel="6.8"))
    formats = [f"--format={name}={tmp_path / name}" for name in ("json", "html", "text")]
    assert main(["--from", first, second, f"elsewhere={second}", *formats]) == 1
    merged = results.read(str(tmp_path / "json"))
    assert [each.name for each in merged.runtimes] == ["runc", "youki", "elsewhere"]
    assert [merged.verdict(each.name, "a.b.c") for each in merged.runtimes] == ["passed", "failed", "failed"]
    assert merged.machine == {"machine": "x86_64"}
    assert (merged.started, merged.seconds) == ("2026-01-04T00:00:00+00:00", 4.5)
    assert [each["id"] for each in merged.statements] == ["a.b.c"]
    assert merged.results[2].node == "tests/t.py::t[elsewhere-x]"
    for name in ("html", "text"):
        for kernel in ("6.1", "6.8"):
            assert f"kernel {kernel}, machine x86_64" in (tmp_path / name).read_text()
    # A merged run is a run like any other.
    third = saved(tmp_path / "c", run("crun"))
    assert main(["--from", str(tmp_path / "json"), third, f"--format=json={tmp_path / 'again'}"]) == 1
    again = results.read(str(tmp_path / "again"))
    assert again.runtimes[:3] == merged.runtimes


def test_two_of_the_same_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = saved(tmp_path / "a", run("runc")), saved(tmp_path / "b", run("runc"))
    said = refused(capsys, first, second)
    assert (
        said
        == f"a runtime is called runc in {first} and in {second}: give one of both another name, --from NAME={second}"
    )
    assert "called runc" in refused(capsys, first, first)
    assert "called x in" in refused(capsys, f"x={first}", f"x={second}")


def test_a_name_is_for_the_only_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = run("runc")
    both.runtimes.append(replace(both.runtimes[0], name="crun"))
    assert "and this has runc, crun" in refused(capsys, f"other={saved(tmp_path / 'a', both)}")
    with_sign = saved(tmp_path / "a=b", run("runc"))
    assert main(["--from", with_sign]) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "it cannot be read: No such file or directory"),
        ("<html>", "it is no JSON: "),
        ("{}", "it is no run of this suite; a run is written by --format json=FILE"),
        ('{"specification": "1.3.0", "format": 1}', "its format is 1, and this suite reads 2"),
    ],
)
def test_a_file_that_is_no_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    good, bad = saved(tmp_path / "good", run("runc")), tmp_path / "bad"
    if content is not None:
        bad.write_text(content)
    for words in ([str(bad)], [good, str(bad)], [good, f"other={bad}"]):
        last = refused(capsys, *words)
        assert last.startswith(f"{bad}: ")
        assert said in last


def test_what_is_there_twice_in_one_file_is_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("runtimes", "results", "statements"):
        twice = run("runc")
        getattr(twice, what).append(getattr(twice, what)[0])
        assert f"two {what} are the same" in refused(capsys, saved(tmp_path / "run.json", twice))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tap", "there is no format 'tap'; there are text, json, junit, html"),
        ("html=", "it names no file; html=FILE does"),
        ("html=/", "it names no file; html=FILE does"),
        ("html=/no/such/directory/run.html", "there is no directory /no/such/directory"),
    ],
)
def test_a_report_without_a_place_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    assert refused(capsys, saved(tmp_path / "a", run("runc")), f"--format={word}").endswith(said)
    with pytest.raises(SystemExit) as ended:
        main(["--from", saved(tmp_path / "a", run("runc")), "--format=html=/dev/full"])
    assert ended.value.code == 2
    assert "html to /dev/full: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--runtime", "/bin/true"], ["-k", "x"], ["--list"], ["-n", "2"]], ids=" ".join)
def test_it_runs_no_test(capsys: pytest.CaptureFixture[str], other: list[str]) -> None:
    assert "--from takes files and --format, and nothing else" in refused(capsys, "a", *other)


def test_a_partial_run_says_so_in_each_report(tmp_path: Path) -> None:
    part = saved(tmp_path / "a", run("runc", partial="ended by SIGTERM, 1 of 9 tests have a verdict"))
    whole = saved(tmp_path / "b", run("crun"))
    formats = [f"--format={name}={tmp_path / name}" for name in ("text", "json", "junit", "html")]
    assert main(["--from", part, whole, *formats]) == 1
    for name in ("text", "json", "junit", "html"):
        assert f"{part}: ended by SIGTERM, 1 of 9 tests have a verdict" in (tmp_path / name).read_text()
