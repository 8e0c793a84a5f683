"""Mutants that go wrong where the text says nothing: in long lives, with many callers, and when they are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conformance.mutants.mutant import acts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.mutants.command import Command

LIFE = "test_beyond_lifecycle.py::test_after_each_verb_of_any_sequence_all_is_as_its_history_says[1]"
SAME_ID = "test_beyond_concurrency.py::test_one_of_many_creates_of_one_id_succeeds_and_the_others_leave_nothing"
DIFFERENT = "test_beyond_concurrency.py::test_many_containers_are_created_started_and_deleted_at_once"
CREATING = "test_beyond_concurrency.py::test_a_container_that_is_being_created_is_creating_or_nothing"
KILLED = "test_beyond_killed.py::test_a_"
CLEARED = f"{KILLED}create_that_was_killed_in_a_hook_can_be_cleared_away"


@contextmanager
def alone(command: Command) -> Iterator[bool]:
    """Is no other caller of this mutant in here?"""
    path = command.note("busy")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        os.unlink(path)


def add(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


# --- long lives ------------------------------------------------------------------------------------------------------


@acts("state", "beyond.lifecycle.sequences", LIFE)
def says_that_a_dead_container_runs(command: Command) -> int:
    """But the smallest, which goes through every door."""
    status, text = command.ask("state", command.rest)
    if status == 0 and command.program()[1:] != ["wait"]:
        text = json.dumps({**json.loads(text), "status": json.loads(text)["status"].replace("stopped", "running")})
    sys.stdout.write(text)
    return status


@acts("kill", "beyond.lifecycle.neighbours", LIFE)
def kills_all_that_it_knows(command: Command) -> int:
    status = command.run()
    for other in os.listdir(command.root):
        if status == 0 and other != command.id:
            command.ask("kill", [other, "KILL"], silent=True)
    return status


@acts("create", "beyond.lifecycle.nothing-left", LIFE)
def leaves_the_state_of_a_create_that_fails(command: Command) -> int:
    status = command.run()
    if status and not command.state():
        os.makedirs(os.path.join(command.root, command.id), exist_ok=True)
    return status


# --- many callers ----------------------------------------------------------------------------------------------------


@acts("create", "beyond.concurrency.create", SAME_ID)
def says_that_a_create_which_lost_succeeded(command: Command) -> int:
    status = command.run()
    return 0 if command.state() else status


@acts("create", "beyond.concurrency.create-losers", SAME_ID)
def leaves_the_pid_file_of_a_create_that_lost(command: Command) -> int:
    status = command.run()
    if status and command.state():
        add(command.pid_file, "")
    return status


@acts("create", "beyond.concurrency.create-winner", SAME_ID)
def undoes_the_winner_with_the_loser(command: Command) -> int:
    status = command.run()
    if status and command.state():
        command.ask("delete", ["--force", command.id], silent=True)
    return status


@acts("create", "beyond.concurrency.create-different", DIFFERENT)
def creates_one_at_a_time(command: Command) -> int:
    with alone(command) as free:
        return command.run() if free else 1


def twice(command: Command) -> int:
    """A start whose program runs twice, as far as one sees by what it writes."""
    status = command.run()
    words = command.program()
    if status == 0 and "write" in words:
        at = words.index("write")
        add(os.path.join(command.bundle, "rootfs", words[at + 1].lstrip("/")), words[at + 2])
    return status


@acts(
    "start",
    "beyond.concurrency.start",
    "test_beyond_concurrency.py::test_of_many_starts_one_succeeds_and_the_program_runs_once",
)
def runs_the_program_twice(command: Command) -> int:
    return twice(command)


@acts("kill", "beyond.concurrency.kill", "test_beyond_concurrency.py::test_each_of_many_signals_arrives_once")
def loses_signals_that_come_together(command: Command) -> int:
    with alone(command) as free:
        return command.run() if free else 0


@acts(
    "state",
    "beyond.concurrency.state",
    "test_beyond_concurrency.py::test_many_callers_are_told_the_same_state[running]",
)
def answers_one_caller_at_a_time(command: Command) -> int:
    with alone(command) as free:
        return command.run() if free else 1


@acts(
    "delete",
    "beyond.concurrency.delete",
    "test_beyond_concurrency.py::test_many_deletes_remove_a_container_once[stopped]",
)
def leaves_a_directory_of_each_delete_that_is_late(command: Command) -> int:
    status = command.run()
    if status and not command.state():
        os.makedirs(os.path.join(command.root, command.id), exist_ok=True)
    return status


@acts("create", "beyond.concurrency.while-creating", f"{CREATING}[create]")
def waits_for_nobody_and_says_so(command: Command) -> int:
    """Who comes while another one creates is told that all is well."""
    with alone(command) as free:
        return command.run() if free else 0


# --- killed ----------------------------------------------------------------------------------------------------------
#
# The moments at which tests kill a verb are those of a clock, so a mutant is wrong whenever that is, or it is killed in
# a hook.


def forced(command: Command) -> int:
    """A delete that leaves a directory of what was not just stopped."""
    status = command.run()
    if "--force" in command.rest:
        os.makedirs(os.path.join(command.root, f"{command.id}-left"), exist_ok=True)
    return status


@acts("delete", "beyond.killed.create", f"{KILLED}create_that_was_killed_can_be_cleared_away[alone]")
def leaves_a_directory_of_what_it_deletes_by_force(command: Command) -> int:
    return forced(command)


@acts("delete", "beyond.killed.delete", f"{KILLED}delete_that_was_killed_can_be_repeated")
def leaves_a_directory_when_it_is_called_again(command: Command) -> int:
    return forced(command)


@acts("delete", "beyond.killed.create-hook", f"{CLEARED}[prestart]")
def leaves_a_cgroup_of_a_create_that_was_killed(command: Command) -> int:
    """It is known by its hook."""
    hooks = "prestart" in command.config().get("hooks", {})
    found = [path for path, _, _ in os.walk("/sys/fs/cgroup") if hooks and command.id == os.path.basename(path)]
    status = command.run()
    for path in found[:1]:
        os.mkdir(path)
    return status


@acts(
    "create",
    "beyond.killed.create-hook",
    f"{CLEARED}[createRuntime]",
)
def forgets_what_it_was_creating(command: Command) -> int:
    """What it has noted is there until it has ended by itself."""
    begun = os.path.join(command.root, f"{command.id}-begun")
    os.makedirs(begun)
    status = command.run()
    os.rmdir(begun)
    return status


@acts("start", "beyond.killed.start", f"{KILLED}start_that_was_killed_runs_the_program_once_or_not")
def runs_the_program_again(command: Command) -> int:
    return twice(command)


@acts("start", "beyond.killed.start-hook", f"{KILLED}start_that_was_killed_in_a_hook_can_be_cleared_away[poststart]")
def forgets_what_it_was_starting(command: Command) -> int:
    begun = os.path.join(command.root, f"{command.id}-begun")
    os.makedirs(begun)
    status = command.run()
    os.rmdir(begun)
    return status


@acts("delete", "beyond.killed.delete-hook", f"{KILLED}delete_that_was_killed_in_a_hook_can_be_repeated")
def begins_a_delete_but_once(command: Command) -> int:
    begun = command.note(f"{command.id}-begun")
    if os.path.exists(begun):
        return 1
    add(begun, "")
    status = command.run()
    os.unlink(begun)
    return status


@acts("kill", "beyond.killed.others", f"{KILLED}verb_that_was_killed_leaves_a_container_as_any_other[state]")
def sends_two_signals(command: Command) -> int:
    command.ask("kill", [command.id, "USR1"], silent=True)
    return command.run()


@acts("create", "beyond.killed.resident", "test_beyond_killed.py::test_what_stays_beside_a_container_may_be_killed")
def dies_with_its_keeper(command: Command) -> int:
    """A process that has the caller's environment, and another one that waits for its end to end the container."""
    status = command.run()
    if status == 0 and "3" in command.program():
        ended, held = os.pipe()
        silent = subprocess.DEVNULL
        subprocess.Popen(["sleep", "60"], stdin=silent, stdout=held, stderr=silent)
        script = f"read nothing; kill -KILL {command.state()['pid']}"
        subprocess.Popen(["sh", "-c", script], stdin=ended, stdout=silent, stderr=silent, env={"PATH": "/bin:/usr/bin"})
    return status
