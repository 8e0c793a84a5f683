"""The command line's friendly way: click, fed from the table that ``pyrunc.cli.lean`` reads.

Help, ``help``, ``--version``, and the explanation of every mistake live here.  It reads what the
lean parser refused, from the start, and must agree with it on everything that the lean parser accepts
(tests/callers/test_corpus.py).  Nothing else imports click; who imports this calls ``host.site.add`` first.
"""

from __future__ import annotations

# ruff: noqa: ARG002  (the signatures of methods are click's)
import difflib
import os
import sys
from contextlib import contextmanager

import click

from pyrunc.cli.commands import COMMANDS, GLOBAL, REPEATABLE, Command, Option
from pyrunc.cli.failure import FAILED, Misuse
from pyrunc.cli.lean import Line
from pyrunc.cli.output import out
from pyrunc.cli.parameters import canonical, identifier, parameter
from pyrunc.runtime import version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from pyrunc.cli.commands import Value

UNKNOWN_COMMAND = 3  # runc's exit status for it


def read(argv: list[str]) -> Line | int:
    """Parse ``argv``; an exit status where it asked for help.  Raises Misuse."""
    program = build()
    try:
        with program.make_context(version.NAME, list(argv)) as context:
            line: Line | int = program.invoke(context)
            return line
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except click.UsageError as error:
        raise misuse(error) from None


def build() -> Program:
    """The click program with all commands of the table."""
    program = Program(
        version.NAME,
        params=[
            *map(parameter, GLOBAL),
            switch("version", "v", "print the version", show_version),
            help_switch(),
        ],
        callback=lambda **_values: None,
        help="Run containers from OCI bundles.",
        add_help_option=False,
        invoke_without_command=True,
    )
    for command in COMMANDS.values():
        program.add_command(Verb(command))
    program.add_command(
        click.Command(
            "help",
            params=[click.Argument(["topics"], nargs=-1)],
            callback=help_on,
            help="Show help for a command.",
            add_help_option=False,
        )
    )
    return program


class Program(click.Group):
    """``pyrunc`` itself: the global options, and the choice of the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with placed(ctx):
            return super().parse_args(ctx, canonical(GLOBAL, args, interspersed=False))

    def invoke(self, ctx: click.Context) -> Any:
        if not (ctx._protected_args or ctx.args):  # runc without arguments prints its help
            show(ctx)
            return 0
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = "help" if args[0] == "h" else args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            unknown_command(ctx, name)
        return name, command, args[1:]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[global options]", "COMMAND", "[options]", "[arguments]"]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"'{version.NAME} COMMAND --help' tells about a command.")


class Verb(click.Command):
    """One command of the table."""

    def __init__(self, row: Command) -> None:
        self.row = row
        arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
        super().__init__(
            row.name,
            params=[*map(parameter, row.options), help_switch(), arguments],
            callback=self.line,
            help=row.help[0].upper() + row.help[1:] + ".",
            add_help_option=False,
        )
        self.allow_interspersed_args = row.interspersed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with placed(ctx):
            return super().parse_args(ctx, canonical(self.row.options, args, interspersed=self.row.interspersed))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [piece for piece in ("[options]", self.row.usage) if piece]

    def line(self, arguments: tuple[str, ...], **_values: object) -> Line:
        ctx = click.get_current_context()
        row = self.row
        if len(arguments) < row.least or len(arguments) > row.most >= 0:
            raise click.UsageError(f'"{row.name}" requires {wanted(row, len(arguments))}', ctx)
        return Line(values(GLOBAL, ctx.find_root()), row, values(row.options, ctx), list(arguments))


@contextmanager
def placed(ctx: click.Context) -> Iterator[None]:
    """Usage errors from within know which command they are about; click's own parser leaves that out."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def wanted(row: Command, given: int) -> str:
    """How many arguments a command takes, in the words of runc."""
    if row.least == row.most:
        return f"exactly {row.least} argument(s)"
    if given < row.least:
        return f"a minimum of {row.least} argument(s)"
    return f"a maximum of {row.most} argument(s)"


def values(table: tuple[Option, ...], ctx: click.Context) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for option in table:
        value = ctx.params[identifier(option.name)]
        found[option.name] = list(value) if option.kind in REPEATABLE else value
    return found


def switch(name: str, short: str, text: str, callback: Any) -> click.Option:
    """An option that does its work while the line is being parsed, and ends it."""
    return click.Option(
        [f"--{name}", f"-{short}"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        help=text,
        callback=callback,
    )


def help_switch() -> click.Option:
    return switch("help", "h", "show help", lambda ctx, _param, value: show(ctx, leave=True) if value else None)


def show(ctx: click.Context, *, leave: bool = False) -> None:
    """Print the help of a context's command; bold headings on a terminal only."""
    ctx.formatter_class = Formatter
    text = ctx.get_help() + "\n"
    out(text if os.isatty(1) and "NO_COLOR" not in os.environ else click.unstyle(text))
    if leave:
        ctx.exit(0)


def show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        out(version_text())
        ctx.exit(0)


def version_text() -> str:
    """Three lines.  Callers of runc want its name in the first: they get it when they have called us by it.

    The interpreter replaces argv[0] by the script's path; the launcher passes the name that it was called by,
    where that is not its own, as ``-X pyrunc_called=NAME``.
    """
    name = "runc" if sys._xoptions.get("pyrunc_called") == "runc" else version.NAME
    return f"{name} version {version.VERSION}\ncommit: {version.commit()}\nspec: {version.SPEC}\n"


class Formatter(click.HelpFormatter):
    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, bold=True))


def help_on(topics: tuple[str, ...]) -> int:
    """``pyrunc help [COMMAND]``."""
    here = click.get_current_context()
    root = here.find_root()
    program = root.command
    assert isinstance(program, Program)
    if not topics:
        show(root)
        return 0
    command = program.get_command(root, topics[0])
    if command is None:
        unknown_command(root, topics[0])
    show(click.Context(command, info_name=topics[0], parent=root))
    return 0


def unknown_command(ctx: click.Context, name: str) -> NoReturn:
    close = difflib.get_close_matches(name, [*COMMANDS, "help"], n=2)
    raise Misuse(
        f"No help topic for '{name}': unknown command" + suggestion(close),
        status=UNKNOWN_COMMAND,
        synopsis=synopsis(ctx),
        options=globals_of(ctx),
    )


def misuse(error: click.UsageError) -> Misuse:
    """The same mistake in the words that scripts expect from runc."""
    message = error.message
    table: tuple[Option, ...] = GLOBAL
    if error.ctx is not None and isinstance(error.ctx.command, Verb):
        table = error.ctx.command.row.options
    if isinstance(error, click.NoSuchOption):
        name = error.option_name.lstrip("-")
        close = difflib.get_close_matches(name, [option.name for option in table] + ["help"], n=2)
        message = f"flag provided but not defined: -{name}" + suggestion([f"--{one}" for one in close])
        if not close and table is not GLOBAL and any(option.name == name for option in GLOBAL):
            message += f" (--{name} is a global option: it stands before the command)"
    elif isinstance(error, click.BadOptionUsage):
        message = f"flag needs an argument: -{error.option_name.lstrip('-')}"
    return Misuse(message, status=FAILED, synopsis=synopsis(error.ctx), options=globals_of(error.ctx))


def suggestion(names: list[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""


def synopsis(ctx: click.Context | None) -> str:
    if ctx is None:
        return ""
    return f"{ctx.get_usage()}\nTry '{ctx.command_path} --help'.\n"


def globals_of(ctx: click.Context | None) -> dict[str, Value] | None:
    """The global options, where the mistake stands behind them: where to log it."""
    params = ctx.find_root().params if ctx else {}
    return values(GLOBAL, ctx.find_root()) if ctx and all(identifier(o.name) in params for o in GLOBAL) else None
