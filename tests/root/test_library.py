"""The Python API: the lifecycle as objects, errors that change nothing, many threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root")


def read(fd: int) -> bytes:
    """Everything up to the end of file."""
    with open(fd, "rb") as file:
        return file.read()


def test_the_lifecycle(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    container = pyrunc.Container.create(container_id, bundle().args("sh", "-c", "exit 7"), root=str(root))
    assert container.state()["status"] == "created"
    container.start()
    assert container.wait() == 7
    assert container.wait() == 7
    assert container.state()["status"] == "stopped"
    container.delete()
    with pytest.raises(pyrunc.StateError, match="container does not exist"):
        container.state()


def test_streams_are_the_callers_descriptors(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    inside, write_end = os.pipe()
    read_end, outside = os.pipe()
    made = bundle().args("sh", "-c", "cat; echo no >&2")
    with open(os.devnull, "wb") as null:
        container = pyrunc.Container.create(
            container_id, made, root=str(root), stdin=inside, stdout=outside, stderr=null.fileno()
        )
    os.close(inside)
    os.close(outside)
    container.start()
    os.write(write_end, b"hello")
    os.close(write_end)
    assert read(read_end) == b"hello"
    assert container.wait(timeout=60) == 0
    container.delete()


def test_a_signal_is_a_negative_status(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    container = pyrunc.Container.create(container_id, bundle().args("sleep", "1000"), root=str(root))
    container.start()
    with pytest.raises(TimeoutError):
        container.wait(timeout=0.01)
    container.kill("KILL")
    assert container.wait(timeout=60) == -9
    container.delete()


def test_exec_is_a_child_with_a_status_of_its_own(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    container = pyrunc.Container.create(container_id, bundle().args("sleep", "1000"), root=str(root))
    container.start()
    read_end, write_end = os.pipe()
    process = container.exec(["sh", "-c", "echo $A; pwd; exit 3"], env={"A": "1"}, cwd="/tmp", stdout=write_end)
    os.close(write_end)
    assert read(read_end) == b"1\n/tmp\n"
    assert process.wait(timeout=60) == 3
    with pytest.raises(pyrunc.OpFailed, match="executable file not found"):
        container.exec(["no-such-program"])
    container.delete(force=True)
    assert container.process is not None
    assert container.process.returncode == -9


def test_a_container_of_somebody_else_has_no_status_for_us(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path
) -> None:
    made = bundle().args("sleep", "1000")
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            [pyrunc, "--root", root, "create", "--bundle", made, container_id],
            check=True, stdin=null, stdout=null, stderr=null, timeout=60,
        )  # fmt: skip
    import pyrunc as library

    container = library.Container(container_id, root=str(root))
    assert container.state()["status"] == "created"
    with pytest.raises(library.StateError, match="not a child of this program"):
        container.wait()
    container.delete(force=True)


def test_every_violation_is_in_the_error(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    made = bundle().edit(process__cwd="relative", process__rlimits=[{"type": "RLIMIT_CORE", "soft": "1", "hard": 1}])
    with pytest.raises(pyrunc.SpecError) as error:
        pyrunc.Container.create(container_id, made, root=str(root))
    assert [violation.path for violation in error.value.violations] == ["process.cwd", "process.rlimits[0].soft"]
    assert not root.exists()


def test_no_descriptor_is_left_open(bundle: Callable[..., Bundle], ids: Callable[[], str], root: Path) -> None:
    made = bundle().args("true")

    def once() -> None:
        container = pyrunc.Container.create(ids(), made, root=str(root))
        container.start()
        container.wait()
        container.delete()

    once()  # the sealed copy of the init stays open for the next
    before = set(descriptors())
    for _ in range(5):
        once()
    assert set(descriptors()) == before


def test_thirty_two_threads_lose_nothing(bundle: Callable[..., Bundle], ids: Callable[[], str], root: Path) -> None:
    made = bundle().args("sh", "-c", "exit 5").without_namespace("network")
    names = [[ids() for _ in range(20)] for _ in range(32)]
    together = threading.Barrier(32)

    def worker(mine: list[str]) -> list[int]:
        together.wait()
        found = []
        for name in mine:
            container = pyrunc.Container.create(name, made, root=str(root), cgroup_manager="cgroupfs")
            container.start()
            found.append(container.wait())
            container.delete()
        return found

    with ThreadPoolExecutor(32) as pool:
        statuses = [status for found in pool.map(worker, names) for status in found]
    assert statuses == [5] * 640
    assert [name for name in os.listdir(root) if not name.startswith(".")] == []


@pytest.mark.needs("strace")
def test_no_python_process_is_started_for_it(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    """Under strace: one execve of pyrunc-init, one of the program, and nothing else."""
    program = (
        "import pyrunc, sys\n"
        "c = pyrunc.Container.create(sys.argv[1], sys.argv[2], root=sys.argv[3])\n"
        "c.start(); c.wait(); c.delete()\n"
    )
    trace = root.parent / "trace"
    root.parent.mkdir(exist_ok=True)
    made = bundle().args("true")
    tracer = ["strace", "-f", "-e", "trace=execve,fork,unshare,setns", "-o", str(trace)]
    command = [*tracer, sys.executable, "-c", program, container_id, str(made.path), str(root)]
    subprocess.run(command, check=True, timeout=100, cwd=Path(__file__).parents[2])
    lines = [line for line in trace.read_text().splitlines() if "execve(" in line and "= 0" in line]
    assert len(lines) == 3, lines
    assert "/proc/self/fd/" in lines[1]
    first = lines[0].split()[0]
    assert not [line for line in trace.read_text().splitlines() if line.startswith(first) and "setns(" in line]
