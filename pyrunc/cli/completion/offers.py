"""What a shell offers for a word: told by the table's own words for a value (``DIR``) or an argument (``[signal]``).

An offer is a line for the scripts: what kind of thing is meant, and words that may stand in its place.
"""

from __future__ import annotations

import re

from pyrunc.cli.commands import BOOLEANS, COMMANDS, FLAGS, GLOBAL, ID
from pyrunc.host.signals import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cli.commands import Command, Option

#: Words of the table -> the kind; what is not here is for the user alone to know.
KINDS = {
    "DIR": "directories",
    "bundle": "directories",
    "FILE": "files",
    "SOCKET": "files",
    "SRC": "files",
    "DEST": "files",
    ID: "ids",
    "command": "programs",
}
NOTHING = "nothing"
_SIGNALS = (name for name in NUMBERS if name.isalpha() and not name.startswith("RT"))
SIGNALS = f"{NOTHING} {' '.join(sorted(_SIGNALS))}"


def tables() -> dict[str, tuple[Option, ...]]:
    """Command, or "" for the program -> its options."""
    return {"": GLOBAL, **{name: row.options for name, row in COMMANDS.items()}}


def switches(table: str) -> list[tuple[str, str]]:
    """What there is beside the table, with what it does."""
    return [("help", "show help"), *([] if table else [("version", "print the version")])]


def words(table: str) -> Iterator[tuple[str, str]]:
    """Each option by its long name, with what it does; it ends with ``=`` where only that attaches a value."""
    for option in tables()[table]:
        yield f"--{option.name}", option.help
    for name, what in switches(table):
        yield f"--{name}", what


def value(option: Option) -> str:
    """The offer for the value of an option, "" for one that has none as a word of its own."""
    if option.kind in FLAGS or option.kind == "optional":
        return ""
    if option.choices:
        return " ".join((NOTHING, *option.choices))
    if option.kind == "switch":
        return f"{NOTHING} auto {' '.join(word for word in BOOLEANS if word in ('true', 'false'))}"
    return _offer(option.metavar)


def names(option: Option) -> list[str]:
    return [option.name, *([option.short] if option.short else [])]


def arguments(row: Command) -> list[str]:
    """The offer for each positional argument; where another program's words follow there is none for these."""
    found = []
    for word in row.usage.split():
        bare = word.strip("[]").removesuffix("...")
        if bare == "signal":
            found.append(SIGNALS)
        elif bare == "command" and found:
            break  # what can be run in a container is not known here
        elif bare in KINDS or re.fullmatch(r"[a-z]+(\|[a-z]+)+", bare):
            found.append(_offer(bare))
        else:
            break
    return found


def _offer(text: str) -> str:
    """``DIR|host`` is a directory or the word host, ``SRC:DEST`` begins with a file, ``0|1`` is one of two words."""
    if text in KINDS:
        return KINDS[text]
    kind, alternatives = NOTHING, []
    for part in text.split("|"):
        found = re.match(r"[A-Z]+|[a-z0-9]+", part)
        if found and found[0] in KINDS:
            kind = KINDS[found[0]]
        elif found and found[0].islower() | found[0].isdigit():
            alternatives.append(found[0])
    return " ".join((kind, *alternatives))
