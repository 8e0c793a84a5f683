"""config#linux-process: scheduler, ioPriority, execCPUAffinity, oomScoreAdj."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup
from conformance.config import set_path
from conformance.marks import decides, needs, since
from conformance.support import caller
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.runtime import Runtime
    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop

#: Of sched_setattr(2) and linux/sched.h.
POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}
FLAGS = {"SCHED_FLAG_RESET_ON_FORK": 1, "SCHED_FLAG_RECLAIM": 2, "SCHED_FLAG_DL_OVERRUN": 4}

#: 30 ms in each 300 ms, to be had within 200 ms: on an emulated processor the probe must come to its end with that.
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 30_000_000, "deadline": 200_000_000, "period": 300_000_000}

#: Class in the upper bits (linux/ioprio.h).
CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


def statement(claim: str) -> pytest.MarkDecorator:
    return decides(f"config.linux-process.{claim}")


def allow_realtime(box: Container) -> None:
    """With cgroup v1 the kernel may be one that wants realtime to be shared out to cgroups."""
    own = cgroup.of().get("cpu")
    if own and (own / "cpu.rt_runtime_us").exists():
        set_path(box.config, "linux.resources.cpu", {"realtimeRuntime": 1000, "realtimePeriod": 1_000_000})


def seen_with(container: Maker, *asked: str, **process: Any) -> Seen:
    box = container("report", *asked)
    box.config["process"].update(process)
    if process.get("scheduler", {}).get("policy") in ("SCHED_FIFO", "SCHED_RR"):
        allow_realtime(box)
    box.run()
    return box.seen()


# --- scheduler -------------------------------------------------------------------------------------------------------


@since("1.1.0")
@needs("cap_sys_nice")
@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param({"policy": "SCHED_OTHER"}, marks=statement("scheduler-other"), id="other"),
        pytest.param({"policy": "SCHED_IDLE"}, marks=statement("scheduler-idle"), id="idle"),
        pytest.param({"policy": "SCHED_FIFO", "priority": 3}, marks=statement("scheduler-fifo"), id="fifo"),
        pytest.param({"policy": "SCHED_RR", "priority": 4}, marks=statement("scheduler-rr"), id="rr"),
        pytest.param(DEADLINE, marks=statement("scheduler-deadline"), id="deadline"),
    ],
)
def test_the_policy(container: Maker, runtime: Runtime, scheduler: dict[str, Any]) -> None:
    """Another one than the caller's."""
    runtime.prefix = caller.command(policy="batch")
    seen = seen_with(container, scheduler=scheduler)["scheduler"]
    assert seen["policy"] == POLICIES[scheduler["policy"]]


@since("1.1.0")
@statement("scheduler-batch")
def test_the_policy_batch(container: Maker) -> None:
    assert seen_with(container, scheduler={"policy": "SCHED_BATCH"})["scheduler"]["policy"] == POLICIES["SCHED_BATCH"]


@since("1.1.0")
@statement("scheduler-nice")
@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_BATCH"])
def test_the_nice_value(container: Maker, policy: str) -> None:
    seen = seen_with(container, scheduler={"policy": policy, "nice": 7})["scheduler"]
    assert [seen["policy"], seen["nice"]] == [POLICIES[policy], 7]


@since("1.1.0")
@needs("cap_sys_nice")
@statement("scheduler-nice-default")
def test_the_nice_value_is_0_unless_it_is_named(container: Maker, runtime: Runtime) -> None:
    runtime.prefix = caller.command(nice=5)
    assert seen_with(container, scheduler={"policy": "SCHED_OTHER"})["scheduler"]["nice"] == 0


@since("1.1.0")
@needs("cap_sys_nice")
@statement("scheduler-priority")
@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
def test_the_priority(container: Maker, policy: str) -> None:
    assert seen_with(container, scheduler={"policy": policy, "priority": 11})["scheduler"]["priority"] == 11


@since("1.1.0")
@statement("scheduler-priority-default")
def test_the_priority_is_0_unless_it_is_named(workshop: Workshop, container: Maker) -> None:
    """Which the kernel refuses for SCHED_FIFO."""
    assert seen_with(container, scheduler={"policy": "SCHED_OTHER"})["scheduler"]["priority"] == 0
    assert accepted(workshop, {"process.scheduler": {"policy": "SCHED_FIFO"}}) == []


@since("1.1.0")
@needs("cap_sys_nice")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("runtime", marks=statement("scheduler-runtime")),
        pytest.param("deadline", marks=statement("scheduler-deadline-time")),
        pytest.param("period", marks=statement("scheduler-period")),
    ],
)
def test_the_times_of_a_deadline(container: Maker, name: str) -> None:
    assert seen_with(container, scheduler=DEADLINE)["scheduler"][name] == DEADLINE[name]


@since("1.1.0")
@needs("cap_sys_nice")
@statement("scheduler-period-default")
def test_without_a_period_the_kernel_takes_the_deadline(container: Maker) -> None:
    scheduler = {name: value for name, value in DEADLINE.items() if name != "period"}
    assert seen_with(container, scheduler=scheduler)["scheduler"]["period"] == DEADLINE["deadline"]


@since("1.1.0")
@needs("cap_sys_nice")
@pytest.mark.parametrize(
    ("flag", "scheduler"),
    [
        pytest.param(
            "SCHED_FLAG_RESET_ON_FORK",
            {"policy": "SCHED_BATCH"},
            marks=statement("scheduler-flag-reset-on-fork"),
            id="reset",
        ),
        pytest.param("SCHED_FLAG_RECLAIM", DEADLINE, marks=statement("scheduler-flag-reclaim"), id="reclaim"),
        pytest.param("SCHED_FLAG_DL_OVERRUN", DEADLINE, marks=statement("scheduler-flag-dl-overrun"), id="overrun"),
    ],
)
def test_a_flag(container: Maker, flag: str, scheduler: dict[str, Any]) -> None:
    assert seen_with(container, scheduler={**scheduler, "flags": [flag]})["scheduler"]["flags"] == FLAGS[flag]


@since("1.1.0")
@statement("scheduler-flag-keep-policy")
def test_the_flag_that_keeps_the_policy_of_the_caller(container: Maker) -> None:
    scheduler = {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_KEEP_POLICY"], "nice": 3}
    seen = seen_with(container, scheduler=scheduler)["scheduler"]
    assert [seen["policy"], seen["nice"]] == [os.sched_getscheduler(0), 3]


@since("1.1.0")
@statement("scheduler-flag-keep-params")
def test_the_flag_that_keeps_the_nice_value_of_the_caller(container: Maker, runtime: Runtime) -> None:
    runtime.prefix = caller.command(nice=2)
    scheduler = {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_KEEP_PARAMS"], "nice": 9}
    assert seen_with(container, scheduler=scheduler)["scheduler"]["nice"] == os.nice(0) + 2


def lacking(name: str) -> dict[str, Any]:
    return {key: value for key, value in DEADLINE.items() if key != name}


@since("1.1.0")
@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param({"nice": 1}, marks=statement("scheduler-policy-required"), id="no policy"),
        pytest.param({"policy": "SCHED_NOTHING"}, marks=statement("scheduler-policy-unknown"), id="policy"),
        pytest.param({"policy": "SCHED_ISO"}, marks=statement("scheduler-iso"), id="iso"),
        pytest.param(
            {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NOTHING"]},
            marks=statement("scheduler-flags-unknown"),
            id="flag",
        ),
        pytest.param(lacking("runtime"), marks=statement("scheduler-runtime-default"), id="no runtime"),
        pytest.param(lacking("deadline"), marks=statement("scheduler-deadline-time-default"), id="no deadline"),
    ],
)
def test_what_no_scheduler_may_be(workshop: Workshop, scheduler: dict[str, Any]) -> None:
    assert accepted(workshop, {"process.scheduler": scheduler}) == []


# --- ioPriority ------------------------------------------------------------------------------------------------------


@since("1.1.0")
@needs("root")
@statement("io-priority-priority")
@pytest.mark.parametrize(
    ("name", "level"),
    [
        pytest.param("IOPRIO_CLASS_RT", 0, marks=statement("io-priority-rt"), id="rt"),
        pytest.param("IOPRIO_CLASS_BE", 7, marks=statement("io-priority-be"), id="be"),
        pytest.param("IOPRIO_CLASS_IDLE", 0, marks=statement("io-priority-idle"), id="idle"),
    ],
)
def test_the_io_priority(container: Maker, name: str, level: int) -> None:
    seen = seen_with(container, ioPriority={"class": name, "priority": level})
    assert [seen["ioPriority"] >> 13, seen["ioPriority"] & 7] == [CLASSES[name], level]


#: The call of a machine.
IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}


@since("1.1.0")
@statement("io-priority-children")
@pytest.mark.skipif(platform.machine() not in IOPRIO_GET, reason="the number of ioprio_get(2) is not known here")
def test_the_io_priority_of_children(container: Maker) -> None:
    ask = f"{IOPRIO_GET[platform.machine()]}:1:0"
    seen = seen_with(container, f"syscall={ask}", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 6})
    assert seen.answer("syscall", ask) == {"return": CLASSES["IOPRIO_CLASS_BE"] << 13 | 6, "errno": 0}


@since("1.1.0")
@pytest.mark.parametrize(
    "priority",
    [
        pytest.param({"priority": 3}, marks=statement("io-priority-class-required"), id="no class"),
        pytest.param(
            {"class": "IOPRIO_CLASS_NOTHING", "priority": 3}, marks=statement("io-priority-class-unknown"), id="class"
        ),
        pytest.param({"class": "IOPRIO_CLASS_BE"}, marks=statement("io-priority-priority-required"), id="no priority"),
        pytest.param(
            {"class": "IOPRIO_CLASS_BE", "priority": 8}, marks=statement("io-priority-priority-range"), id="8"
        ),
        pytest.param(
            {"class": "IOPRIO_CLASS_BE", "priority": -1}, marks=statement("io-priority-priority-range"), id="-1"
        ),
    ],
)
def test_what_no_io_priority_may_be(workshop: Workshop, priority: dict[str, Any]) -> None:
    assert accepted(workshop, {"process.ioPriority": priority}) == []


# --- execCPUAffinity, oomScoreAdj ------------------------------------------------------------------------------------


@since("1.2.1")
@needs("two-cpus")
@statement("exec-cpu-affinity-first-process")
def test_the_affinity_of_further_processes_is_not_the_first_one_s(container: Maker) -> None:
    one = str(min(os.sched_getaffinity(0)))
    seen = seen_with(container, execCPUAffinity={"initial": one, "final": one})
    assert seen["affinity"] == seen_with(container)["affinity"]
    assert len(seen["affinity"]) > 1


@since("1.2.1")
@pytest.mark.parametrize(
    "when",
    [
        pytest.param("initial", marks=statement("exec-cpu-affinity-initial-invalid")),
        pytest.param("final", marks=statement("exec-cpu-affinity-final-invalid")),
    ],
)
def test_an_affinity_is_a_list_of_cpus(workshop: Workshop, when: str) -> None:
    wrong = ["a", "3-1", "0,", "0--1", "-1"]
    assert accepted(workshop, *({f"process.execCPUAffinity.{when}": value} for value in wrong)) == []


@statement("oom-score-adj")
def test_the_oom_score_adjustment(container: Maker) -> None:
    assert seen_with(container, oomScoreAdj=567).file("/proc/self/oom_score_adj").strip() == "567"


@statement("oom-score-adj-unset")
def test_without_an_oom_score_adjustment_it_is_the_caller_s(container: Maker, runtime: Runtime) -> None:
    higher = min(1000, int(Path("/proc/self/oom_score_adj").read_text()) + 321)
    runtime.prefix = caller.command(oom=higher)
    assert seen_with(container).file("/proc/self/oom_score_adj").strip() == str(higher)
