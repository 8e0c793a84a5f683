"""One page for the program and one for each command, from the table and the texts."""

from __future__ import annotations

import re

from pyrunc.cli.commands import COMMANDS, FLAGS, GLOBAL, REPEATABLE
from pyrunc.cli.manual import roff, texts
from pyrunc.cli.manual.examples import EXAMPLES
from pyrunc.runtime.version import NAME, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.commands import Command, Option

VOLUME = "Container runtime"


def pages() -> dict[str, str]:
    """File name -> text of every page."""
    made = {f"{NAME}.8": program()}
    made.update((f"{NAME}-{row.name}.8", command(row)) for row in COMMANDS.values())
    return made


def program() -> str:
    commands = [(roff.bold(f"{NAME}-{row.name}") + "(8)", _sentence(row.help)) for row in COMMANDS.values()]
    commands.append((roff.bold("help") + " [" + roff.italic("COMMAND") + "]", "Show the options of *COMMAND*."))
    return _page(
        NAME,
        "OCI container runtime",
        [f"{roff.bold(NAME)} [global options] {roff.italic('COMMAND')} [options] [arguments]"],
        texts.PROGRAM,
        [
            *roff.section("COMMANDS", roff.entries(commands)),
            *roff.section("GLOBAL OPTIONS", [*_options(GLOBAL), *roff.entries(_SWITCHES[::-1])]),
            *roff.section("COMMAND LINES", roff.paragraphs(texts.COMMAND_LINES)),
        ],
        also=[f"{NAME}-{row.name}" for row in COMMANDS.values()],
        version="",
    )


def command(row: Command) -> str:
    texts_of = texts.COMMANDS.get(row.name, texts.Texts(_sentence(row.help)))
    words = [roff.bold(NAME), "[global options]", roff.bold(row.name), "[options]" if row.options else "", _usage(row)]
    return _page(
        f"{NAME}-{row.name}",
        row.help,
        [" ".join(filter(None, words))],
        texts_of,
        roff.section("OPTIONS", [*_options(row.options), *roff.entries(_SWITCHES[:1])]),
        also=[NAME, *(f"{NAME}-{name}" for name in texts_of.also)],
        version=row.name,
    )


_SWITCHES = [
    (f"{roff.bold('--help')}, {roff.bold('-h')}", "Show what the options are, and exit."),
    (f"{roff.bold('--version')}, {roff.bold('-v')}", "Print the version, the commit and the version of runtime-spec."),
]


def _page(
    name: str,
    what: str,
    synopsis: list[str],
    said: texts.Texts,
    middle: list[str],
    *,
    also: list[str],
    version: str,
) -> str:
    examples = EXAMPLES.get(version)
    shown: list[str] = []
    for example in examples.shown if examples else ():
        shown += [".PP"] * bool(shown) + [roff.prose(example.text), ".PP"] * bool(example.text)
        shown += roff.commands(example.lines)
    see = ",\n".join(f"{roff.bold(page)}(8)" for page in also)
    lines = [
        f'.\\" Made from the table of commands of {NAME}; do not edit.',
        roff.title(name, texts.DATE, f"{NAME} {VERSION}", VOLUME),
        *roff.section("NAME", [f"{roff.literal(name)} \\- {roff.prose(what)}"]),
        *roff.section("SYNOPSIS", synopsis),
        *roff.section("DESCRIPTION", roff.paragraphs(said.description)),
        *middle,
        *roff.section("EXIT STATUS", roff.entries((_value(code), text) for code, text in said.statuses)),
        *roff.section("ENVIRONMENT", roff.entries((roff.bold(key), text) for key, text in said.environment)),
        *roff.section("FILES", roff.entries((roff.italic(key), text) for key, text in said.files)),
        *roff.section("EXAMPLES", shown),
        *roff.section("SEE ALSO", [see, *(f"{roff.prose(text)}" for text in said.elsewhere)]),
    ]
    return "\n".join(lines) + "\n"


def _options(table: tuple[Option, ...]) -> list[str]:
    return roff.entries((_names(option), _meaning(option)) for option in table)


def _names(option: Option) -> str:
    names = [roff.bold(f"--{option.name}"), *([roff.bold(f"-{option.short}")] if option.short else [])]
    value = _value(option.metavar)
    if option.kind in FLAGS:
        return ", ".join(names)
    return ", ".join(names) + (f"[={value}]" if option.kind == "optional" else f" {value}")


def _value(metavar: str) -> str:
    """Words in capitals stand for something; the others are to be typed."""
    return re.sub(r"[A-Z]+|[a-z0-9]+", lambda m: (roff.italic if m[0].isupper() else roff.bold)(m[0]), metavar)


def _meaning(option: Option) -> str:
    text = option.help[0].upper() + option.help[1:]
    more = []
    if option.choices:
        more.append("One of " + ", ".join(f"`{choice}`" for choice in option.choices))
    if option.default not in (None, False, 0) and "default" not in text:
        more.append(f"The default is `{option.default}`")
    if option.kind in REPEATABLE and "repeatable" not in text:
        more.append("May be given more than once")
    return ". ".join([text, *more]) + "."


def _usage(row: Command) -> str:
    return re.sub(r"[A-Za-z-]+", lambda word: roff.italic(word[0]), row.usage)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
