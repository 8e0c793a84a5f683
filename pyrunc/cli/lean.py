"""The command line's fast way: a parser that reads the table of commands, and the way to the verb.

It imports nothing that a successful command can do without (``posix`` and not ``os``, whose import is a tenth
of a bare interpreter's start).  The parser accepts correct command lines only;
for all others (help, usage errors) it steps back, and ``pyrunc.cli.rich`` reads the same arguments again.
Its grammar is that of Go's flag package with urfave/cli's reordering, which callers of runc rely on:

* one dash or two before any name; ``--name value`` and ``--name=value``; a value may start with a dash
* ``--flag``, ``--flag=false``; a value that may be left out follows ``=`` only
* options may follow positional arguments, save where those belong to another program (exec, ps)
* ``--`` ends the options; a lone ``-`` is a positional argument
"""

from __future__ import annotations

import gc
import posix
import sys

from pyrunc.cli.commands import BOOLEANS, COMMANDS, FLAGS, GLOBAL, REPEATABLE
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn

    from pyrunc.cli.commands import Command, Option, Value


class Refused(Exception):
    """Not a complete, correct command line: the rich parser has the words for why."""


class Line:
    """A parsed command line: values by option name, complete with defaults."""

    __slots__ = ("arguments", "command", "globals", "options")

    def __init__(
        self, globals_: dict[str, Value], command: Command, options: dict[str, Value], arguments: list[str]
    ) -> None:
        self.globals = globals_
        self.command = command
        self.options = options
        self.arguments = arguments

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Line) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Line({self.globals!r}, {self.command.name!r}, {self.options!r}, {self.arguments!r})"


#: What is reported as a failure of the command; all else is a defect of pyrunc.
KNOWN = (PyruncError, OSError, KeyboardInterrupt)


def main(argv: list[str]) -> int:
    """Run the command line ``argv`` (without the program's name); returns the exit status."""
    sys.excepthook = _crashed
    gc.disable()  # a command is over before a cycle could matter; collections are a tenth of the start-up
    line = None
    try:
        line = read(argv)
        if isinstance(line, int):
            return line
        from pyrunc.cli import verbs

        return verbs.run(line)
    except KNOWN as error:
        from pyrunc.cli import failure

        return failure.report(error, line)


def read(argv: list[str]) -> Line | int:
    """Parse with help and explanations of mistakes; an exit status where that was all to do."""
    try:
        return parse(argv)
    except Refused:
        from pyrunc.host import site

        site.add()
        from pyrunc.cli import rich

        return rich.read(argv)


def parse(argv: list[str]) -> Line:
    """Parse, or raise Refused."""
    values, rest = _options(GLOBAL, argv, interspersed=False)
    if not rest or rest[0] not in COMMANDS:
        raise Refused
    command = COMMANDS[rest[0]]
    options, arguments = _options(command.options, rest[1:], interspersed=command.interspersed)
    if len(arguments) < command.least or len(arguments) > command.most >= 0:
        raise Refused
    return Line(values, command, options, arguments)


def _options(table: tuple[Option, ...], words: list[str], *, interspersed: bool) -> tuple[dict[str, Value], list[str]]:
    """Split ``words`` into values of the options in ``table`` and positional arguments."""
    names = {option.name: option for option in table}
    names.update((option.short, option) for option in table if option.short)
    values = {option.name: [] if option.kind in REPEATABLE else option.default for option in table}
    arguments: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word[:1] != "-" or word == "-":
            if not interspersed:
                return values, words[index - 1 :]
            arguments.append(word)
            continue
        if word == "--":
            arguments += words[index:]
            break
        name, equals, text = word[2 if word[1] == "-" else 1 :].partition("=")
        option = names.get(name)
        if option is None:
            raise Refused
        if option.kind in FLAGS:
            values[option.name] = _boolean(text) if equals else True
            continue
        if option.kind == "optional":
            values[option.name] = BOOLEANS.get(text, text) if equals else True
            continue
        if not equals:
            if index == len(words):
                raise Refused
            text = words[index]
            index += 1
        _assign(values, option, text)
    return values, arguments


def _assign(values: dict[str, Value], option: Option, text: str) -> None:
    kind = option.kind
    if kind == "text":
        values[option.name] = text
    elif kind in REPEATABLE:
        values[option.name].append(_number(text) if kind == "ids" else text)  # type: ignore[union-attr, arg-type]
    elif kind == "count":
        values[option.name] = _number(text)
    elif kind == "choice":
        if text not in option.choices:
            raise Refused
        values[option.name] = text
    else:
        values[option.name] = text if text == "auto" else str(_boolean(text)).lower()


def _number(text: str) -> int:
    # Not int(): that takes "1_0", " 1" and digits of any script.
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise Refused
    return int(text)


def _boolean(text: str) -> bool:
    if text not in BOOLEANS:
        raise Refused
    return BOOLEANS[text]


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> NoReturn:
    from pyrunc.cli import failure

    posix._exit(failure.crashed(kind, error, trace, sys.argv[1:]))
