"""Rules for programs, which are the process and the hooks, that a schema cannot say.

A check of a process takes it and its path ("process", or "" for the file of exec), and yields violations.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.spec.types import Hook, Process, Spec

#: The kinds of hooks, in the order in which a container's life reaches them.
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
#: Policies of sched(7) that have a static priority.
_REALTIME = ("SCHED_FIFO", "SCHED_RR")
#: sched_setattr(2): a deadline task runs at least for these nanoseconds (DL_SCALE in the kernel).
_MIN_RUNTIME = 1024


def check_cwd(process: Process, path: str) -> Iterator[Violation]:
    if not process["cwd"].startswith("/"):
        yield not_absolute(below(path, "cwd"), process["cwd"])


def check_rlimits(process: Process, path: str) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for index, rlimit in enumerate(process.get("rlimits", ())):
        where = f"{below(path, 'rlimits')}[{index}]"
        if rlimit["soft"] > rlimit["hard"]:
            yield Violation(f"{where}.soft", f"{rlimit['soft']} is more than the hard limit {rlimit['hard']}")
        first = seen.setdefault(rlimit["type"], where)
        if first != where:
            yield Violation(f"{where}.type", f"{rlimit['type']} is set by {first} already")


def check_scheduler(process: Process, path: str) -> Iterator[Violation]:
    if "scheduler" not in process:
        return
    scheduler = process["scheduler"]
    policy = scheduler["policy"]
    where = below(path, "scheduler")
    priority = scheduler.get("priority", 0)
    if policy in _REALTIME and not 1 <= priority <= 99:
        yield Violation(f"{where}.priority", f"{policy} needs a priority from 1 to 99")
    if policy not in _REALTIME and priority != 0:
        yield Violation(f"{where}.priority", f"only for {' and '.join(_REALTIME)}, not for {policy}")
    times = [scheduler.get("runtime", 0), scheduler.get("deadline", 0), scheduler.get("period", 0)]
    if policy != "SCHED_DEADLINE":
        for name, value in zip(("runtime", "deadline", "period"), times, strict=True):
            if value:
                yield Violation(f"{where}.{name}", f"only for SCHED_DEADLINE, not for {policy}")
        return
    runtime, deadline, period = times
    if runtime < _MIN_RUNTIME:
        yield Violation(f"{where}.runtime", f"SCHED_DEADLINE needs at least {_MIN_RUNTIME} nanoseconds")
    if deadline < runtime or deadline == 0:
        yield Violation(f"{where}.deadline", "SCHED_DEADLINE needs one that is not below the runtime")
    if period and period < deadline:
        yield Violation(f"{where}.period", f"{period} is below the deadline {deadline}")


def check_exec_cpu_affinity(process: Process, path: str) -> Iterator[Violation]:
    if "execCPUAffinity" not in process:
        return
    from pyrunc.spec import lists

    affinity = process["execCPUAffinity"]
    for name, text in (("initial", affinity.get("initial", "")), ("final", affinity.get("final", ""))):
        if lists.numbers(text) is None:
            where = f"{below(path, 'execCPUAffinity')}.{name}"
            yield Violation(where, f"{jsontext.dumps(text)} is not a list of CPUs like 0-3,7")


def check_hooks(spec: Spec) -> Iterator[Violation]:
    hooks: dict[str, list[Hook]] = spec.get("hooks", {})  # type: ignore[assignment]
    for kind in HOOKS:
        for index, hook in enumerate(hooks.get(kind, ())):
            where = f"hooks.{kind}[{index}]"
            if not hook["path"].startswith("/"):
                yield not_absolute(f"{where}.path", hook["path"])
            for number, entry in enumerate(hook.get("env", ())):
                if entry.find("=") < 1:
                    yield Violation(f"{where}.env[{number}]", f"{jsontext.dumps(entry)} is not NAME=value")


def below(path: str, key: str) -> str:
    """The path of a member of the process."""
    return f"{path}.{key}" if path else key


def not_absolute(path: str, value: str) -> Violation:
    return Violation(path, f"{jsontext.dumps(value)} is not an absolute path")
