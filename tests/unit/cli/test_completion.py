"""Completion in real shells: what they offer for a line, and what they ask pyrunc about."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pyrunc.cli.commands import COMMANDS, GLOBAL
from pyrunc.cli.completion import offers
from pyrunc.cli.completion.shells import SCRIPTS
from tests.support.command import run
from tests.unit.cli.shells import SHELLS

#: A pyrunc that has two containers, another one in another root, and notes down what it was asked.
FAKE = """#!/bin/sh
echo "$*" >>"$HOME/asked"
case $* in
    "list --quiet") printf 'box-1\\nbox-2\\n' ;;
    "--root=other list --quiet" | "--root other list --quiet") echo elsewhere ;;
    *) exit 1 ;;
esac
"""

EVERY = pytest.mark.parametrize("shell", [pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in SHELLS])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for shell, make in SCRIPTS.items():
        (tmp_path / f"pyrunc.{shell}").write_text(make())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pyrunc").write_text(FAKE)
    (tmp_path / "bin/pyrunc").chmod(0o755)
    (tmp_path / "there/bundle-1").mkdir(parents=True)
    (tmp_path / "there/bundle-2").mkdir()
    (tmp_path / "there/file").touch()
    return tmp_path


#: line -> what is offered, by the way in which it is written
LINES = {
    "pyrunc sta": ["start", "state"],
    "pyrunc --debug --root other sta": ["start", "state"],
    "pyrunc -root=other sta": ["start", "state"],
    "pyrunc -log-format json -- sta": ["start", "state"],
    "pyrunc hel": ["help"],
    "pyrunc --log": ["--log", "--log-format"],
    "pyrunc -log": ["-log", "-log-format"],
    "pyrunc create --no": ["--no-new-keyring", "--no-pivot"],
    "pyrunc create -no": ["-no-new-keyring", "-no-pivot"],
    "pyrunc kill --": ["--all", "--help"],
    "pyrunc kill box-1 --a": ["--all"],
    "pyrunc --log-format ": ["json", "text"],
    "pyrunc list -f ": ["json", "table"],
    "pyrunc list -format t": ["table"],
    "pyrunc --cgroup-manager s": ["systemd"],
    "pyrunc --rootless ": ["auto", "false", "true"],
    "pyrunc update --cpu-idle ": ["0", "1"],
    "pyrunc start ": ["box-1", "box-2"],
    "pyrunc start box-1 ": [],
    "pyrunc --root other delete --force ": ["elsewhere"],
    "pyrunc --root=other state ": ["elsewhere"],
    "pyrunc -root other state e": ["elsewhere"],
    "pyrunc exec --env A=B ": ["box-1", "box-2"],
    "pyrunc exec -u 0:0 -- ": ["box-1", "box-2"],
    "pyrunc exec box-1 --": [],
    "pyrunc exec box-1 l": [],
    "pyrunc kill box-2 HU": ["HUP"],
    "pyrunc completion ": ["bash", "fish", "zsh"],
    "pyrunc exec --cwd ": [],
    "pyrunc create --pidfd-socket=x --preserve-fds ": [],
}


@EVERY
@pytest.mark.parametrize("line", LINES)
def test_what_a_shell_offers(shell: str, line: str, home: Path) -> None:
    assert SHELLS[shell](line, home) == LINES[line]


@EVERY
@pytest.mark.parametrize("line", ["pyrunc list --format=", "pyrunc list -format=", "pyrunc list --format=j"])
def test_a_value_behind_an_equals_sign(shell: str, line: str, home: Path) -> None:
    """bash and its like see only what is behind the sign as the word; the others offer the whole word."""
    begin = line.partition("=")[0].rpartition(" ")[2] + "=" if shell != "bash" else ""
    values = ["json"] if line.endswith("j") else ["json", "table"]
    assert SHELLS[shell](line, home) == [begin + value for value in values]


@EVERY
@pytest.mark.parametrize(
    "line",
    [
        "pyrunc create --bundle there/",
        "pyrunc create ID -b there/b",
        "pyrunc --debug plan there/",
        "pyrunc --root there/",
    ],
)
def test_where_a_directory_is_meant_directories_are_offered(shell: str, line: str, home: Path) -> None:
    found = [Path(word).name for word in SHELLS[shell](line, home)]
    assert found == ["bundle-1", "bundle-2"]


@EVERY
@pytest.mark.parametrize("line", ["pyrunc --log there/", "pyrunc update -r there/", "pyrunc exec --process there/"])
def test_where_a_file_is_meant_files_are_offered(shell: str, line: str, home: Path) -> None:
    found = {Path(word).name for word in SHELLS[shell](line, home)}
    assert found == {"bundle-1", "bundle-2", "file"}


@EVERY
def test_pyrunc_is_asked_for_ids_only(shell: str, home: Path) -> None:
    for line in ("pyrunc ", "pyrunc --", "pyrunc create --", "pyrunc kill box-1 ", "pyrunc list --format "):
        SHELLS[shell](line, home)
    assert not (home / "asked").exists()
    SHELLS[shell]("pyrunc start ", home)
    assert set((home / "asked").read_text().splitlines()) == {"list --quiet"}


@EVERY
def test_a_pyrunc_that_fails_offers_no_ids_and_says_nothing(shell: str, home: Path) -> None:
    (home / "bin/pyrunc").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    assert SHELLS[shell]("pyrunc start ", home) == []


@EVERY
def test_every_option_of_every_command_is_offered(shell: str, home: Path) -> None:
    for name, options in {"": GLOBAL, **{name: row.options for name, row in COMMANDS.items()}}.items():
        wanted = {f"--{option.name}" for option in options} | {f"--{word}" for word, _ in offers.switches(name)}
        if shell == "zsh" and name not in ("", "exec", "sandbox"):  # each takes a shell of its own
            continue
        assert set(SHELLS[shell](" ".join(filter(None, ["pyrunc", name, "--"])), home)) == wanted


def test_offers_follow_from_the_words_of_the_table() -> None:
    by_name = {option.name: option for option in itertools.chain(*offers.tables().values())}
    assert offers.value(by_name["bundle"]) == "directories"
    assert offers.value(by_name["log"]) == "files"
    assert offers.value(by_name["rootfs"]) == "directories host"
    assert offers.value(by_name["file"]) == "files"
    assert offers.value(by_name["cpu-idle"]) == "nothing 0 1"
    assert offers.value(by_name["memory"]) == "nothing none"
    assert offers.value(by_name["private-tmp"]) == offers.value(by_name["debug"]) == ""
    assert offers.arguments(COMMANDS["kill"]) == ["ids", offers.SIGNALS]
    assert offers.arguments(COMMANDS["exec"]) == ["ids"]
    assert offers.arguments(COMMANDS["sandbox"]) == ["programs"]
    assert offers.arguments(COMMANDS["features"]) == []


def test_the_script_is_what_the_command_prints(pyrunc: Path) -> None:
    for shell, make in SCRIPTS.items():
        assert run(pyrunc, "completion", shell, env={}).stdout == make()
    assert "not a shell that is known (choose bash or zsh or fish)" in run(pyrunc, "completion", "csh", status=1).stderr
