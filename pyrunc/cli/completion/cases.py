"""The table of commands as branches of a shell's ``case``, which bash and zsh share, and as fish has them."""

from __future__ import annotations

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.completion import offers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: A pattern for each line of the table, and the command behind it -> a branch
    Branch = Callable[[list[str], str], str]


#: What is offered for values and arguments, as bash and zsh look it up.
_POSIX_OFFERS = """\
# _pyrunc_value TABLE/OPTION: sets offer to what stands for the option's value, or to nothing for a flag
_pyrunc_value() {
    case $1 in
@VALUES@
        *) offer= ;;
    esac
}

# _pyrunc_argument COMMAND/NUMBER: sets offer to what the argument is
_pyrunc_argument() {
    case $1 in
@ARGUMENTS@
        *) offer=nothing ;;
    esac
}"""


def values(branch: Branch, say: Callable[[str], str]) -> str:
    """TABLE/OPTION -> the offer for its value."""
    by_offer: dict[str, list[str]] = {}
    for table, options in offers.tables().items():
        for option in options:
            offer = offers.value(option)
            if offer:
                by_offer.setdefault(offer, []).extend(f"{table}/{name}" for name in offers.names(option))
    return "\n".join(branch(patterns, say(offer)) for offer, patterns in by_offer.items())


def arguments(branch: Branch, say: Callable[[str], str]) -> str:
    """COMMAND/NUMBER -> the offer for that argument."""
    by_offer: dict[str, list[str]] = {}
    for name, row in COMMANDS.items():
        for number, offer in enumerate(offers.arguments(row)):
            by_offer.setdefault(offer, []).append(f"{name}/{number}")
    return "\n".join(branch(patterns, say(offer)) for offer, patterns in by_offer.items())


def options(branch: Branch, say: Callable[[list[tuple[str, str]]], str]) -> str:
    """TABLE -> its options."""
    return "\n".join(branch([table], say(list(offers.words(table)))) for table in offers.tables())


def of_others() -> list[str]:
    """Commands whose first argument ends the options."""
    return [name for name, row in COMMANDS.items() if not row.interspersed]


def quoted(text: str) -> str:
    """One word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def posix(patterns: list[str], command: str) -> str:
    """A branch of ``case`` in bash and zsh."""
    return f"        {' | '.join(pattern or quoted('') for pattern in patterns)}) {command} ;;"


def posix_offers() -> str:
    """``_pyrunc_value`` and ``_pyrunc_argument`` of bash and zsh."""

    def say(offer: str) -> str:
        return f"offer={quoted(offer)}"

    filled = _POSIX_OFFERS.replace("@VALUES@", values(posix, say))
    return filled.replace("@ARGUMENTS@", arguments(posix, say))
