"""Mutants that pass on what is open, and what else their caller has."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING

from conformance.mutants.mutant import acts, edits

if TYPE_CHECKING:
    from typing import Any

    from conformance.mutants.command import Command

    Config = dict[str, Any]

OPEN = "test_descriptors.py::test_"


@acts("create", "beyond.descriptors.program", f"{OPEN}the_program_gets_nothing_of_what_the_caller_has_open")
def passes_on_what_its_caller_left_open(command: Command) -> int:
    """By an option of runc's, which others have, too."""
    if command.program()[1:] == ["report"]:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 3)
        return command.run(rest=["--preserve-fds", "1", *command.rest])
    return command.run()


@edits("beyond.descriptors.hooks-outside", f"{OPEN}a_hook_gets_nothing_of_what_the_caller_has_open[createRuntime]")
def leaves_something_open_for_hooks(config: Config) -> None:
    for hook in config.get("hooks", {}).get("createRuntime", []):
        words = ["sh", "-c", 'exec 9</dev/null; exec "$@"', "sh", hook["path"], *hook["args"][1:]]
        hook.update(path="/bin/sh", args=words)


@acts(
    "start", "beyond.descriptors.hooks-inside", f"{OPEN}a_hook_gets_nothing_of_what_the_caller_has_open[startContainer]"
)
def leaves_something_open_for_hooks_in_the_container(command: Command) -> int:
    """No other program is there that could open it: what the hook has seen is changed."""
    config = command.config()
    status = command.run()
    if "startContainer" in config.get("hooks", {}):
        path = os.path.join(config["mounts"][-1]["source"], "report-startContainer")
        with open(path) as file:
            report = json.load(file)
        report["fds"]["7"] = "/sys/fs/cgroup"
        with open(path, "w") as file:
            json.dump(report, file)
    return status


@acts("create", "beyond.descriptors.abstract-sockets", f"{OPEN}no_process_of_the_runtime_listens_on_an_abstract_socket")
def listens_on_an_abstract_socket(command: Command) -> int:
    """Until the bundle is gone, or somebody ends it."""
    if "hooks" in command.config():
        ready, told = os.pipe()
        if os.fork() == 0:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"\0mutant-{os.getpid()}")
                os.close(ready)
                os.close(told)
                while os.path.exists(command.bundle):
                    time.sleep(0.05)
            os._exit(0)
        os.close(told)
        os.read(ready, 1)
    return command.run()


@edits("beyond.descriptors.inheritable", f"{OPEN}capabilities_that_the_caller_can_pass_on_are_not")
def passes_on_inheritable_capabilities(config: Config) -> None:
    config["process"]["capabilities"]["inheritable"] = ["CAP_KILL"]
