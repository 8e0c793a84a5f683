"""The options of the table as click parameters: how they are spelled, converted and shown in help."""

from __future__ import annotations

# ruff: noqa: ARG002  (the signatures of methods are click's)
import click

from pyrunc.cli.commands import BOOLEANS, REPEATABLE, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SWITCHES = {"h": "help", "v": "version"}


def canonical(table: tuple[Option, ...], words: list[str], *, interspersed: bool) -> list[str]:
    """Spell ``words`` as click knows them: ``--name=value`` first, then ``--``, then positional arguments.

    Go's forms (``-name``, ``-b=value``, ``--flag=false``) are not click's.  What the table does not hold is
    left to click, which will refuse it.
    """
    names = {option.name: option for option in table}
    names.update((option.short, option) for option in table if option.short)
    flags: dict[str, bool] = {}
    spelled: list[str] = []
    rest = list(words)
    arguments: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in ("", "-") or not word.startswith("-"):
            arguments.append(word)
            if not interspersed:
                break
            continue
        if word == "--":
            break
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise click.UsageError(f"bad flag syntax: {word}")
        option = names.get(name)
        if option is None:
            spelled.append(f"--{SWITCHES.get(name, name)}")
        elif option.kind == "flag":
            flags[option.name] = boolean(option, value) if equals else True
        elif option.kind in ("toggle", "optional"):
            spelled.append(f"--{option.name}={value if equals else 'true'}")
        elif equals or rest:
            spelled.append(f"--{option.name}={value if equals else rest.pop(0)}")
        else:
            return [*spelled, f"--{option.name}"]
    return [*spelled, *(f"--{name}" for name, on in flags.items() if on), "--", *arguments, *rest]


class Typed(click.ParamType):  # type: ignore[type-arg]
    """Conversion of one option's value, by its kind, with Go's words for a failure."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        kind = self.option.kind
        if kind == "choice":
            if value not in self.option.choices:
                reject(self.option, value, "choose " + " or ".join(self.option.choices))
            return value
        if kind == "switch":
            return value if value == "auto" else str(boolean(self.option, value)).lower()
        if kind == "toggle":
            return boolean(self.option, value)
        if kind == "optional":
            return BOOLEANS.get(value, value)
        if kind in ("count", "ids"):
            if not (value.isascii() and value.isdigit()) or len(value) > 10:
                reject(self.option, value, "parse error")
            return int(value)
        return value


def boolean(option: Option, value: str) -> bool:
    if value not in BOOLEANS:
        raise click.UsageError(f'invalid boolean value "{value}" for -{option.name}: parse error')
    return BOOLEANS[value]


def reject(option: Option, value: str, why: str) -> NoReturn:
    raise click.UsageError(f'invalid value "{value}" for flag -{option.name}: {why}')


class Parameter(click.Option):
    """A click option whose line in the help reads as runc's."""

    def __init__(self, option: Option) -> None:
        self.row = option
        names = [identifier(option.name), f"--{option.name}", *([f"-{option.short}"] if option.short else [])]
        multiple = option.kind in REPEATABLE
        if option.kind == "flag":
            super().__init__(names, is_flag=True, default=False, help=option.help)
        else:
            default = None if multiple else option.default
            super().__init__(names, type=Typed(option), multiple=multiple, default=default, help=option.help)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        row = self.row
        names = f"--{row.name}, -{row.short}" if row.short else f"--{row.name}"
        text = row.help
        if row.kind == "choice":
            text += f": {', '.join(row.choices)} (default: {row.default})"
        return f"{names}[={row.metavar}]" if row.kind == "optional" else f"{names} {row.metavar}".rstrip(), text


def parameter(option: Option) -> click.Parameter:
    return Parameter(option)


def identifier(name: str) -> str:
    return name.replace("-", "_")
