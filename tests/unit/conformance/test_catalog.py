"""The tests of the suite and the statements that they decide: each names the other, and no name is wrong."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

from conformance import expected, statements
from conformance.mutants.table import MUTANTS
from tests.unit.conformance.fakes import REPOSITORY, conformance

PACKAGE = REPOSITORY / "conformance"

#: Statements that a test could decide, and none does yet.
OPEN = PACKAGE / "statements" / "open.txt"


@pytest.fixture(scope="module")
def listed() -> dict[str, set[str]]:
    """Each test without a runtime -> what it decides."""
    ran = conformance("--list")
    assert (ran.status, ran.stderr) == (0, "")
    words = [line.split() for line in ran.stdout.splitlines()]
    return {test: set(decided) for test, *decided in words}


def test_every_statement_that_a_test_names_is_there(listed: dict[str, set[str]]) -> None:
    known = {statement.id for statement in statements.load()}
    unknown = {f"{test}: {name}" for test, names in listed.items() for name in names - known}
    assert unknown == set()


def test_every_test_decides_a_statement(listed: dict[str, set[str]]) -> None:
    """But for those beyond the text, which say so by their file."""
    beyond = ("test_beyond_",)
    assert [test for test, names in listed.items() if not names and not test.startswith(beyond)] == []


def test_a_statement_is_tested_or_says_why_not_or_is_on_the_list(listed: dict[str, set[str]]) -> None:
    """open.txt shrinks by being edited, or with PYRUNC_UPDATE_GOLDEN=1."""
    decided = set().union(*listed.values())
    missing = sorted(each.id for each in statements.load() if each.untested is None and each.id not in decided)
    if os.environ.get("PYRUNC_UPDATE_GOLDEN"):
        OPEN.write_text("".join(f"{name}\n" for name in missing))
    assert OPEN.read_text().splitlines() == missing


def test_no_statement_is_both_tested_and_untested(listed: dict[str, set[str]]) -> None:
    decided = set().union(*listed.values())
    assert [each.id for each in statements.load() if each.untested and each.id in decided] == []


@pytest.mark.parametrize("path", sorted(expected.FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_deviation_is_of_a_test_that_there_is_and_a_statement_that_it_decides(
    path: Path, listed: dict[str, set[str]]
) -> None:
    deviations = expected.load(path.stem)
    assert deviations
    for each in deviations:
        name = each.test.replace(" ", "_")
        assert name in listed
        assert each.statement in listed[name]
    assert len({each.test for each in deviations}) == len(deviations)


def test_a_mutant_breaks_a_statement_that_its_test_decides(listed: dict[str, set[str]]) -> None:
    wrong = [each.name for each in MUTANTS.values() if each.breaks not in listed.get(each.test.replace(" ", "_"), ())]
    assert wrong == []


def test_the_suite_imports_nothing_of_the_project() -> None:
    allowed = {"conformance", "hypothesis", "jsonschema", "pytest"}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names]
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            for name in (name.partition(".")[0] for name in names):
                standard = name in sys.stdlib_module_names
                assert standard or name in allowed, f"{path.relative_to(REPOSITORY)}:{node.lineno} imports {name}"


def test_the_suite_does_not_mention_the_project_but_where_it_lists_its_deviations() -> None:
    mentions = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in {".py", ".c", ".h", ".ini"} and "pyrunc" in path.read_text().lower()
    ]
    assert mentions == []
