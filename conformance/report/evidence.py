"""What was seen of one test, as a part of the page: the config once where it is the same for all, then each runtime."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from conformance.report.markup import Html, element
from conformance.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from conformance.runs.results import Result, Tested

SYMBOLS = {
    Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.BROKEN: "‼", Verdict.DEVIATION: "≠", Verdict.UNEXPECTED: "?",
    Verdict.UNSUPPORTED: "∅", Verdict.SKIPPED: "○", Verdict.ERROR: "⚠",
}  # fmt: skip

#: Longer texts are folded.
FOLDED = 400

#: Lists and objects that fit are on one line, and so is what is deeper than anyone reads.
LINE = 100
DEEP = 20


def badge(verdict: Verdict | None, text: str = "") -> Html:
    """A verdict that can be told from others without colour."""
    sign = SYMBOLS[verdict] if verdict else "·"
    return element("span", f"{sign} {text or verdict}", class_=f"badge {verdict or 'none'}")


def article(
    id: str,
    test: str,
    results: Sequence[Result],
    runtimes: Mapping[str, Tested],
    link: Callable[[Result], str],
    back: str,
) -> Html:
    """``back`` is the row that closing leads to."""
    first = results[0]
    configs = [result.evidence.get("configs", []) for result in results]
    alike = all(each == configs[0] for each in configs)
    parts = [
        element(
            "header",
            element("h3", test),
            element("a", "Close", class_="close", href=f"#{back}"),
        )
    ]
    if first.about:
        parts.append(element("p", first.about))
    if first.decides:
        items = [element("li", element("a", element("code", name), href=f"#{name}")) for name in first.decides]
        parts.append(element("ul", *items, class_="decides", aria_label="It decides"))
    if alike:
        parts += config(configs[0])
    for result in results:
        parts.append(of_runtime(result, runtimes.get(result.runtime), link(result)[1:], separate=not alike))
    return element("article", *parts, id=id, aria_label=test)


def of_runtime(result: Result, tested: Tested | None, id: str, *, separate: bool) -> Html:
    parts = [element("h4", badge(result.verdict), f" {result.runtime or 'no runtime'}, {result.seconds:g} s")]
    if result.reason:
        parts.append(element("pre", result.reason, class_="reason"))
    if separate:
        parts += config(result.evidence.get("configs", []))
    parts += commands(result.evidence.get("commands", []))
    for note in result.evidence.get("notes", []):
        parts.append(element("p", str(note.get("what", "")), ":"))
        parts.append(folded(str(note.get("seen", ""))))
    if tested is not None:
        parts.append(element("p", "To repeat it:"))
        parts.append(element("pre", repeat(result, tested)))
    # The keyboard goes where the link leads.
    return element("section", *parts, id=id, tabindex="-1")


def config(configs: Sequence[dict[str, Any]]) -> list[Html]:
    return [
        element(
            "details",
            element("summary", f"{each.get('bundle', '')}/config.json"),
            element("pre", pretty(each.get("config"))),
        )
        for each in configs
    ]


def pretty(value: Any, indent: str = "") -> str:
    """JSON for reading."""
    short = json.dumps(value, ensure_ascii=False)
    fits = len(short) + len(indent) <= LINE or len(indent) > 2 * DEEP
    if fits or not value or not isinstance(value, dict | list):
        return short
    inner = f"{indent}  "
    if isinstance(value, list):
        lines = [inner + pretty(each, inner) for each in value]
    else:
        lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {pretty(each, inner)}" for key, each in value.items()]
    start, end = "[]" if isinstance(value, list) else "{}"
    return "\n".join([start, ",\n".join(lines), indent + end])


def commands(calls: Sequence[dict[str, Any]]) -> list[Html]:
    """As in a terminal: the command line, what it said, and the exit status unless it is 0."""
    parts: list[Html] = []
    lines: list[str] = []

    def flush() -> None:
        if lines:
            parts.append(element("pre", *lines, class_="commands"))
            lines.clear()

    for call in calls:
        lines += [element("b", f"$ {call.get('command', '')}"), "\n"]
        for said in (str(call.get(stream, "")).strip() for stream in ("stdout", "stderr")):
            if len(said) > FOLDED:
                flush()
                parts.append(folded(said))
            elif said:
                lines += [said, "\n"]
        if call.get("status"):
            lines += [element("i", f"exit status {call['status']}"), "\n"]
    flush()
    return parts


def folded(text: str) -> Html:
    shown = element("pre", text)
    if len(text) <= FOLDED:
        return shown
    return element("details", element("summary", f"{text[:60]}… ({len(text)} characters)"), shown)


def repeat(result: Result, tested: Tested) -> str:
    """The command line that runs this test alone."""
    file, _, name = result.node.partition("::")
    words = ["python", "-m", "conformance", "--runtime", f"{tested.name}={tested.path}"]
    words += [f"--runtime-option={option}" for option in tested.options]
    words += [] if tested.root == "--root" else [f"--root-option={tested.root}"]
    return shlex.join([*words, "-n", "0", f"{file.rpartition('/')[2]}::{name}"])
