"""The page: every statement is a row, what containers said stays text, and nothing is loaded from anywhere."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest

from conformance.report import html
from conformance.report.evidence import pretty
from conformance.report.markup import Html, element, visible
from conformance.runs import results
from conformance.runs.results import Result, Run
from conformance.verdict import BAD, Verdict

HOSTILE = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\" ' &lt; \x1b[31m\0\r\u202e\udcff"

VOID = {"meta", "br", "input", "link", "img"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str | None]
    children: list[Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def all(self, name: str = "", **wanted: str) -> list[Node]:
        fits = name in ("", self.name) and all(self.attributes.get(key) == value for key, value in wanted.items())
        return [*([self] if fits else []), *[found for child in self.children for found in child.all(name, **wanted)]]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Reader(HTMLParser):
    """A tree of what was written; an end that fits no start fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for node in self.open:
            node.pieces.append(data)


def read(page: str) -> Node:
    reader = Reader()
    reader.feed(page)
    reader.close()
    (root,) = reader.open
    return root


def statement(id: str, section: str = "runtime#kill", **more: str) -> dict[str, str]:
    return {"id": id, "section": section, "level": "MUST", "says": f"says {id}", "url": "https://a.example/#x", **more}


def result(test: str, runtime: str, verdict: Verdict, *decides: str, **evidence: object) -> Result:
    node = f"tests/{test.replace('[', f'[{runtime}-')}" if "[" in test else f"tests/{test}[{runtime}]"
    reason = "" if verdict is Verdict.PASSED else f"why {verdict}"
    return Result(test, node, runtime, verdict, reason, decides, "What it is about.", 0.25, dict(evidence))


def run(*found: Result, statements: list[dict[str, str]], runtimes: tuple[str, ...] = ("one", "two")) -> Run:
    tested = [results.Tested(name, f"/bin/{name}", "1.2", ("--debug",)) for name in runtimes]
    return Run("2026-01-01T00:00:00+00:00", 3.5, {"kernel": "6.1"}, tested, list(found), statements)


@pytest.fixture
def page() -> Node:
    made = run(
        result("test_a.py::a", "one", Verdict.PASSED, "runtime.kill.a"),
        result("test_a.py::a", "two", Verdict.FAILED, "runtime.kill.a"),
        result("test_a.py::b[x y]", "one", Verdict.PASSED, "runtime.kill.a", "config.root.b"),
        result("test_a.py::b[x y]", "two", Verdict.PASSED, "runtime.kill.a", "config.root.b"),
        result("test_beyond_c.py::c", "one", Verdict.BROKEN),
        result("test_d.py::lost", "", Verdict.ERROR),
        statements=[
            statement("runtime.kill.a"),
            statement("runtime.kill.open"),
            statement("config.root.b", "config#root"),
            statement("config.root.none", "config#root", untested="nobody can"),
        ],
    )
    return read(html.render(made))


def rows(page: Node) -> dict[str, Node]:
    (table,) = page.all("table", **{"class": "matrix"})
    return {str(row.attributes["id"]): row for row in table.all("tr") if "data-section" in row.attributes}


def test_every_statement_is_a_row_and_so_is_every_test_beyond_them(page: Node) -> None:
    beyond = {test: f"t{number}-row" for number, test in ((2, "test_beyond_c.py::c"), (3, "test_d.py::lost"))}
    assert list(rows(page)) == [
        "runtime.kill.a", "runtime.kill.open", "config.root.b", "config.root.none", *beyond.values(),
    ]  # fmt: skip
    for test, row in beyond.items():
        assert test in rows(page)[row].text
    assert "untested: nobody can" in rows(page)["config.root.none"].text


def test_a_row_says_what_the_filter_asks(page: Node) -> None:
    said = {
        name: [str(row.attributes[f"data-{key}"]) for key in ("section", "status", "each")]
        for name, row in rows(page).items()
    }
    assert said == {
        "runtime.kill.a": ["runtime#kill", "bad differ failed passed", "passed failed"],
        "runtime.kill.open": ["runtime#kill", "untested", "untested untested"],
        "config.root.b": ["config#root", "passed", "passed passed"],
        "config.root.none": ["config#root", "untested", "untested untested"],
        "t2-row": ["beyond the text", "bad broken differ untested", "broken untested"],
        "t3-row": ["beyond the text", "bad untested", "untested untested"],
    }


def test_what_can_be_chosen_is_what_rows_say(page: Node) -> None:
    offered = {
        str(menu.attributes["name"]): {str(option.attributes["value"]) for option in menu.all("option")}
        for menu in page.all("select")
    }
    for row in rows(page).values():
        assert row.attributes["data-section"] in offered["section"]
        assert set(str(row.attributes["data-status"]).split()) <= offered["status"]
    assert offered["runtime"] == {"", "one", "two"}


def test_without_the_script_there_is_no_filter_that_does_nothing(page: Node) -> None:
    (form,) = page.all("form")
    assert "hidden" in form.attributes


def test_each_link_leads_somewhere(page: Node) -> None:
    ids = [node.attributes["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = str(link.attributes["href"])
        assert target.startswith("https://") or target[1:] in ids


def test_each_result_has_its_evidence_and_a_cell_that_leads_to_it(page: Node) -> None:
    row = rows(page)["runtime.kill.a"]
    first, second = row.all("td")
    assert (first.attributes["data-runtime"], second.attributes["data-runtime"]) == ("one", "two")
    assert [link.text for link in second.all("a")] == [
        "✗ failed",
        "✗ failed test_a.py::a",
        "✓ passed test_a.py::b[x y]",
    ]
    (evidence,) = page.all("section", id=str(second.all("a")[0].attributes["href"])[1:])
    assert "why failed" in evidence.text
    assert "0.25 s" in evidence.text
    lost = rows(page)["t3-row"].all("a")
    assert [link.text for link in lost] == ["⚠ error"]


def test_summaries_are_by_runtime_and_by_section(page: Node) -> None:
    runtimes, sections, _ = page.all("table")
    assert [[cell.text for cell in row.all("td")] for row in runtimes.all("tr")[1:]] == [
        ["1.2", "/bin/one --debug", "✓ 2 passed ‼ 1 broken"], ["1.2", "/bin/two --debug", "✓ 1 passed ✗ 1 failed"],
    ]  # fmt: skip
    assert {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in sections.all("tr")[1:]} == {
        "runtime#kill": ["✓ 1 passed", "✗ 1 failed"],
        "config#root": ["✓ 1 passed", "✓ 1 passed"],
        "beyond the text": ["‼ 1 broken", "none"],
    }


def test_the_evidence_can_be_repeated(page: Node) -> None:
    (evidence,) = page.all("section", id="t1-1")
    line = evidence.all("pre")[-1].text
    assert shlex.split(line) == [
        "python", "-m", "conformance", "--runtime", "two=/bin/two", "--runtime-option=--debug", "-n", "0",
        "test_a.py::b[two-x y]",
    ]  # fmt: skip


def test_a_config_that_is_the_same_for_all_stands_once() -> None:
    same = {"configs": [{"bundle": "/b", "config": {"hostname": "alike"}}]}
    other = {"configs": [{"bundle": "/b", "config": {"hostname": "other"}}]}
    first = result("t.py::a", "one", Verdict.PASSED, **same)
    for second, count in ((same, 1), (other, 2)):
        made = read(html.render(run(first, result("t.py::a", "two", Verdict.PASSED, **second), statements=[])))
        (article,) = made.all("article")
        assert len([each for each in article.all("details") if "config.json" in each.text]) == count


def test_what_is_long_is_folded() -> None:
    calls = [
        {"command": "a", "status": 0, "stdout": "short", "stderr": ""},
        {"command": "b", "status": 3, "stdout": "long " * 200, "stderr": "short, too"},
    ]
    notes = [{"what": "report", "seen": "seen " * 200}]
    found = result("t.py::a", "one", Verdict.PASSED, commands=calls, notes=notes)
    (article,) = read(html.render(run(found, statements=[]))).all("article")
    assert [pre.text for pre in article.all("pre", **{"class": "commands"})] == [
        "$ a\nshort\n$ b\n", "short, too\nexit status 3\n",
    ]  # fmt: skip
    folded = [each.all("pre")[0].text for each in article.all("details")]
    assert folded == [("long " * 200).strip(), "seen " * 200]


def test_what_a_container_says_stays_text() -> None:
    evidence = {
        "configs": [{"bundle": HOSTILE, "config": {HOSTILE: [HOSTILE]}}],
        "commands": [{"command": HOSTILE, "status": 1, "stdout": HOSTILE, "stderr": HOSTILE}],
        "notes": [{"what": HOSTILE, "seen": HOSTILE * 30}],
    }
    bad = Result(HOSTILE, HOSTILE, HOSTILE, Verdict.FAILED, HOSTILE, (HOSTILE,), HOSTILE, 1.0, evidence)
    said = dict.fromkeys(("id", "section", "level", "says", "untested", "url"), HOSTILE)
    made = run(bad, statements=[said], runtimes=(HOSTILE,))
    made.machine[HOSTILE] = HOSTILE
    text = html.render(made)
    text.encode()
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    page = read(text)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert [key for node in page.all() for key in node.attributes if key.startswith("on")] == []
    shown = visible(HOSTILE)
    assert r"\x1b[31m\x00\r\u202e\udcff" in shown
    assert sum(shown in each.text for each in page.all("pre")) >= 3
    assert [node.attributes["data-section"] for node in page.all("tr") if "data-section" in node.attributes] == [shown]
    assert not [link for link in page.all("a") if not str(link.attributes["href"]).startswith("#")]


def test_the_page_loads_nothing_and_allows_only_its_own_script(page: Node) -> None:
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (script,), (style,) = page.all("script"), page.all("style")
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src '{html.digest(style.text)}'; script-src '{html.digest(script.text)}'"
    )
    assert [node for node in page.all() if {"src", "srcset", "style", "data", "action"} & set(node.attributes)] == []
    assert page.all("link") + page.all("iframe") + page.all("img") == []
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_a_run_without_results_is_a_page_too() -> None:
    page = read(html.render(run(statements=[statement("runtime.kill.a")])))
    assert list(rows(page)) == ["runtime.kill.a"]


def test_what_is_asked_and_shown_has_a_name_for_those_who_do_not_see_it(page: Node) -> None:
    labelled = [
        control for label in page.all("label") for control in label.all() if control.name in ("select", "input")
    ]
    controls = [*page.all("select"), *page.all("input")]
    assert len(controls) == 4
    assert all(control in labelled or control.attributes.get("aria-label") for control in controls)
    assert all(label.text.strip() for label in page.all("label"))
    for name in ("form", "article"):
        assert all(each.attributes.get("aria-label") for each in page.all(name))
    levels = [int(node.name[1]) for node in page.all() if re.fullmatch("h[1-6]", node.name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_each_cell_of_a_table_has_its_headings(page: Node) -> None:
    """Also on narrow screens, whose style takes the roles of tables away."""
    roles = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}
    for table in page.all("table"):
        width = len(table.all("thead")[0].all("th"))
        for row in table.all("tr"):
            head, *cells = [*row.all("th"), *row.all("td")]
            assert head.attributes["scope"] in ("row", "col", "rowgroup")
            assert len(cells) + int(head.attributes.get("colspan") or 1) == width
        for node in table.all():
            wanted = roles.get(node.name)
            assert wanted is None or node.attributes["role"] == wanted


def test_a_verdict_is_told_by_more_than_its_colour(page: Node) -> None:
    badges = [node for node in page.all("span") if str(node.attributes.get("class", "")).startswith("badge")]
    assert {
        str(badge.attributes["class"]).split()[1] in badge.text or "untested" in badge.text for badge in badges
    } == {True}


def test_merged_runs_tell_where_each_ran_and_partial_ones_that_they_are() -> None:
    made = run(result("t.py::a", "one", Verdict.PASSED), statements=[])
    assert "partial" not in read(html.render(made)).all("header")[0].text
    made.partial = "ended by SIGTERM, 1 of 9 tests have a verdict"
    made.runtimes = [replace(made.runtimes[0], where="kernel 6.1"), replace(made.runtimes[1], where="kernel 6.8")]
    page = read(html.render(made))
    assert f"This report is partial: {made.partial}" in page.all("header")[0].text
    assert [row.all("td")[2].text for row in page.all("table")[0].all("tr")[1:]] == ["kernel 6.1", "kernel 6.8"]


def test_on_paper_is_the_evidence_of_what_is_not_as_it_should_be() -> None:
    style = (html.HERE / "page.css").read_text()
    printed = style.partition("@media print")[2]
    for verdict in BAD:
        assert f".{verdict}" in printed


def test_the_size_grows_with_the_evidence_and_no_faster() -> None:
    """Of 900 statements and three runtimes, whose evidence is a thousand characters each."""
    note = [{"what": "seen", "seen": "x" * 1000}]
    names = [f"runtime.kill.s{number}" for number in range(900)]
    found = [
        result(f"t.py::t{number}", runtime, Verdict.PASSED, name, notes=note)
        for number, name in enumerate(names)
        for runtime in ("one", "two", "three")
    ]
    made = run(*found, statements=[statement(name) for name in names], runtimes=("one", "two", "three"))
    assert len(html.render(made)) < 900 * 3 * 1000 * 2.5


def test_markup_is_escaped_once() -> None:
    assert element("b", "<", element("i", "&"), title='"<') == '<b title="&quot;&lt;">&lt;<i>&amp;</i></b>'
    assert element("input", name="a", hidden=True, value=None) == '<input name="a" hidden>'
    assert isinstance(element("b"), Html)


@pytest.mark.parametrize("value", [{}, [], {"a": []}, {"a": {"b": ["x" * 60, "y" * 60]}, "c": None}, ["x" * 200], 3])
def test_pretty_json_is_the_same_json(value: object) -> None:
    text = pretty(value)
    assert json.loads(text) == value
    assert all(len(line) <= 120 or line.strip().startswith('"x') for line in text.splitlines())


def test_pretty_json_ends_where_it_is_too_deep() -> None:
    value: list[object] = ["x" * 200]
    for _ in range(500):
        value = [value]
    assert json.loads(pretty(value)) == value
    assert len(pretty(value).splitlines()) < 60
