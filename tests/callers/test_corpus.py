"""Command lines that real callers use: both parsers of pyrunc accept them, and read the same from them.

The lines are those of podman, conmon, go-runc, containerd's shim, docker, buildkit, buildah and cri-o.  A new
caller, or a new form of a call, is a new line here.
"""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import lean, rich
from pyrunc.cli.commands import BOOLEANS, COMMANDS, FLAGS, GLOBAL, REPEATABLE, Command, Option
from pyrunc.cli.failure import Misuse

NAMESPACE = "--root /run/containerd/runc/k8s.io --log B/log.json --log-format json"
PODMAN = "--log-format=json --log B/oci-log"
CRIO = "--root /run/pyrunc --systemd-cgroup"

CORPUS = [
    # podman, directly
    "start ID",
    "--cgroup-manager disabled start ID",
    "kill ID 15",
    "kill --all ID 9",
    "delete --force ID",
    "pause ID",
    "resume ID",
    "update --resources=FILE ID",
    # conmon, for podman and cri-o
    f"{PODMAN} create --bundle B --pid-file F ID",
    f"{PODMAN} create --bundle B --pid-file F --no-pivot --no-new-keyring --console-socket S ID",
    f"{PODMAN} create --bundle B --pid-file F --preserve-fds 2 ID",
    f"--systemd-cgroup {PODMAN} create --bundle B --pid-file F ID",
    f"--cgroup-manager disabled {PODMAN} create --bundle B --pid-file F --preserve-fds 1 ID",
    f"{PODMAN} exec --pid-file F --process P --detach ID",
    f"{PODMAN} exec --pid-file F --process P --detach --preserve-fds 1 --console-socket S ID",
    # go-runc's global options
    "--root D --debug --log F --log-format json --systemd-cgroup --rootless=true state ID",
    "--rootless=false list --format=json",
    "--rootless=auto list",
    "--rootless auto list",
    # containerd's shim
    f"{NAMESPACE} create --bundle B --pid-file B/init.pid ID",
    f"{NAMESPACE} create --bundle B --pid-file B/init.pid --console-socket S --no-pivot --no-new-keyring ID",
    f"{NAMESPACE} --systemd-cgroup create --bundle B --pid-file B/init.pid ID",
    f"{NAMESPACE} start ID",
    f"{NAMESPACE} exec --process TMP --detach --pid-file B/E.pid ID",
    f"{NAMESPACE} exec --process TMP --console-socket S --detach --pid-file B/E.pid ID",
    f"{NAMESPACE} kill ID 15",
    f"{NAMESPACE} kill --all ID 9",
    f"{NAMESPACE} delete ID",
    f"{NAMESPACE} delete --force ID",
    f"{NAMESPACE} pause ID",
    f"{NAMESPACE} resume ID",
    f"{NAMESPACE} update --resources=- ID",
    f"{NAMESPACE} ps --format json ID",
    f"{NAMESPACE} state ID",
    "features",
    # go-runc, others
    "list --format=json",
    "events --stats ID",
    "events --interval=5s ID",
    "events ID --interval 100ms",
    "ps --format table ID",
    "run --bundle B ID",
    "run --bundle B --pid-file F -no-subreaper ID",  # one dash, literally
    # buildkit
    "--log L --log-format json run --bundle B --no-pivot --keep ID",
    "--log L --log-format json run --bundle B ID",
    "exec --process P ID",
    "kill ID 9",
    # buildah
    "create --bundle B --pid-file B/pid --console-socket S --no-pivot ID",
    "kill ID",
    "kill ID SIGKILL",
    "delete ID",
    "state ID",
    # cri-o
    f"{CRIO} state ID",
    f"{CRIO} start ID",
    f"{CRIO} delete --force ID",
    f"{CRIO} kill ID 15",
    f"{CRIO} kill -a ID 9",
    f"{CRIO} exec --process F ID",
    f"{CRIO} pause ID",
    f"{CRIO} resume ID",
    f"{CRIO} update --resources - ID",
    # scripts and runc's own tests
    "run -b B ID",
    "run -b=B ID",
    "run -d --keep --pidfd-socket S ID",
    "run ID --bundle B",
    "run ID -d",
    "run -- ID",
    "-root D list -q",
    "--root=D list --quiet",
    "list -f json -q",
    "kill ID KILL -a",
    "kill ID 0",
    "delete ID -f",
    "delete -f=false ID",
    "update ID --memory -1 --memory-swap=-1 --memory-reservation 50M -m 1.5g",
    "update --cpu-period 1 --cpu-quota -1 --cpu-burst 0 --cpu-share 2 --cpu-idle 1 ID --pids-limit -1 --plan",
    "update -r - ID --cpuset-cpus 0-1 --cpuset-mems 0 --blkio-weight 10 --cpu-rt-period 1 --cpu-rt-runtime 1",
    "exec ID ls -l --color",
    "exec -t ID sh",
    "exec ID -- ls",
    "exec -- ID ls",
    "exec -d -t -u 1000:1000 --additional-gids 5 -g 6 -c CAP_KILL --cwd /x -e A=B --env=C=D=E ID env",
    "exec --user=0 --no-new-privs --apparmor P --process-label L --ignore-paused ID true",
    "exec --cgroup memory,cpu:a --cgroup b ID true",
    "exec -p /dev/fd/3 ID",
    "exec --no-new-privs=false ID true",
    "exec --pidfd-socket S --preserve-fds=0 ID true",
    "ps ID -ef",
    "ps -f json ID",
    "ps ID -o pid,args",
    "spec",
    "spec -b B --rootless",
    "validate --bundle B",
    "plan --bundle B --format json",
    "plan A --diff B",
    "--debug=false --systemd-cgroup=0 state ID",
    # podman --runtime-flag, and by hand: a value that may be left out never takes the next word
    f"--private-tmp {PODMAN} create --bundle B --pid-file F ID",
    f"--private-tmp=size=64m --workspace=cwd,size=1g --ephemeral-rootfs=true --cow=/a:/b {PODMAN} create -b B ID",
    "--private-tmp=false --ephemeral-rootfs=F start ID",
    "--ephemeral-rootfs --workspace /work --cow /a --cow /b run -b B ID",
    "-private-tmp= -ephemeral-rootfs=10% kill ID",
    "diff ID",
    "diff --format json ID",
    "commit ID DEST",
    "commit ID - --layer /work",
    "--private-tmp commit ID DEST/",
]

#: Calls for commands of later versions, and lines that runc refuses too.
REFUSED = [
    "update",
    "update --memory",
    "update --bogus 1 ID",
    "events",
    "events --stats ID more",
    "checkpoint --image-path P --work-path W --leave-running --tcp-established --file-locks ID",
    "checkpoint --help",
    "restore --lsm-mount-context",
    "create --bundle",
    "create --bundle B",
    "create --bundle B ID extra",
    "create --preserve-fds x ID",
    "create --preserve-fds=-1 ID",
    "create --preserve-fds=1_0 ID",
    "create -db B ID",
    "create -bB ID",
    "create ---bundle B ID",
    "create --=B ID",
    "create --bundle B --root D ID",
    "exec",
    "exec --additional-gids 1,2 ID true",
    "kill ID 9 more",
    "list extra",
    "list --format yaml",
    "list -q=perhaps",
    "--log-format xml list",
    "--rootless state ID",
    "--debug=perhaps list",
    "--bogus list",
    "bogus",
    "--private-tmp size=64m list",
    "--workspace",
    "--cow",
    "diff",
    "diff ID -f table",
    "commit ID",
    "commit ID DEST MORE",
    "create --private-tmp ID",
]


def both(words: list[str]) -> tuple[lean.Line | None, lean.Line | int | None]:
    """What each parser says; None for a refusal."""
    lean_says: lean.Line | None
    rich_says: lean.Line | int | None
    try:
        lean_says = lean.parse(words)
    except lean.Refused:
        lean_says = None
    try:
        rich_says = rich.read(words)
    except Misuse:
        rich_says = None
    return lean_says, rich_says


@pytest.mark.parametrize("line", CORPUS)
def test_both_parsers_accept_what_callers_say_and_agree_on_it(line: str) -> None:
    words = shlex.split(line)
    lean_says, rich_says = both(words)
    assert lean_says is not None
    assert rich_says == lean_says


@pytest.mark.parametrize("line", REFUSED)
def test_both_parsers_refuse_what_pyrunc_does_not_know(line: str) -> None:
    assert both(shlex.split(line)) == (None, None)


def test_what_callers_say_is_what_is_understood() -> None:
    line = lean.parse(
        shlex.split("--log=L --rootless=T exec -e A=B --env=C=D=E -g 1 -g 2 -t=false -u 1:2 --cwd - ID ls -l --")
    )
    assert line.command is COMMANDS["exec"]
    assert line.arguments == ["ID", "ls", "-l", "--"]
    assert line.globals == {
        "debug": False,
        "log": "L",
        "log-format": "text",
        "root": None,
        "systemd-cgroup": False,
        "cgroup-manager": "cgroupfs",
        "rootless": "true",
        "private-tmp": False,
        "workspace": None,
        "ephemeral-rootfs": False,
        "cow": [],
    }
    changed = {name: value for name, value in line.options.items() if value not in (None, False, 0, [])}
    assert changed == {
        "env": ["A=B", "C=D=E"],
        "additional-gids": [1, 2],
        "user": "1:2",
        "cwd": "-",
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("--private-tmp", True),
        ("--private-tmp=true", True),
        ("-private-tmp=1", True),
        ("--private-tmp=false", False),
        ("--private-tmp=F", False),
        ("--private-tmp=size=64m", "size=64m"),
        ("--private-tmp=no", "no"),
        ("--private-tmp=", ""),
    ],
)
def test_a_value_that_may_be_left_out_is_yes_no_or_text(word: str, value: bool | str) -> None:
    for line in both([word, "list"]):
        assert isinstance(line, lean.Line)
        found = line.globals["private-tmp"]
        assert (type(found), found) == (type(value), value)
    last_wins = lean.parse([word, "--private-tmp=size=1m", "list"])
    assert last_wins.globals["private-tmp"] == "size=1m"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


def value(option: Option) -> st.SearchStrategy[str]:
    if option.kind in ("count", "ids"):
        return st.integers(0, 2**32 - 1).map(str)
    if option.kind == "choice":
        return st.sampled_from(option.choices)
    if option.kind == "switch":
        return st.sampled_from([*BOOLEANS, "auto"])
    return TEXT


@st.composite
def spelled(draw: st.DrawFn, option: Option) -> list[str]:
    """One use of an option, in one of the forms that Go's flag package has for it."""
    name = draw(st.sampled_from(["-", "--"])) + draw(st.sampled_from([option.name, option.short or option.name]))
    if option.kind in FLAGS:
        return [draw(st.sampled_from([name, *(f"{name}={word}" for word in BOOLEANS)]))]
    if option.kind == "optional":
        return [draw(st.sampled_from([name, *(f"{name}={word}" for word in (*BOOLEANS, "size=1m", "", "-", "="))]))]
    text = draw(value(option))
    return draw(st.sampled_from([[name, text], [f"{name}={text}"]]))


def uses(table: tuple[Option, ...]) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.sampled_from(table).flatmap(spelled), max_size=4) if table else st.just([])


@st.composite
def correct(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """A correct command line, and its positional arguments."""
    command: Command = draw(st.sampled_from(list(COMMANDS.values())))
    most = command.most if command.most >= 0 else command.least + 3
    positional = TEXT.filter(lambda text: not text.startswith("-") or text == "-")
    arguments = draw(st.lists(positional, min_size=command.least, max_size=most))
    chunks = draw(uses(command.options))
    if command.interspersed:
        chunks = draw(st.permutations([*chunks, *([word] for word in arguments)]))
        arguments = [chunk[0] for chunk in chunks if len(chunk) == 1 and chunk[0] in arguments]
        words = [word for chunk in chunks for word in chunk]
    else:
        rest = draw(st.lists(TEXT, max_size=3)) if command.most < 0 else []
        arguments = [*arguments, *rest]
        words = [*(word for chunk in chunks for word in chunk), *arguments]
    before = [word for chunk in draw(uses(GLOBAL)) for word in chunk]
    return [*before, command.name, *words], arguments


@given(correct())
def test_every_spelling_of_a_correct_line_is_read_the_same_by_both(line: tuple[list[str], list[str]]) -> None:
    words, arguments = line
    lean_says, rich_says = both(words)
    assert lean_says is not None
    assert lean_says.arguments == arguments
    assert rich_says == lean_says


FRAGMENTS = sorted(
    {
        f"{dash}{name}{tail}"
        for table in (GLOBAL, *(command.options for command in COMMANDS.values()))
        for option in table
        for name in (option.name, option.short)
        if name
        for dash in ("-", "--")
        for tail in ("", "=", "=true", "=1")
    }
    | {"-", "--", "---", "--=", "", "a", "1", "-1", "--bogus", "-x=y", "json", "=", "-=", "--no", "-dt"}
    | set(COMMANDS)
)


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8))
def test_both_agree_on_any_line_whether_it_is_one(words: list[str]) -> None:
    lean_says, rich_says = both(words)
    if rich_says != 0:  # 0: it printed the program's help, since no command was named
        assert rich_says == lean_says
    else:
        assert lean_says is None


@given(st.sampled_from(list(COMMANDS.values())), st.lists(st.sampled_from(FRAGMENTS), max_size=6))
def test_both_agree_behind_any_command(command: Command, words: list[str]) -> None:
    lean_says, rich_says = both([command.name, "ID", *words])
    assert rich_says == lean_says


def test_values_of_repeatable_options_are_lists_of_their_own() -> None:
    first, second = (lean.parse(["exec", "-e", "A=B", "ID"]) for _ in range(2))
    assert first.options["env"] == second.options["env"] == ["A=B"]
    for option in COMMANDS["exec"].options:
        if option.kind in REPEATABLE:
            assert first.options[option.name] is not second.options[option.name]
