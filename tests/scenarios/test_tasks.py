"""Eight untrusted tasks at the same time over one image, and a ninth that is trusted with a directory of the host."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.scenarios import by_podman
from tests.scenarios.task import MARK, USER, Bind, Task, fails, finds, search, sees
from tests.support.canary import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.scenarios.task import Caller, Container

    Together = Callable[[Sequence[Container], Sequence[str]], list[str]]

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")

COUNT = 8


@pytest.fixture
def host(host: Path) -> Path:
    """What the tasks are given, ``named``, is for all to read; the rest is not named."""
    (host / "named").chmod(0o666)
    (host / "out").mkdir()
    (host / "out").chmod(0o777)
    (host / f"out/kept-{MARK}").write_text(f"{MARK}\n")
    return host


@pytest.fixture
def untrusted(host: Path) -> Task:
    named = Bind(host / "named", "/input/named", "ro")
    return Task(tmp="8m", workspace="/work", size="8m", cwd="/work", user=USER, binds=(named,), image=True)


@pytest.fixture
def together() -> Iterator[Together]:
    """Run a command in every task, all let go at the same moment; what each printed."""
    with ThreadPoolExecutor(COUNT) as pool:

        def run(tasks: Sequence[Container], scripts: Sequence[str]) -> list[str]:
            gate = threading.Barrier(len(tasks))

            def one(task: Container, script: str) -> str:
                gate.wait(timeout=60)
                return sees(task, script)

            return list(pool.map(one, tasks, scripts))

        yield run


def test_concurrent_writes_to_the_same_path_never_meet(
    caller: Caller,
    untrusted: Task,
    rootfs: Path,
    together: Together,
) -> None:
    before = tree(rootfs)
    tasks = [caller.start(untrusted) for _ in range(COUNT)]
    places = "/work/result /tmp/result"
    write = "for n in 1 2 3 4 5 6 7 8 9; do for file in {}; do echo {} >>$file; done; done"
    together(tasks, [write.format(places, number) for number in range(COUNT)])
    seen = together(tasks, [f"cat {places}; ls -A /work /tmp"] * COUNT)
    assert seen == [f"{number}\n" * 18 + "/tmp:\nresult\n\n/work:\nresult\n" for number in range(COUNT)]
    for box in tasks:
        box.remove()
    after = caller.start(replace(untrusted, tmp=None, workspace=None))
    assert sees(after, "ls -A /work /tmp") == "/tmp:\nof-the-rootfs\n\n/work:\n"
    assert tree(rootfs) == before


def test_no_task_reaches_what_was_not_given_to_it(
    caller: Caller, untrusted: Task, host: Path, together: Together
) -> None:
    before = tree(host)
    tasks = [caller.start(untrusted) for _ in range(COUNT)]
    for number, box in enumerate(tasks):
        sees(box, f"echo of-{number}-alone >/work/secret-of-{number}; ln -s / /work/up; ln -s {host} /work/host")
    look = "\n".join(
        (
            *(search(word) for word in (MARK, "secret-of-", "-alone")),
            "cd /work && cd ../../.. && pwd",
            "ls -A /input && cat /input/named",
            f"exec 2>&1; ls /work/host/; ls /proc/self/root{host}; echo x >>/input/named",
        )
    )
    for number, seen in enumerate(together(tasks, [f"{look} || true"] * COUNT)):
        assert seen.splitlines() == [
            *[f"/work/secret-of-{number}"] * 2,
            *("/", "named", "named on purpose"),
            "ls: /work/host/: No such file or directory",
            f"ls: /proc/self/root{host}: No such file or directory",
            "/bin/sh: can't create /input/named: Read-only file system",
        ]
    assert tree(host) == before


def test_the_ninth_is_trusted_with_a_directory_of_the_host(caller: Caller, untrusted: Task, host: Path) -> None:
    tasks = [caller.start(untrusted) for _ in range(COUNT)]
    ninth = caller.start(replace(untrusted, binds=(*untrusted.binds, Bind(host / "out", "/shared", "rw"))))
    for box in tasks:
        sees(box, "echo untrusted >/work/result")
        fails(box, f"ls /shared/kept-{MARK}")
    assert sees(ninth, f"cat /shared/kept-{MARK}; echo trusted >/shared/result") == f"{MARK}\n"
    assert (host / "out/result").read_text() == "trusted\n"
    (host / "out/later").write_text("the host's\n")
    assert sees(ninth, "cat /shared/later") == "the host's\n"
    assert [finds(box, MARK) for box in tasks] == [[]] * COUNT


def test_over_one_directory_each_writes_to_a_root_of_its_own(caller: Caller, rootfs: Path) -> None:
    if isinstance(caller, by_podman.Caller):
        (rootfs / "etc/mtab").symlink_to("/proc/mounts")  # or podman makes it there
    before = tree(rootfs)
    tasks = [caller.start(Task(ephemeral=True)) for _ in range(COUNT)]
    for number, box in enumerate(tasks):
        sees(box, f"echo {number} >/etc/result; rm -r /home/user; chmod 700 /srv /bin/busybox; mv /usr/bin /usr/moved")
    for number, box in enumerate(tasks):
        assert sees(box, "cat /etc/result") == f"{number}\n"
        box.remove()
    assert tree(rootfs) == before
