"""``./dev vm``: the tests, a command or a login in a virtual machine with systemd and cgroup v2."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import suite
from tests.vm.debian import RELEASE, RELEASES
from tests.vm.machine import LAYOUTS, Machine
from tests.vm.programs import VmError
from tests.vm.system import USER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HELP = {
    "up": "boot a machine that stays, with the project as it is now",
    "exec": "run a command in it, which a shell there reads",
    "sync": "bring the project as it is now into it",
    "down": "end it",
    "run": "boot a machine, run one command in it, end it",
    "shell": "boot a machine with its console here; poweroff, or Ctrl-A x, ends it",
    "test": "boot a machine, run the guest's tests in it, end it; what `./dev vm [PYTEST ARGS]` does, too",
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="./dev vm", description=__doc__)
    verbs = made.add_subparsers(dest="verb", required=True)
    for verb, text in HELP.items():
        sub = verbs.add_parser(verb, help=text, allow_abbrev=False)
        stays = verb in ("up", "exec", "sync", "down")
        sub.add_argument(
            "--name", default="main" if stays else f"{verb}-{os.getpid()}", help="of the machine, a choice of yours"
        )
        if verb in ("up", "run", "shell"):
            sub.add_argument("--layout", choices=LAYOUTS, default="unified", help="of cgroups")
            sub.add_argument("--release", choices=RELEASES, default=RELEASE, help="of Debian")
        if verb in ("exec", "run"):
            sub.add_argument("--user", action="store_true", help="as an ordinary user with a session of systemd")
            sub.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
        if verb == "test":
            sub.add_argument(
                "--suite", choices=suite.SUITES, action="append", help="this one, not all but the long ones"
            )
            sub.add_argument("--release", choices=RELEASES, help="of Debian, in the place of the suites' own")
            sub.add_argument("--junit", metavar="FOLDER", type=Path, help="for the results, else .cache/vm")
            sub.epilog = "Other arguments are pytest's."
    return made


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in (*HELP, "-h", "--help"):
        arguments = ["test", *arguments]
    options, words = parser().parse_known_args(arguments)
    if words and options.verb != "test":
        parser().error(f"unknown arguments: {' '.join(words)}")
    machine = Machine(options.name)
    match options.verb:
        case "up":
            machine.up(options.layout, options.release)
        case "exec":
            return machine.attached(options.words, USER if options.user else "root")
        case "sync":
            machine.sync()
        case "down":
            machine.down()
        case "shell":
            machine.up(options.layout, options.release, interactive=True)
        case "run":
            with machine.booted(options.layout, options.release):
                return machine.attached(options.words, USER if options.user else "root")
        case "test":
            names = options.suite or [name for name in suite.SUITES if name not in suite.LONG]
            chosen = {name: suite.SUITES[name] for name in names}
            if options.release:
                chosen = {
                    name: one._replace(release=options.release)
                    for name, one in chosen.items()
                    if options.suite or one.layout in RELEASES[options.release].layouts
                }
            return test(machine, chosen, words, options.junit)
    return 0


def test(machine: Machine, suites: Mapping[str, suite.Suite], words: Sequence[str], junit: Path | None) -> int:
    """Run suites, those of one layout and release in one machine; the first exit status that is not 0."""
    statuses = []
    for where in dict.fromkeys(one.machine for one in suites.values()):
        with machine.booted(*where):
            statuses += [suite.run(machine, name, words, junit) for name, one in suites.items() if one.machine == where]
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except VmError as error:
        sys.exit(f"vm: {error}")
