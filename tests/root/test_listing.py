"""list and ps: tables, quiet and JSON forms as callers parse them."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static", "ps")


def test_an_empty_list(box: Box) -> None:
    box.root.mkdir()
    assert box.command("list").stdout.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert box.command("list", "--quiet").stdout == ""
    assert box.command("list", "--format", "json").stdout.strip() == "null"


def test_a_root_that_does_not_exist(box: Box, tmp_path: Path) -> None:
    box.root = tmp_path / "no such root"
    assert box.command("list", status=None).status != 0


def test_a_table_of_all_containers(new_box: Callable[..., Box]) -> None:
    created, running, stopped = new_box("/bin/true"), new_box("/bin/sleep", "1000"), new_box("/bin/true")
    created.create()
    running.started()
    stopped.started().until_stopped()
    lines = created.command("list").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert set(rows) == {created.id, running.id, stopped.id}
    assert rows[created.id][:3] == [str(created.state()["pid"]), "created", str(created.bundle.path)]
    assert rows[running.id][:3] == [str(running.state()["pid"]), "running", str(running.bundle.path)]
    assert rows[stopped.id][:3] == ["0", "stopped", str(stopped.bundle.path)]
    assert {row[4] for row in rows.values()} == {"root"}
    for column in ("PID", "STATUS", "BUNDLE", "CREATED", "OWNER"):
        place = lines[0].index(column)
        assert all(line[place - 1] == " " and line[place] != " " for line in lines[1:])


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_a_quiet_list_has_ids_only(sleeper: Box, option: str) -> None:
    assert sleeper.command("list", option).stdout == f"{sleeper.id}\n"


@pytest.mark.parametrize("words", [("-f", "json"), ("--format=json",), ("--format", "json")])
def test_a_list_as_json(sleeper: Box, words: tuple[str, ...]) -> None:
    (entry,) = json.loads(sleeper.command("list", *words).stdout)
    order = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert [key for key in order if key in entry] == list(entry)
    assert (entry["id"], entry["status"], entry["owner"]) == (sleeper.id, "running", "root")
    assert entry["pid"] == sleeper.state()["pid"]


@pytest.mark.parametrize("verb", ["list", "ps"])
def test_an_unknown_format(sleeper: Box, verb: str) -> None:
    words = ["ID"] if verb == "ps" else []
    result = sleeper.command(verb, "--format", "xml", *words, status=None)
    assert result.status != 0
    assert "invalid" in result.stderr
    assert result.stdout == ""


def test_processes_as_json(sleeper: Box) -> None:
    assert json.loads(sleeper.command("ps", "--format", "json", "ID").stdout) == [sleeper.state()["pid"]]
    sleeper.leaving("exec", "-d", "ID", "/bin/sleep", "1000")
    pids = json.loads(sleeper.command("ps", "-f", "json", "ID").stdout)
    assert sorted(pids) == sleeper.processes()
    assert len(pids) == 2


def test_processes_as_a_table(sleeper: Box) -> None:
    header, *rows = sleeper.command("ps", "ID").stdout.splitlines()
    assert header.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert len(rows) == 1
    assert "/bin/sleep 100000" in rows[0]
    assert rows[0].split()[1] == str(sleeper.state()["pid"])


def test_options_of_ps_are_passed_on(sleeper: Box) -> None:
    header, row = sleeper.command("ps", "ID", "-o", "pid,args").stdout.splitlines()
    assert header.split() == ["PID", "COMMAND"]
    assert row.split() == [str(sleeper.state()["pid"]), "/bin/sleep", "100000"]


def test_processes_of_a_stopped_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert len(box.command("ps", "ID").stdout.splitlines()) == 1
    assert json.loads(box.command("ps", "-f", "json", "ID").stdout) in (None, [])


#: Options of ps, which stand behind the id: of all these runc, too, makes a table or an error.
TABLES: tuple[tuple[str, ...], ...] = (
    (), ("-ef",), ("aux",), ("-o", "pid,args"), ("-A", "-o", "user,pid"), ("-eLf",), ("-p", "1"), ("-o", "args"),
    ("-o", "nosuch"), ("--bogus",), ("--no-headers", "-o", "pid"), ("-f", "json"), ("--", "-ef"),
)  # fmt: skip


def tables(box: Box) -> list[tuple[int, list[list[str]], str]]:
    """Status, the words of each line without the processes' own numbers, and the error, for each of the options."""
    box.started()
    until(lambda: len(re.findall("^ *[0-9]+ sleep", shown(box), re.MULTILINE)) == 2, lambda: "both processes sleep")
    pids = json.loads(box.command("ps", "-f", "json", "ID").stdout)
    assert len(pids) == 3
    found = []
    for options in TABLES:
        done = box.command("ps", "ID", *options, status=None)
        lines = [[comparable(word, pids) for word in line.split()] for line in done.stdout.splitlines()]
        # runc keeps the line ends of what ps says, as Go escapes them in a log.
        said = done.stderr.replace("\\n", " ").replace('\\"', '"')
        error = re.search(r"exit status.*ps\(1\)\.|couldn't.*output", " ".join(said.split()))
        found.append((done.status, lines, error[0] if error else said))
    return found


def shown(box: Box) -> str:
    return box.command("ps", "ID", "-o", "pid,args").stdout


def comparable(word: str, pids: list[int]) -> str:
    if word.isdecimal() and int(word) in pids:
        return f"pid {pids.index(int(word))}"
    return re.sub(r"[\d:.]+", "N", word)  # a time, a share of a processor, a size


@pytest.mark.needs("runc")
def test_tables_are_runcs(new_box: Callable[..., Box], runc: Path, runtime: Path) -> None:
    script = "sleep 99 & (cd /; exec sleep 100) & wait"
    theirs, ours = (tables(new_box("/bin/sh", "-c", script, runtime=which)) for which in (runc, runtime))
    for options, their, our in zip(TABLES, theirs, ours, strict=True):
        assert our == their, options


def until_reaped(pid: int) -> None:
    """Until then the process is in its cgroup."""
    until(lambda: not os.path.exists(f"/proc/{pid}"), lambda: f"{pid} is gone")


@pytest.mark.needs("runc")
@pytest.mark.parametrize("status", ["created", "paused", "stopped"])
def test_in_every_status_it_tells_what_runc_tells(
    status: str, new_box: Callable[..., Box], runc: Path, runtime: Path
) -> None:
    seen = []
    for which in (runc, runtime):
        box = new_box("/bin/sleep", "1000", runtime=which)
        box.create()
        pid = box.state()["pid"]
        if status == "paused":
            box.start()
            box.command("pause", "ID")
        elif status == "stopped":
            box.kill("KILL")
            box.until_stopped()
            until_reaped(pid)
        table = box.command("ps", "ID", "-o", "ppid,pid").stdout.split()
        listed = json.loads(box.command("ps", "-f", "json", "ID").stdout)
        seen.append((table[:2], [word == str(pid) for word in table[3:]], listed and listed == [pid]))
    assert seen[0] == seen[1]
