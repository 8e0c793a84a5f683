"""What is measured: whole runs, the verbs apart, a large config, the Python API, and the two floors."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import sandbox
from tests.bench.measure import Case, Timings, reap, spawn
from tests.support import programs
from tests.support.config import default_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HERE = Path(__file__).parent

VERBS = ("create", "state", "start", "exec", "kill", "delete")


class Runtime:
    """A runtime to compare: its name, its command with global options, and a root of its own."""

    __slots__ = ("command", "ids", "name", "pid_file", "private")

    def __init__(self, name: str, command: list[str], states: Path, *, private: bool = False) -> None:
        self.name = name
        self.command = [*command, "--root", str(states / name.replace(" ", "-"))]
        self.private = private
        word = name.replace(",", "").replace(" ", "-")
        self.pid_file = str(states / f"{word}.pid")
        self.ids = (f"bench-{os.getpid()}-{word}-{number}" for number in itertools.count())

    def run(self, bundle: Path) -> Timings:
        return {"run": spawn([*self.command, "run", "--bundle", str(bundle), next(self.ids)])}

    def short(self, bundle: Path) -> Timings:
        """create, start, delete of a program that ends by itself."""
        name = next(self.ids)
        taken = {"create": spawn([*self.command, "create", "--bundle", str(bundle), "--pid-file", self.pid_file, name])}
        pid = int(Path(self.pid_file).read_text())
        taken["start"] = spawn([*self.command, "start", name])
        reap(pid)
        taken["delete"] = spawn([*self.command, "delete", name])
        return taken

    def verbs(self, bundle: Path) -> Timings:
        """Every verb apart, on a program that waits to be killed."""
        name = next(self.ids)
        taken = {"create": spawn([*self.command, "create", "--bundle", str(bundle), "--pid-file", self.pid_file, name])}
        pid = int(Path(self.pid_file).read_text())
        taken["start"] = spawn([*self.command, "start", name])
        taken["state"] = spawn([*self.command, "state", name])
        taken["exec"] = spawn([*self.command, "exec", name, "/bin/true"])
        taken["kill"] = spawn([*self.command, "kill", name, "KILL"])
        reap(pid)
        taken["delete"] = spawn([*self.command, "delete", name])
        return taken


def api(bundle: Path, root: Path, cgroup_manager: str = "cgroupfs") -> Callable[[], Timings]:
    """create + start + wait + delete from this running program."""
    import pyrunc

    names = (f"bench-{os.getpid()}-api-{cgroup_manager}-{number}" for number in itertools.count())

    def call() -> Timings:
        started = time.perf_counter()
        container = pyrunc.Container.create(next(names), str(bundle), root=str(root), cgroup_manager=cgroup_manager)
        container.start()
        container.wait()
        container.delete()
        return {"run": time.perf_counter() - started}

    return call


def make_bundle(path: Path, config: dict[str, Any], program: str) -> Path:
    """A bundle of static programs that runs ``program`` ("true" or "pause")."""
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/tmp"):
        (path / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    for name in ("true", "pause"):
        shutil.copy(programs.static(name, HERE), path / "rootfs/bin" / name)
    config["process"]["args"] = [f"/bin/{program}"]
    config["root"]["path"] = "rootfs"
    (path / "config.json").write_text(json.dumps(config))
    return path


def interpreter() -> str:
    """The base interpreter of this environment, which is what the launcher starts."""
    return str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))


def runtimes(states: Path) -> list[Runtime]:
    pyrunc = str(Path(sys.prefix, "bin", "pyrunc"))
    found = [Runtime("pyrunc", [pyrunc], states)]
    runc = shutil.which("runc", path=programs.PATH)
    crun = shutil.which("crun", path=programs.PATH)
    if runc:
        found.append(Runtime("runc", [runc], states))
    if crun:
        # crun takes only a cgroup2 view here, and none of its cgroups; pyrunc beside it under the same
        # conditions.
        disabled = "--cgroup-manager=disabled"
        found.append(Runtime("crun, no cgroup", [crun, disabled], states, private=True))
        found.append(Runtime("pyrunc, no cgroup", [pyrunc, disabled], states, private=True))
    return found


def collect(scratch: Path, states: Path, large: dict[str, Any] | None) -> dict[str, list[Case]]:
    """Groups of cases; a group is interleaved as a whole."""
    small = make_bundle(scratch / "small", default_config(), "true")
    waiting = make_bundle(scratch / "waiting", default_config(), "pause")
    bare = [interpreter(), "-I", "-S", "-c", "pass"]
    floor = [str(programs.static("floor", HERE)), str(small / "rootfs"), "/bin/true"]
    pyrunc, *_ = every = runtimes(states)

    def case(runtime: Runtime, what: Callable[[Path], Timings], bundle: Path) -> Case:
        return Case(runtime.name, lambda: what(bundle), private=runtime.private)

    groups = {
        "run": [
            *(case(runtime, runtime.run, small) for runtime in every),
            Case("bare interpreter", lambda: {"run": spawn(bare)}),
            Case("kernel floor", lambda: {"run": spawn(floor)}),
            Case("pyrunc, nothing to do", lambda: {"run": spawn([*pyrunc.command, "state", "absent"], expected=1)}),
        ],
        "short": [case(runtime, runtime.short, small) for runtime in every],
        "verbs": [
            *(case(runtime, runtime.verbs, waiting) for runtime in every),
            Case("bare interpreter", lambda: {"state": spawn(bare)}),
        ],
    }
    groups["run"].append(Case("Python API", api(small, states / "api")))
    groups["run"].append(Case("Python API, no cgroup", api(small, states / "api", cgroup_manager="disabled")))
    groups["sandbox"] = sandbox.cases(small, states, scratch, floor)
    if large is not None:
        bundle = make_bundle(scratch / "large", large, "true")
        large["linux"].pop("resources", None)  # limits cannot be applied without a cgroup
        unlimited = make_bundle(scratch / "unlimited", large, "true")
        groups["config"] = [
            labelled(case(runtime, runtime.short, folder), f"{runtime.name}, {size}")
            for runtime in every
            for size, folder in (("small", small), ("podman's", unlimited if runtime.private else bundle))
        ]
    return groups


def labelled(case: Case, name: str) -> Case:
    case.name = name
    return case
