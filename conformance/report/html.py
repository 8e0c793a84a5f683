"""One page for a browser: statements by runtimes, each cell a link to what was seen.  It loads nothing from anywhere.

Without a script all of it can be read: cells and sections are links.  The script adds the filter.  What containers said
is in the page, so that nothing goes in but through markup.py, and the page forbids every script but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import SPECIFICATION
from conformance.report.evidence import article, badge
from conformance.report.markup import Html, element, join
from conformance.verdict import BAD, ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.runs.results import Result, Run, Tested

HERE = Path(__file__).parent

#: What the parts of a table are to those who do not see it; a heading depends on its scope.
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}

#: The section of tests that go beyond the text of the specification, and decide no statement.
BEYOND = "beyond the text"


class Matrix:
    """A run, arranged for looking up: each test has a number, which its evidence is called by."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.names = [tested.name for tested in run.runtimes]
        self.tests: dict[str, dict[str, Result]] = {}
        self.deciding: dict[str, list[str]] = {}
        for result in run.results:
            if result.test not in self.tests:
                self.tests[result.test] = {}
            self.tests[result.test][result.runtime] = result
            for statement in result.decides:
                names = self.deciding.setdefault(statement, [])
                if result.test not in names:
                    names.append(result.test)
        self.numbers = {test: number for number, test in enumerate(self.tests)}
        known = {each["id"] for each in run.statements}
        self.beyond = [
            test
            for test, results in self.tests.items()
            if not known.intersection(*[r.decides for r in results.values()])
        ]

    def link(self, result: Result) -> str:
        """Where its evidence is: an article for the test, in it a section for the runtime."""
        runtime = self.names.index(result.runtime) if result.runtime in self.names else "x"
        return f"#t{self.numbers[result.test]}-{runtime}"

    def results(self, runtime: str, tests: Iterable[str]) -> list[Result]:
        """Of that runtime, the worst first."""
        found = [self.tests[test][runtime] for test in tests if runtime in self.tests[test]]
        return sorted(found, key=lambda result: ORDER.index(result.verdict))


def render(run: Run) -> str:
    matrix = Matrix(run)
    style, script = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    policy = f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'"
    bad = Counter(result.verdict for result in run.bad())
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Conformance of {', '.join(matrix.names)}"),
        element("style", Html(style)),
    ]
    told = ", ".join(f"{count} {verdict}" for verdict, count in bad.items())
    body = [
        element("a", "To the statements", class_="skip", href="#statements"),
        element(
            "header",
            element("h1", f"Conformance to runtime-spec {SPECIFICATION}"),
            element("p", f"{len(run.results)} results: {told or 'all as it should be'}. {machine(run)}"),
            *([element("p", f"This report is partial: {run.partial}", class_="partial")] if run.partial else []),
        ),
        element("main", runtimes(run), sections(matrix), table(matrix), evidence(matrix)),
        element("script", Html(script)),
    ]
    page = element("html", element("head", *head), "\n", element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def machine(run: Run) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    return f"{run.started}, {run.seconds:g} s; {facts}."


# --- summaries -------------------------------------------------------------------------------------------------------


def counts(verdicts: Iterable[Verdict]) -> Html:
    found = Counter(verdicts)
    return join(*[badge(each, f"{found[each]} {each}") for each in Verdict if found[each]], between=" ") or Html("none")


def runtimes(run: Run) -> Html:
    merged = any(tested.where for tested in run.runtimes)
    rows = [
        grid(
            "tr",
            grid("th", tested.name, scope="row"),
            grid("td", tested.version or "unknown"),
            grid("td", element("code", " ".join([tested.path, *tested.options]))),
            *([grid("td", tested.where)] if merged else []),
            grid("td", counts(result.verdict for result in run.of(tested.name))),
        )
        for tested in run.runtimes
    ]
    words = ("Runtime", "Version", "Command", *(["Run"] if merged else []), "Tests")
    head = [grid("th", word, scope="col") for word in words]
    made = grid("table", grid("thead", grid("tr", *head)), grid("tbody", *rows))
    return element("section", element("h2", "Runtimes"), scrolled(made, "Runtimes"))


def grid(name: str, *children: str, scope: str | None = None, **attributes: str | None) -> Html:
    """A part of a table, with the role that it would lose on narrow screens, where the style shows it otherwise."""
    role = ROLES.get(name, "columnheader" if scope == "col" else "rowheader")
    return element(name, *children, scope=scope, role=role, **attributes)


def scrolled(content: Html, label: str) -> Html:
    """Something wide: scrolled by itself, with the keyboard as well."""
    return element("div", content, class_="wide", tabindex="0", role="region", aria_label=label)


def sections(matrix: Matrix) -> Html:
    """Each section with the verdicts on its statements: a table of contents, too."""
    rows = []
    for section, statements in by_section(matrix).items():
        cells = [grid("th", element("a", section, href=f"#{anchor(section)}"), scope="row")]
        for name in matrix.names:
            worst = [found[0].verdict for _, tests in statements if (found := matrix.results(name, tests))]
            cells.append(grid("td", counts(worst), data_runtime=name))
        rows.append(grid("tr", *cells))
    head = [grid("th", word, scope="col") for word in ("Section", *matrix.names)]
    made = grid("table", grid("thead", grid("tr", *head)), grid("tbody", *rows))
    return element(
        "section", element("h2", "Sections"),
        element("details", element("summary", f"{len(rows)} sections"), scrolled(made, "Sections")),
    )  # fmt: skip


def by_section(matrix: Matrix) -> dict[str, list[tuple[dict[str, str], list[str]]]]:
    """Section -> each of its statements with the tests that decide it."""
    found: dict[str, list[tuple[dict[str, str], list[str]]]] = {}
    for each in matrix.run.statements:
        found.setdefault(each["section"], []).append((each, matrix.deciding.get(each["id"], [])))
    for test in matrix.beyond:
        about = next(iter(matrix.tests[test].values())).about
        row = {"id": test, "level": "", "says": about, "row": f"t{matrix.numbers[test]}-row"}
        found.setdefault(BEYOND, []).append((row, [test]))
    return found


def anchor(section: str) -> str:
    return "section-" + section.replace("#", "--").replace(" ", "-")


# --- the matrix ------------------------------------------------------------------------------------------------------


def table(matrix: Matrix) -> Html:
    grouped = by_section(matrix)
    bodies = []
    for section, statements in grouped.items():
        title = grid("th", section, id=anchor(section), colspan=str(1 + len(matrix.names)), scope="rowgroup")
        rows = [row(matrix, section, *each) for each in statements]
        bodies.append(grid("tbody", grid("tr", title, class_="section"), *rows))
    head = [grid("th", word, scope="col") for word in ("Statement", *matrix.names)]
    made = grid(
        "table", grid("thead", grid("tr", *head)), join(*bodies, between="\n"),
        class_="matrix", aria_label="Statements by runtimes",
    )  # fmt: skip
    return element(
        "section", element("h2", "Statements", id="statements", tabindex="-1"), controls(matrix, list(grouped)), made,
    )  # fmt: skip


def controls(matrix: Matrix, names: list[str]) -> Html:
    """The filter, which the script shows."""
    status = [("", "any"), ("bad", "not as it should be"), ("differ", "runtimes differ")]
    status += [(verdict, verdict) for verdict in Verdict] + [("untested", "untested")]
    runtimes = [("", "any runtime"), *[(name, name) for name in matrix.names]]
    return element(
        "form",
        element("label", "Section ", select("section", [("", "all"), *[(name, name) for name in names]])),
        element("label", "Status ", select("status", [(str(value), str(word)) for value, word in status])),
        element("label", "of ", select("runtime", runtimes, label="of which runtime")),
        element("label", "Text ", element("input", type="search", name="text")),
        element("output", name="count", role="status"),
        id="filter", hidden=True, aria_label="Filter",
    )  # fmt: skip


def select(name: str, options: list[tuple[str, str]], label: str | None = None) -> Html:
    items = [element("option", word, value=value) for value, word in options]
    return element("select", *items, name=name, aria_label=label)


def row(matrix: Matrix, section: str, statement: dict[str, str], tests: list[str]) -> Html:
    found = [matrix.results(name, tests) for name in matrix.names]
    words = [results[0].verdict if results else "untested" for results in found]
    status = {str(word) for word in words} | ({"differ"} if len(set(words)) > 1 else set())
    stray = [each for test in tests for each in matrix.tests[test].values() if each.runtime not in matrix.names]
    status |= {"bad"} if BAD.intersection([*words, *[each.verdict for each in stray]]) else set()
    url = statement.get("url", "")
    level = element("span", statement["level"], class_="level") if statement["level"] else Html("")
    link = element("a", level or "text", href=url, rel="noreferrer") if url.startswith("https://") else level
    said = [element("code", statement["id"]), Html("<br>"), link, " ", statement["says"]]
    if "untested" in statement:
        said.append(element("div", f"untested: {statement['untested']}", class_="why"))
    said += [element("div", element("a", badge(each.verdict), href=matrix.link(each))) for each in stray]
    cells = [cell(matrix, name, results, statement["id"]) for name, results in zip(matrix.names, found, strict=True)]
    return grid(
        "tr", grid("th", *said, scope="row"), *cells,
        id=statement.get("row", statement["id"]), data_section=section,
        data_status=" ".join(sorted(status)), data_each=" ".join(words),
    )  # fmt: skip


def cell(matrix: Matrix, name: str, results: list[Result], statement: str) -> Html:
    if not results:
        return grid("td", badge(None, "untested"), data_runtime=name)
    first, *others = results
    label = f"{first.verdict}: {statement}, {name}"
    shown = element("a", badge(first.verdict), href=matrix.link(first), aria_label=label)
    if not others:
        return grid("td", shown, data_runtime=name)
    items = [
        element("li", element("a", badge(each.verdict), " ", each.test, href=matrix.link(each))) for each in results
    ]
    more = element("details", element("summary", f"{len(results)} tests"), element("ul", *items))
    return grid("td", shown, more, data_runtime=name)


def evidence(matrix: Matrix) -> Html:
    runtimes: dict[str, Tested] = {each.name: each for each in matrix.run.runtimes}
    articles = []
    for test, results in matrix.tests.items():
        decides = next(iter(results.values())).decides
        number = matrix.numbers[test]
        back = decides[0] if decides and test not in matrix.beyond else f"t{number}-row"
        articles.append(article(f"t{number}", test, list(results.values()), runtimes, matrix.link, back))
    return element("section", element("h2", "Evidence"), *articles, class_="evidence")
