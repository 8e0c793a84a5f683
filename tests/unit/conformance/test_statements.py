"""The catalog of statements: that it can be read, says where a mistake is, and speaks of sections that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from conformance import SPECIFICATION, statements

STATEMENTS = statements.load()

GOOD = """
[[statement]]
id = "bundle.container-format.something"
section = "bundle#container-format"
level = "MUST"
says = "something holds"
how = "look"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog without a statement, to write bundle.toml in."""
    shutil.copy(statements.FOLDER / "anchors.toml", tmp_path)
    for document in statements.DOCUMENTS:
        (tmp_path / f"{document}.toml").write_text("")
    return tmp_path


def test_there_are_enough_statements_that_a_test_can_decide(capsys: pytest.CaptureFixture[str]) -> None:
    every = Counter(each.document for each in STATEMENTS)
    testable = Counter(each.document for each in STATEMENTS if each.untested is None)
    with capsys.disabled():
        told = ", ".join(f"{document} {testable[document]} of {every[document]}" for document in statements.DOCUMENTS)
        print(f"\n{testable.total()} of {len(STATEMENTS)} statements can be tested: {told}")
    assert testable.total() >= 250


def test_an_id_is_there_once() -> None:
    assert not [identity for identity, number in Counter(each.id for each in STATEMENTS).items() if number > 1]


def test_a_paraphrase_is_there_once_in_a_section() -> None:
    said = Counter((each.section, each.says) for each in STATEMENTS)
    assert not [where for where, number in said.items() if number > 1]


def test_paraphrases_are_short_and_our_own() -> None:
    words = re.compile(r"\b(MUST|SHALL|SHOULD|MAY|REQUIRED|OPTIONAL)\b")
    assert [each.id for each in STATEMENTS if len(each.says) > 100] == []
    assert [each.id for each in STATEMENTS if each.says.endswith(".") or words.search(each.says)] == []


def test_every_section_of_a_statement_is_one_of_the_specification() -> None:
    assert {each.section for each in STATEMENTS} <= set(statements.sections())


def test_anchors_are_there_once_and_as_github_writes_them() -> None:
    anchors = statements.sections()
    assert len(anchors) == len(set(anchors))
    assert [anchor for anchor in anchors if not re.fullmatch(r"[a-z-]+#-?[a-z0-9]+(-[a-z0-9]+)*", anchor)] == []


def test_statements_of_other_platforms_are_left_out() -> None:
    others = {"config#zos-process", "config#windows-user"}
    assert others <= set(statements.sections())
    assert not others & {each.section for each in STATEMENTS}


def test_a_statement_leads_to_its_section() -> None:
    one = next(each for each in STATEMENTS if each.id == "runtime.create.id-in-use")
    assert one.url == f"https://github.com/opencontainers/runtime-spec/blob/v{SPECIFICATION}/runtime.md#create"


def test_what_is_beyond_the_text_leads_nowhere(folder: Path) -> None:
    text = GOOD.replace("bundle", "beyond").replace("container-format", "killed").replace("MUST", "BEYOND")
    (folder / "beyond.toml").write_text(text)
    assert [(each.level, each.url) for each in statements.load(folder)] == [("BEYOND", "")]


def test_a_catalog_is_read_in_the_order_of_documents(folder: Path) -> None:
    (folder / "runtime.toml").write_text(GOOD.replace("bundle", "runtime").replace("container-format", "create"))
    (folder / "bundle.toml").write_text(GOOD)
    assert [each.section for each in statements.load(folder)] == ["bundle#container-format", "runtime#create"]


def test_a_section_with_a_hyphen_before_it_is_written_without_in_an_id(folder: Path) -> None:
    text = GOOD.replace("bundle", "runtime-linux").replace("#container-format", "#-dev-symbolic-links")
    (folder / "runtime-linux.toml").write_text(text.replace("container-format", "dev-symbolic-links"))
    assert [each.id for each in statements.load(folder)] == ["runtime-linux.dev-symbolic-links.something"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + GOOD, "bundle.container-format.something: is in bundle.toml already"),
        (GOOD.replace('"MUST"', '"WILL"'), "has the level 'WILL'; there are MUST, "),
        (GOOD.replace('"MUST"', '"BEYOND"'), "has the level BEYOND, and is in bundle.toml"),
        (GOOD + 'untested = "why"', "needs either how or untested"),
        (GOOD.replace('how = "look"', ""), "needs either how or untested"),
        (GOOD.replace('says = "something holds"', ""), "bundle.container-format.something: has no says"),
        (GOOD.replace('says = "something holds"', 'says = ""'), "says must be one line of text"),
        (GOOD.replace('says = "something holds"', 'says = "a\\nb"'), "says must be one line of text"),
        (GOOD.replace('says = "something holds"', "says = 3"), "says must be one line of text"),
        (GOOD + 'hwo = "look"', "has the unknown key 'hwo'"),
        (GOOD.replace(".something", ".Something"), "Something: must be document.section.claim"),
        (GOOD.replace(".something", ""), "bundle.container-format: must be document.section.claim"),
        (GOOD.replace("bundle.", "runtime."), "runtime.container-format.something: must be document.section.claim"),
        (GOOD.replace("#container", "#box"), "has the section 'bundle#box-format', which bundle.md has not"),
        (GOOD.replace("bundle#container-format", "runtime#create"), "which bundle.md has not"),
        (GOOD.replace('id = "bundle.container-format.something"', ""), "bundle.toml: statement 1: has no id"),
        ("[[statement]", "bundle.toml: cannot be read: "),
        ("statement = 3", "bundle.toml: must hold [[statement]] tables and nothing else"),
        ("statement = [3]", "bundle.toml: must hold [[statement]] tables and nothing else"),
        (GOOD + "[other]", "bundle.toml: must hold [[statement]] tables and nothing else"),
    ],
)
def test_a_mistake_is_told_with_its_file(folder: Path, text: str, message: str) -> None:
    (folder / "bundle.toml").write_text(text)
    with pytest.raises(statements.CatalogError) as raised:
        statements.load(folder)
    assert message in str(raised.value)
    assert str(raised.value).startswith("bundle.toml: ")


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    (folder / "bundle.toml").write_text(GOOD.replace("MUST", "WILL"))
    (folder / "config.toml").write_text(GOOD)
    with pytest.raises(statements.CatalogError, match=r"bundle\.toml: .*\n.*config\.toml: "):
        statements.load(folder)


def test_a_file_that_is_missing_is_told(folder: Path) -> None:
    (folder / "config.toml").unlink()
    with pytest.raises(statements.CatalogError, match=r"config\.toml: cannot be read"):
        statements.load(folder)


def test_a_document_without_anchors_is_told(folder: Path) -> None:
    (folder / "anchors.toml").write_text('bundle = "container-format"')
    with pytest.raises(statements.CatalogError, match=r"anchors\.toml: bundle: must be a list"):
        statements.sections(folder)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("runtime#create", {"runtime#create"}),
        ("config#process", {"config#process"}),
        ("config#posix", {"config#posix-process", "config#posix-platform-mounts", "config#posix-platform-user",
                          "config#posix-platform-hooks"}),
        ("config-linux#mounts", {"config#mounts"}),
        ("runtime-linux#dev-symbolic-links", {"runtime-linux#-dev-symbolic-links"}),
        ("runtime-linux", {"runtime-linux#file-descriptors", "runtime-linux#-dev-symbolic-links"}),
    ],
)  # fmt: skip
def test_a_section_is_selected(wanted: str, found: set[str]) -> None:
    assert {each.section for each in statements.select(STATEMENTS, wanted)} == found


def test_a_document_is_selected_without_those_that_extend_it() -> None:
    assert {each.document for each in statements.select(STATEMENTS, "config")} == {"config"}


@pytest.mark.parametrize("wanted", ["config-linux#mount-points", "nosuch", "", "#"])
def test_a_section_that_does_not_exist_is_told(wanted: str) -> None:
    with pytest.raises(statements.CatalogError, match="no statement is in the section"):
        statements.select(STATEMENTS, wanted)


def test_the_nearest_section_is_named() -> None:
    with pytest.raises(statements.CatalogError, match="config#linux-mount-options"):
        statements.select(STATEMENTS, "config-linux#mount-options")


def test_the_catalog_needs_nothing_but_the_standard_library() -> None:
    code = """
import sys
from conformance import statements
statements.load()
print(*{name.partition(".")[0] for name in sys.modules})
"""
    project = statements.FOLDER.parents[1]
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=project, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(run.stdout.split()) <= {*sys.stdlib_module_names, "__main__", "conformance"}
