"""Mutants whose verbs do too much, too little, or at the wrong time, and those that leave things behind."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING

from conformance.mutants.mutant import acts

if TYPE_CHECKING:
    from conformance.mutants.command import Command

LEAVES = "test_create.py::test_a_create_that_fails_leaves_nothing[bind source]"
NOTHING = "test_delete.py::test_delete_leaves_nothing"
IN_USE = "test_create.py::test_an_id_in_use_is_refused_and_its_container_untouched[running]"


def several_mounts(command: Command) -> bool:
    """What only some containers make a mutant do: the smallest one has two mounts, and goes through every door."""
    return len(command.config().get("mounts", [])) > 2


def touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT, 0o644))


# --- create ----------------------------------------------------------------------------------------------------------


@acts("create", "runtime.create.id-in-use", IN_USE)
def replaces_a_container_of_the_same_id(command: Command) -> int:
    if command.state():
        command.run("delete", ["--force", command.id])
    return command.run()


@acts("create", "runtime.create.id-in-use-stopped", "test_create.py::test_the_id_of_a_stopped_container_is_in_use")
def replaces_a_stopped_container_of_the_same_id(command: Command) -> int:
    if command.state().get("status") == "stopped":
        command.run("delete", [command.id])
    return command.run()


@acts("create", "runtime.create.no-id", "test_create.py::test_create_needs_an_id")
def says_that_every_create_succeeds(command: Command) -> int:
    command.run()
    return 0


@acts("create", "runtime.create.args-not-applied", "test_create.py::test_create_does_not_run_the_program")
def runs_short_programs_at_once(command: Command) -> int:
    status = command.run()
    if status == 0 and "write" in command.program():
        status = command.run("start", [command.id])
        while command.state()["status"] != "stopped":
            time.sleep(0.01)
    return status


@acts("create", "config.extensibility.top", "test_annotations.py::test_unknown_properties_are_ignored[top]")
def refuses_properties_that_it_does_not_know(command: Command) -> int:
    known = {"ociVersion", "root", "process", "mounts", "linux", "hostname", "hooks", "annotations"}
    if command.config().keys() - known:
        sys.stderr.write("the config has a property that is not known\n")
        return 1
    return command.run()


@acts(
    "create",
    "runtime.warnings.operation-continues",
    "test_create.py::test_a_capability_that_no_kernel_has_is_a_warning_and_no_error",
)
def refuses_capabilities_that_it_does_not_know(command: Command) -> int:
    sets = command.config().get("process", {}).get("capabilities", {})
    if any("CAP_NO_SUCH_CAPABILITY" in names for names in sets.values()):
        sys.stderr.write("there is no such capability\n")
        return 1
    return command.run()


@acts(
    "create",
    "runtime-linux.file-descriptors.nothing-else",
    "test_default_devices.py::test_the_standard_streams_are_open_and_nothing_else",
)
def leaks_a_descriptor(command: Command) -> int:
    """By an option of runc's, which others have, too."""
    source = os.open("/dev/null", os.O_RDONLY)
    if source != 3:
        os.dup2(source, 3)
    os.set_inheritable(3, True)
    return command.run(rest=["--preserve-fds", "1", *command.rest])


@acts("create", "runtime.operations.create", "test_create.py::test_create_makes_a_container", broken=True)
def writes_no_pid(command: Command) -> int:
    status = command.run()
    if command.pid_file and status == 0:
        os.truncate(command.pid_file, 0)
    return status


@acts("create", "runtime.errors.create-leaves-no-pid-file", LEAVES)
def leaves_the_pid_file_of_a_create_that_fails(command: Command) -> int:
    status = command.run()
    if command.pid_file and status:
        touch(command.pid_file)
    return status


@acts("create", "runtime.errors.create-leaves-the-bundle", LEAVES)
def leaves_a_file_in_the_bundle_of_a_create_that_fails(command: Command) -> int:
    status = command.run()
    if status:
        touch(os.path.join(command.bundle, "rootfs", "left"))
    return status


# --- start, state ----------------------------------------------------------------------------------------------------


@acts("start", "runtime.start.running", "test_start.py::test_start_of_a_running_container_fails_and_changes_nothing")
def says_that_every_start_succeeds(command: Command) -> int:
    command.run()
    return 0


@acts(
    "start",
    "config.startcontainer-hooks.during-start",
    "test_hooks.py::test_a_hook_runs_within_its_verb[startContainer]",
)
def does_not_wait_for_hooks_of_start(command: Command) -> int:
    """It begins when the container's process has ended: nobody can believe that they were waited for."""
    if "hooks" not in command.config():
        return command.run()
    process = os.pidfd_open(command.state()["pid"])
    if os.fork() == 0:
        select.select([process], [], [])
        return command.run()
    return 0


@acts("state", "runtime.query-state.unknown-id", "test_state.py::test_state_of_what_does_not_exist_fails")
def says_that_every_container_exists(command: Command) -> int:
    command.run()
    return 0


@acts("state", "runtime.query-state.result", "test_state.py::test_state_is_that_of_the_container_that_was_asked_for")
def tells_of_the_container_that_it_was_asked_for_first(command: Command) -> int:
    path = command.note("first")
    if not os.path.exists(path):
        with open(path, "w") as file:
            file.write(command.id)
    with open(path) as file:
        return command.run(rest=[file.read()])


@acts(
    "state", "runtime.errors.state-changes-nothing", "test_state.py::test_state_of_what_does_not_exist_changes_nothing"
)
def remembers_who_was_asked_for(command: Command) -> int:
    status = command.run()
    if status:
        os.makedirs(os.path.join(command.root, f"asked-{time.time_ns()}"))
    return status


# --- kill ------------------------------------------------------------------------------------------------------------


@acts("kill", "runtime.kill.signal", "test_kill.py::test_a_signal_has_a_name_and_a_number[USR1]")
def kills_whatever_the_signal_is(command: Command) -> int:
    return command.run(rest=[command.id, "KILL"])


@acts("kill", "runtime.kill.stopped", "test_kill.py::test_kill_of_a_stopped_container_fails_and_changes_nothing[TERM]")
def says_that_every_kill_succeeds(command: Command) -> int:
    command.run()
    return 0


@acts(
    "kill",
    "runtime.errors.kill-changes-nothing",
    "test_kill.py::test_a_signal_that_there_is_not_is_refused[NOSUCHSIGNAL]",
)
def takes_an_unknown_signal_for_usr1(command: Command) -> int:
    return command.run() and command.run(rest=[command.id, "USR1"])


# --- delete ----------------------------------------------------------------------------------------------------------


@acts(
    "delete", "runtime.delete.running", "test_delete.py::test_delete_of_a_running_container_fails_and_changes_nothing"
)
def deletes_what_runs(command: Command) -> int:
    return command.run(rest=["--force", command.id])


@acts(
    "delete",
    "runtime.delete.running-untouched",
    "test_delete.py::test_delete_of_a_running_container_fails_and_changes_nothing",
)
def kills_what_it_must_not_delete(command: Command) -> int:
    if command.state().get("status") != "running":
        return command.run()
    command.run("kill", [command.id, "KILL"])
    while command.state()["status"] != "stopped":
        time.sleep(0.01)
    return 1


@acts("delete", "runtime.delete.unknown-id", "test_delete.py::test_delete_of_what_does_not_exist_fails")
def says_that_every_delete_succeeds(command: Command) -> int:
    command.run()
    return 0


@acts("delete", "runtime.delete.container-gone", "test_delete.py::test_a_deleted_container_does_not_exist")
def keeps_containers_that_ended_by_themselves(command: Command) -> int:
    return 0 if "exit" in command.program() else command.run()


@acts("delete", "runtime.delete.id-reuse", "test_delete.py::test_the_id_of_a_deleted_container_can_be_used_again")
def keeps_the_state_directory(command: Command) -> int:
    again = "exit" in command.program()
    status = command.run()
    if again and status == 0:
        os.makedirs(os.path.join(command.root, command.id))
    return status


@acts("delete", "runtime.delete.processes", NOTHING)
def leaves_a_process(command: Command) -> int:
    if several_mounts(command) and os.fork() == 0:
        # Not for ever, where nobody clears up.
        os.execv("/bin/sleep", ["sleep", "60"])
    return command.run()


@acts("delete", "runtime.delete.mounts", NOTHING)
def leaves_a_mount(command: Command) -> int:
    place = os.path.join(command.bundle, "rootfs", "mnt") if several_mounts(command) else ""
    status = command.run()
    if place:
        os.spawnvp(os.P_WAIT, "mount", ["mount", "-t", "tmpfs", "-o", "size=64k", "left", place])
    return status


@acts("delete", "runtime.delete.cgroups", NOTHING)
def leaves_a_cgroup(command: Command) -> int:
    found = []
    if several_mounts(command):
        found = [path for path, _, _ in os.walk("/sys/fs/cgroup") if command.id in os.path.basename(path)]
    status = command.run()
    for path in found[:1]:
        os.mkdir(path)
    return status


@acts("delete", "runtime.delete.keeps-bundle", "test_delete.py::test_delete_does_not_touch_the_bundle")
def removes_a_file_of_the_root(command: Command) -> int:
    path = os.path.join(command.bundle, "rootfs", "etc", "file")
    status = command.run()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return status


@acts("delete", "runtime.delete.keeps-bind-sources", "test_delete.py::test_delete_does_not_touch_what_was_mounted_in")
def removes_what_was_mounted_in(command: Command) -> int:
    sources = [mount["source"] for mount in command.config().get("mounts", []) if mount["type"] == "bind"]
    status = command.run()
    for source in sources:
        os.unlink(os.path.join(source, "file"))
    return status
