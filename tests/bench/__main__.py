"""The benchmark's report: medians and ratios of interleaved runs, with issue goals beside them.

usage: ./dev bench [--rounds N] [--only GROUP]
       ./dev bench load [--containers N]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import cases, load, podman_config, sandbox
from tests.bench.measure import Case, interleave
from tests.support.bundles import make_rootfs

SHORT = ("create", "start", "delete")


def table(title: str, rows: list[list[str]]) -> None:
    print(f"\n{title}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  "
            + "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def found(group: list[Case], name: str, *steps: str) -> float | None:
    return next((case.median(*steps) for case in group if case.name == name), None)


class Goal:
    """``ours`` divided by ``theirs`` is to be at most ``limit``."""

    __slots__ = ("limit", "ours", "text", "theirs")

    def __init__(self, text: str, ours: float | None, theirs: float | None, limit: float) -> None:
        self.text = text
        self.ours = ours
        self.theirs = theirs
        self.limit = limit

    def row(self) -> list[str]:
        if self.ours is None or self.theirs is None:
            return [self.text, "-", f"<= {self.limit}", "not measured"]
        ratio = self.ours / self.theirs
        return [self.text, f"{ratio:.2f}", f"<= {self.limit}", "met" if ratio <= self.limit else "MISSED"]


def goals(groups: dict[str, list[Case]]) -> list[Goal]:
    run, short, verbs, config, boxes = (groups.get(name, []) for name in ("run", "short", "verbs", "config", "sandbox"))
    floor = found(boxes, "kernel floor", "run")
    return [
        Goal("run / runc's run", found(run, "pyrunc", "run"), found(run, "runc", "run"), 0.55),
        Goal("create+start+delete / runc's", found(short, "pyrunc", *SHORT), found(short, "runc", *SHORT), 0.8),
        Goal(
            "state / bare interpreter",
            found(verbs, "pyrunc", "state"),
            found(verbs, "bare interpreter", "state"),
            1.25,
        ),
        Goal(
            "create with podman's config / with the small one",
            found(config, "pyrunc, podman's", "create"),
            found(config, "pyrunc, small", "create"),
            1.3,
        ),
        Goal(
            "Python API / crun's run, both without cgroup",
            found(run, "Python API, no cgroup", "run"),
            found(run, "crun, no cgroup", "run"),
            0.45,
        ),
        Goal("Python API / runc's run", found(run, "Python API", "run"), found(run, "runc", "run"), 0.2),
        Goal(
            "Sandbox.run / 1.6 kernel floors and 1 ms",
            found(boxes, "Sandbox.run", "run"),
            floor and 1.6 * floor + 0.001,
            1,
        ),
        Goal(
            "Sandbox: create, run, close / podman run",
            found(boxes, "Sandbox: create, run, close", "run"),
            found(boxes, "podman run", "run"),
            0.1,
        ),
    ]


def report(groups: dict[str, list[Case]]) -> None:
    for name, group in groups.items():
        if name in ("run", "sandbox"):
            base = found(group, "runc" if name == "run" else "kernel floor", "run")
            rows = [["run of a static true", "median", "/ runc" if name == "run" else "/ floor"]]
            for case in group:
                value = case.median("run")
                rows.append([case.name, milliseconds(value), f"{value / base:.2f}" if value and base else "-"])
            table("Whole runs" if name == "run" else "From a running Python program", rows)
        else:
            steps = cases.VERBS if name == "verbs" else SHORT
            rows = [["", *steps]]
            for case in group:
                known = case.samples[0].keys() if case.samples else ()
                rows.append(
                    [
                        case.name,
                        *(milliseconds(case.median(step)) if step in known else "-" for step in steps),
                    ]
                )
            titles = {"short": "Of a program that ends by itself", "verbs": "Of a program that waits"}
            table(titles.get(name, "Small config and podman's default config"), rows)
    where_the_time_goes(groups.get("run", []))
    table("Goals", [["ratio of medians", "is", "goal", ""], *(goal.row() for goal in goals(groups))])
    problems = [f"  {case.name}: {case.problem}" for group in groups.values() for case in group if case.problem]
    if problems:
        print("\nNot measured:", *dict.fromkeys(problems), sep="\n")


def where_the_time_goes(group: list[Case]) -> None:
    bare, idle, run, floor = (
        found(group, name, "run") for name in ("bare interpreter", "pyrunc, nothing to do", "pyrunc", "kernel floor")
    )
    if bare is None or idle is None or run is None or floor is None:
        return
    rows = [
        ["part of pyrunc run", "time", "share"],
        ["the interpreter starts and ends", milliseconds(bare), f"{bare / run:.0%}"],
        ["launcher and command line", milliseconds(idle - bare), f"{(idle - bare) / run:.0%}"],
        ["the kernel's part", milliseconds(floor), f"{floor / run:.0%}"],
        [
            "config, plan, state, cgroups, waiting",
            milliseconds(run - idle - floor),
            f"{(run - idle - floor) / run:.0%}",
        ],
    ]
    table("Where the time goes", rows)


def main() -> int:
    if sys.argv[1:2] == ["load"]:
        return load.main(sys.argv[2:], table)
    parser = argparse.ArgumentParser(prog="./dev bench", description="Compare start-up with other runtimes.")
    parser.add_argument("--rounds", type=int, default=40, help="measured rounds per group (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="GROUP", help="run, short, verbs, config or sandbox")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("run it as root: runc and crun need it for the same namespaces")
    # State lies on a tmpfs, as /run does on every system that boots.
    with (
        tempfile.TemporaryDirectory(prefix="pyrunc-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="pyrunc-bench-", dir="/dev/shm") as states,
    ):
        scratch = Path(folder)
        make_rootfs(scratch / "rootfs")
        wants_config = not options.only or "config" in options.only
        large = podman_config.capture(scratch, scratch / "rootfs") if wants_config else None
        groups = cases.collect(scratch, Path(states), large)
        if options.only:
            groups = {name: group for name, group in groups.items() if name in options.only}
        for name, group in groups.items():

            def progress(number: int, name: str = name) -> None:
                if sys.stderr.isatty():
                    print(f"\r{name}: {number}/{options.rounds} ", end="", file=sys.stderr, flush=True)

            interleave(group, options.rounds, progress)
        rows = sandbox.throughput(scratch / "small", Path(states)) if "sandbox" in groups else None
    busy = os.getloadavg()[0]
    print(f"\n{options.rounds} interleaved rounds per group, {os.cpu_count()} CPUs, load at the end {busy:.1f}")
    report(groups)
    if rows:
        table("Many sandboxes", rows)
    return 1 if any(case.problem for group in groups.values() for case in group if case.name == "pyrunc") else 0


if __name__ == "__main__":
    sys.exit(main())
