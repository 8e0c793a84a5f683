"""What the specification demands of a Linux runtime, one decidable claim each, as data.

The text is runtime-spec 1.3.0: runtime.md, runtime-linux.md, config.md, config-linux.md, features.md and
features-linux.md, and what a runtime can break of bundle.md and glossary.md.  It was read in a copy of the main branch
from after the release: ``specs-go/version.go`` says 1.3.0+dev, the ChangeLog ends with v1.3.0, and no feature was found
that it does not name.  Rules for other platforms and for virtual machines are left out.

How the claims are counted:

* One statement for each claim that can fail by itself: a table of sixty mount options is sixty statements.  A rule that
  the text repeats stands once, where the operation or field is described.
* ``level`` is the key word of the sentence.  What a field does when it is set is a MUST by runtime.md "Create" (every
  property is applied, or there is an error); that a field may be left out is OPTIONAL, that it may not is REQUIRED.
  What the text states without a key word has the level of the rule that makes it binding, else MUST.  A MAY is listed
  only where something follows from it.
* A rule for the author of a config is testable where the runtime has to refuse the config (config.md "Valid values"),
  and ``untested`` where nothing follows for the runtime.  An error is an exit status other than 0.
* ``says`` is a paraphrase.  ``how`` tells the author of a test how the claim is decided from outside; a statement has
  either this or ``untested``, the reason why no black-box test can decide it.
* What is beyond the text is in the document ``beyond``, which is ours: its level is BEYOND, and it leads to no
  page.

The data is in one TOML file a document, ``id`` is document, section and claim with dots between, and the sections are
those of ``anchors.toml``.  This package imports the standard library only.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from conformance import SPECIFICATION

FOLDER = Path(__file__).parent

#: One file each, in the order in which they are read and reported.
DOCUMENTS = (
    "bundle", "glossary", "runtime", "runtime-linux", "config", "config-linux", "features", "features-linux", "beyond",
)  # fmt: skip

#: The one that is ours: what nobody wrote down, and what every caller and everyone else on the machine relies on.
BEYOND = "beyond"

LEVELS = ("MUST", "MUST NOT", "REQUIRED", "SHOULD", "SHOULD NOT", "OPTIONAL", "MAY", BEYOND.upper())

WORD = "[a-z0-9]+(?:-[a-z0-9]+)*"
ID = re.compile(rf"{WORD}\.{WORD}\.{WORD}")


class CatalogError(Exception):
    """The catalog cannot be used; the message has one line for each thing that is wrong, with file and id."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim.  ``section`` is a document and the anchor that GitHub makes of its heading: ``runtime#create``.

    Exactly one of ``how`` and ``untested`` is set.
    """

    id: str
    section: str
    level: str
    says: str
    how: str | None = None
    untested: str | None = None

    @property
    def document(self) -> str:
        return self.section.partition("#")[0]

    @property
    def url(self) -> str:
        """Where the specification says it, "" where it does not."""
        if self.document == BEYOND:
            return ""
        anchor = self.section.partition("#")[2]
        return f"https://github.com/opencontainers/runtime-spec/blob/v{SPECIFICATION}/{self.document}.md#{anchor}"


KEYS = tuple(field.name for field in fields(Statement))
NEEDED = ("id", "section", "level", "says")


def load(folder: Path = FOLDER) -> tuple[Statement, ...]:
    """All statements, in the order of the documents and of each file.

    Raises CatalogError for a file that is missing or no TOML, and for every table that is no statement.
    """
    known = sections(folder)
    statements: list[Statement] = []
    problems: list[str] = []
    home: dict[object, str] = {}
    for document in DOCUMENTS:
        name = f"{document}.toml"
        for number, table in enumerate(tables(folder / name), 1):
            mistakes = mistakes_of(table, document, known)
            identity = table.get("id", f"statement {number}")
            if identity in home:
                mistakes.append(f"is in {home[identity]} already")
            home[identity] = name
            problems += [f"{name}: {identity}: {mistake}" for mistake in mistakes]
            if not mistakes:
                statements.append(Statement(**table))
    if problems:
        raise CatalogError("\n".join(problems))
    return tuple(statements)


def sections(folder: Path = FOLDER) -> tuple[str, ...]:
    """``document#anchor`` of every heading of the documents, from anchors.toml."""
    path = folder / "anchors.toml"
    content = read(path)
    for document in DOCUMENTS:
        anchors = content.get(document)
        if not isinstance(anchors, list) or not all(isinstance(anchor, str) for anchor in anchors):
            raise CatalogError(f"{path.name}: {document}: must be a list of anchors")
    return tuple(f"{document}#{anchor}" for document in DOCUMENTS for anchor in content[document])


def select(statements: tuple[Statement, ...], section: str) -> tuple[Statement, ...]:
    """The statements of ``config-linux#seccomp``, of ``config-linux``, or of all sections that begin so.

    The Linux documents extend the common ones: what ``config-linux#mounts`` does not find is looked for in ``config``.
    Raises CatalogError, with the nearest names, where nothing fits.
    """
    for wanted in (plain(section), plain(section.replace("-linux", "", 1))):
        exact = tuple(each for each in statements if wanted in (plain(each.section), each.document))
        found = exact or tuple(each for each in statements if plain(each.section).startswith(wanted))
        if section and found:
            return found
    names = sorted({each.section for each in statements})
    near = difflib.get_close_matches(section, names, n=4, cutoff=0.4) or DOCUMENTS
    raise CatalogError(f"no statement is in the section {section!r}; there are {', '.join(near)}")


def plain(section: str) -> str:
    """GitHub keeps the space before one heading as a hyphen, which nobody should have to type."""
    return section.replace("#-", "#")


def read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{path.name}: cannot be read: {error}") from error


def tables(path: Path) -> list[dict[str, Any]]:
    content = read(path)
    found = content.pop("statement", [])
    if content or not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise CatalogError(f"{path.name}: must hold [[statement]] tables and nothing else")
    return found


def mistakes_of(table: dict[str, Any], document: str, known: tuple[str, ...]) -> list[str]:
    """What is wrong with one table of the file of ``document``."""
    mistakes = [f"has the unknown key {key!r}" for key in table if key not in KEYS]
    mistakes += [f"has no {key}" for key in NEEDED if key not in table]
    mistakes += [f"{key} must be one line of text" for key, value in table.items() if not is_line(value)]
    if mistakes:
        return mistakes
    section = table["section"]
    if table["level"] not in LEVELS:
        mistakes.append(f"has the level {table['level']!r}; there are {', '.join(LEVELS)}")
    elif (table["level"] == BEYOND.upper()) != (document == BEYOND):
        mistakes.append(f"has the level {table['level']}, and is in {document}.toml")
    if ("how" in table) == ("untested" in table):
        mistakes.append("needs either how or untested")
    if section not in known or not section.startswith(f"{document}#"):
        mistakes.append(f"has the section {section!r}, which {document}.md has not")
    elif not ID.fullmatch(table["id"]) or not table["id"].startswith(plain(section).replace("#", ".") + "."):
        mistakes.append("must be document.section.claim, in words of small letters with hyphens between")
    return mistakes


def is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip() and value.isprintable()
