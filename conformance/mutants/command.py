"""One command line of a runtime, as a mutant gets it: understood, changed, and passed on to the real one.

A mutant is started for each verb, so nothing is imported here that a verb does not need.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

VERBS = ("create", "start", "state", "kill", "delete", "features")


_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """SIGKILL for us when ``parent`` ends, whose child we are (prctl(2)); programs that we become keep it."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Command:
    """``RUNTIME [OPTION…] VERB [ARGUMENT…]``; ``verb`` is "" where there is none that is known."""

    def __init__(self, runtime: str, words: list[str]) -> None:
        self.runtime = runtime
        at = next((number for number, word in enumerate(words) if word in VERBS), len(words))
        self.options, self.rest = words[:at], words[at + 1 :]
        self.verb = words[at] if at < len(words) else ""

    def line(self, verb: str, rest: list[str]) -> list[str]:
        return [self.runtime, *self.options, *([verb] if verb else []), *rest]

    # --- the real one ------------------------------------------------------------------------------------------------

    def become(self) -> NoReturn:
        """The real runtime takes this process over."""
        os.execv(self.runtime, self.line(self.verb, self.rest))

    def run(self, verb: str | None = None, rest: list[str] | None = None) -> int:
        """Run it, this verb unless another one is named, and return its exit status.  Who kills us kills it, too."""
        words = self.line(self.verb if verb is None else verb, self.rest if rest is None else rest)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            die_with(parent)
            os.execv(self.runtime, words)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status if status >= 0 else 128 - status

    def ask(self, verb: str, rest: list[str], *, silent: bool = False) -> tuple[int, str]:
        """Its exit status and what it prints; ``silent`` when nobody is to hear of errors."""
        import subprocess

        errors = subprocess.DEVNULL if silent else None
        done = subprocess.run(self.line(verb, rest), stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
        return done.returncode, done.stdout

    # --- what it is about --------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        words = [word for word in self.rest if word != "--force"]
        return words[0 if self.verb == "kill" else -1] if words else ""

    def value(self, option: str, words: list[str]) -> str:
        """What stands behind an option, "" where it is not given."""
        return words[words.index(option) + 1] if option in words else ""

    @property
    def root(self) -> str:
        """The state directory."""
        return self.value("--root", self.options)

    @property
    def pid_file(self) -> str:
        return self.value("--pid-file", self.rest)

    @property
    def bundle(self) -> str:
        """That of create, or of the container that there is; "" when there is none."""
        if self.verb == "create":
            return self.value("--bundle", self.rest) or "."
        return str(self.state().get("bundle", ""))

    def state(self) -> dict[str, Any]:
        """What the real one prints as the container's state, {} when there is no container."""
        status, text = self.ask("state", [self.id], silent=True)
        return json.loads(text) if status == 0 else {}

    def config(self) -> dict[str, Any]:
        """What config.json holds, {} when it cannot be read."""
        try:
            with open(os.path.join(self.bundle, "config.json")) as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def program(self) -> list[str]:
        """The arguments of the container's process."""
        return list(self.config().get("process", {}).get("args", []))

    def note(self, name: str) -> str:
        """The path of a file of the mutant's own, beside the state directory."""
        return f"{self.root}-{name}"

    # --- with another config -----------------------------------------------------------------------------------------

    def with_config(self, edit: Callable[[dict[str, Any]], object]) -> int:
        """``create`` with a config that was edited; the bundle has its own again when it returns."""
        config = self.config()
        if not config:
            return self.run()
        edit(config)
        path = os.path.join(self.bundle, "config.json")
        kept = f"{path}.kept"
        os.rename(path, kept)
        try:
            with open(path, "w") as file:
                json.dump(config, file)
            return self.run()
        finally:
            os.rename(kept, path)
