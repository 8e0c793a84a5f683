"""Rules for a process, of config.json and of exec alike, that a schema cannot say.

Each check takes the process and its path ("process", or "" for the file of exec), and yields violations.
"""

from __future__ import annotations

from ..errors import Violation
from . import jsontext, lists
from .paths import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import Process

#: Policies of sched(7) that have a static priority.
_REALTIME = ("SCHED_FIFO", "SCHED_RR")
#: sched_setattr(2): a deadline task runs at least for these nanoseconds (DL_SCALE in the kernel).
_MIN_RUNTIME = 1024


def check_cwd(process: Process, path: str) -> Iterator[Violation]:
    if not process["cwd"].startswith("/"):
        yield not_absolute(join(path, "cwd"), process["cwd"])


def check_rlimits(process: Process, path: str) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for index, rlimit in enumerate(process.get("rlimits", ())):
        where = f"{join(path, 'rlimits')}[{index}]"
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
    where = join(path, "scheduler")
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


def check_io_priority(process: Process, path: str) -> Iterator[Violation]:
    if "ioPriority" not in process:
        return
    priority = process["ioPriority"]
    if priority["class"] == "IOPRIO_CLASS_IDLE" and priority.get("priority", 0) != 0:
        # ioprio_set(2): the class has no levels, and the kernel refuses one
        yield Violation(f"{join(path, 'ioPriority')}.priority", "IOPRIO_CLASS_IDLE has no priorities")


def check_exec_cpu_affinity(process: Process, path: str) -> Iterator[Violation]:
    affinity = process.get("execCPUAffinity", {})
    for name in ("initial", "final"):
        text = affinity.get(name, "")
        if lists.numbers(text) is None:
            where = f"{join(path, 'execCPUAffinity')}.{name}"
            yield Violation(where, f"{jsontext.dumps(text)} is not a list of CPUs like 0-3,7")


def not_absolute(path: str, value: str) -> Violation:
    return Violation(path, f"{jsontext.dumps(value)} is not an absolute path")
