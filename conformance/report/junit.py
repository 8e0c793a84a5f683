"""JUnit's XML, as continuous integration reads it: one test suite for each runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from conformance.verdict import BAD, Verdict

if TYPE_CHECKING:
    from conformance.runs.results import Result, Run

#: What XML 1.0 cannot hold.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(run: Run) -> str:
    suites = ET.Element("testsuites", name="conformance", time=f"{run.seconds:.3f}")
    for tested in run.runtimes:
        results = run.of(tested.name)
        counts = {
            "tests": len(results),
            "failures": sum(result.verdict in BAD - {Verdict.ERROR} for result in results),
            "errors": sum(result.verdict is Verdict.ERROR for result in results),
            "skipped": sum(result.verdict not in BAD | {Verdict.PASSED} for result in results),
        }
        times = {"timestamp": run.started, "time": f"{sum(result.seconds for result in results):.3f}"}
        attributes = {"name": tested.name, **times, **{name: str(count) for name, count in counts.items()}}
        suite = ET.SubElement(suites, "testsuite", attributes)
        facts = {"partial": run.partial, "where": tested.where}
        if any(facts.values()):
            properties = ET.SubElement(suite, "properties")
            for name, value in facts.items():
                if value:
                    ET.SubElement(properties, "property", name=name, value=clean(value))
        for result in results:
            case(suite, result)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def case(suite: ET.Element, result: Result) -> None:
    file, _, name = result.test.partition("::")
    element = ET.SubElement(
        suite, "testcase", classname=f"{result.runtime}.{file.removesuffix('.py')}", name=clean(name),
        time=f"{result.seconds:.3f}",
    )  # fmt: skip
    if result.decides:
        properties = ET.SubElement(element, "properties")
        for statement in result.decides:
            ET.SubElement(properties, "property", name="decides", value=statement)
    if result.verdict is Verdict.PASSED:
        return
    kind = "error" if result.verdict is Verdict.ERROR else "failure" if result.verdict in BAD else "skipped"
    reason = clean(result.reason)
    message = f"{result.verdict}: {reason.splitlines()[0] if reason else ''}"
    ET.SubElement(element, kind, message=message).text = reason
    commands = "\n".join(f"[{call['status']}] {call['command']}" for call in result.evidence.get("commands", []))
    if commands:
        ET.SubElement(element, "system-out").text = clean(commands)


def clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
