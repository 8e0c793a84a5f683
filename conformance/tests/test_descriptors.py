"""beyond#descriptors: what a runtime and its caller have open, and what a container gets of it."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config, processes
from conformance.config import CAPABILITIES
from conformance.container import until
from conformance.marks import decides, needs
from conformance.runtime import create_arguments
from conformance.seen import reports
from conformance.support import caller
from conformance.support.hooking import KINDS, Marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

STANDARD = {"0", "1", "2"}
#: Where a caller's descriptors are: those that a runtime may use itself, and some that it has to look for.
PLACES = (3, 4, 5, 6, 7, 8, 9, 10, 19, 63, 64, 127, 255, 256, 700)


@contextlib.contextmanager
def left_open(workshop: Workshop) -> Iterator[list[int]]:
    """Files, directories, a pipe and sockets, which are inherited; at PLACES, but for those that are in use here."""
    reading, writing = os.pipe()
    one, other = socket.socketpair()
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{workshop.token}")
    kinds = [os.open("/", os.O_RDONLY), os.open("/proc/self", os.O_PATH), os.open("/dev/null", os.O_RDWR)]
    kinds += [os.memfd_create("of-the-caller"), reading, writing, one.detach(), other.detach(), abstract.detach()]
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    made = [os.dup2(kinds[number % len(kinds)], place) for number, place in enumerate(PLACES) if place not in used]
    try:
        yield [*kinds, *made]
    finally:
        for fd in (*kinds, *made):
            os.close(fd)


def beside(fds: dict[str, str]) -> dict[str, str]:
    """What is open beside the standard streams, and the file that the probe writes its report to."""
    own = {number: what for number, what in fds.items() if not os.path.basename(what).startswith("report")}
    return {number: what for number, what in own.items() if number not in STANDARD}


class Observed:
    """What each program sees as open, when the caller of every verb has left much open."""

    def __init__(self, workshop: Workshop) -> None:
        box = workshop.container("report")
        marks = Marks(workshop, box)
        for kind in KINDS:
            marks.keep_report(kind)
        with left_open(workshop) as fds:
            workshop.runtime.fds = fds
            box.create()
            box.start()
            box.wait()
            box.until_stopped()
            box.delete()
            workshop.runtime.fds = []
        self.program = box.seen()["fds"]
        self.hooks = {kind: marks.report(kind)["fds"] for kind in KINDS}


def observed(workshop: Workshop) -> Observed:
    return Observed(workshop)


@decides("beyond.descriptors.program")
def test_the_program_gets_nothing_of_what_the_caller_has_open(shared: Shared) -> None:
    assert beside(shared(observed).program) == {}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=decides(f"beyond.descriptors.hooks-{'inside' if kind == 'startContainer' else 'outside'}")
        )
        for kind in KINDS
    ],
)
def test_a_hook_gets_nothing_of_what_the_caller_has_open(shared: Shared, kind: str) -> None:
    assert beside(shared(observed).hooks[kind]) == {}


@decides("beyond.descriptors.program")
def test_a_program_without_standard_streams_of_the_caller_has_them(workshop: Workshop, container: Maker) -> None:
    """0, 1 and 2 are never something else that the runtime has opened, where its caller has closed them."""
    box = container("report-to", "/tmp/report")
    box.bundle.write()
    line = 'exec 0<&- 1>&- 2>&-; exec "$@"'
    workshop.runtime.prefix = ["sh", "-c", line, "sh"]
    if box.create_again("any").status == 0 and box.start("any").status == 0:
        box.wait()
        text = (box.rootfs / "tmp" / "report").read_text()
        workshop.evidence.note("the probe's report", text)
        found = until(lambda: reports(text), "the probe should report")[-1]["fds"]
        assert beside(found) == {}
        assert [what for number, what in found.items() if number in STANDARD and what != "/dev/null"] == []


@decides("beyond.descriptors.abstract-sockets")
@needs("root")
def test_no_process_of_the_runtime_listens_on_an_abstract_socket(workshop: Workshop, container: Maker) -> None:
    """Who shares the host's network could connect: looked at while a hook holds create, when created, and running."""
    box = container()
    config.drop_namespace(box.config, "network")
    fifo, pid = workshop.folder / "fifo", workshop.folder / "pid-of-the-hook"
    os.mkfifo(fifo)
    words = ("drain", "+", "write-pid", str(pid), "+", "write", str(fifo), "x")
    config.add_hook(box.config, "createRuntime", workshop.host_probe(), "probe", *words)
    box.bundle.write()
    call = workshop.runtime.begin("create", *create_arguments(box.id, box.bundle.path, box.pid_file))
    until(lambda: pid.exists() and pid.read_text(), "the createRuntime hook should run")
    during = abstract(workshop)
    fifo.read_bytes()
    call.wait(workshop.runtime.deadline).succeeded()
    box.exists, box.out = True, call.out
    box.watch()
    created = abstract(workshop)
    box.start()
    box.until_output("waiting")
    assert (during, created, abstract(workshop)) == ([], [], [])


def abstract(workshop: Workshop) -> list[str]:
    """The names of the abstract sockets that a process of the test's has open."""
    names = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7].startswith("@"):
            names[f"socket:[{words[6]}]"] = words[7]
    found = []
    for pid in processes.mentioning(workshop.token):
        with contextlib.suppress(FileNotFoundError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    found.append(names.get(os.readlink(f"/proc/{pid}/fd/{fd}"), ""))
    return sorted(filter(None, found))


@decides("beyond.descriptors.inheritable")
@needs("root")
def test_capabilities_that_the_caller_can_pass_on_are_not(container: Maker) -> None:
    box = container()
    box.runtime.prefix = caller.command(inheritable=5)
    seen = box.report()
    assert seen.capabilities("inheritable") == frozenset()
    assert seen.capabilities("ambient") == frozenset()
    assert seen.capabilities("permitted") == frozenset(CAPABILITIES)
