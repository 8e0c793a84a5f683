"""The shells that have a script."""

from __future__ import annotations

from pyrunc.cli.completion import bash, fish, zsh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

SCRIPTS: Final[dict[str, Callable[[], str]]] = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
