"""config#posix-platform-hooks and the kinds of hooks: when, where and with what each runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config, processes
from conformance.container import until
from conformance.marks import decides, needs
from conformance.seen import Seen
from conformance.support.hooking import INSIDE, KINDS, OF_CREATE, Marks

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker, Workshop


def life(box: Container) -> None:
    """From create to delete, with a program that ends by itself."""
    box.run()
    box.until_stopped()
    box.delete()


def each_kind(claim: str, *kinds: str) -> pytest.MarkDecorator:
    """A parameter ``kind`` that decides ``config.KIND-hooks.CLAIM``, or ``config.KIND.CLAIM`` by the anchor."""
    short = {"prestart", "poststart", "poststop"}

    def statement(kind: str) -> str:
        return f"config.{kind.lower()}{'' if kind in short else '-hooks'}.{claim}"

    return pytest.mark.parametrize("kind", [pytest.param(kind, marks=decides(statement(kind))) for kind in kinds])


@each_kind("order", *KINDS)
def test_hooks_of_a_kind_run_in_their_order_one_after_the_other(
    workshop: Workshop, container: Maker, kind: str
) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    for number in range(3):
        place = marks.place(kind, "log")
        marks.mark(kind, f"{number} begins", "write", place, f"{number} ends\n")
    life(box)
    assert marks.labels() == [f"{number} {what}" for number in range(3) for what in ("begins", "ends")]


@each_kind("state", *KINDS)
def test_a_hook_reads_the_state(workshop: Workshop, container: Maker, kind: str) -> None:
    box = container("exit", "0")
    box.config["annotations"] = {"org.example.key": "value"}
    marks = Marks(workshop, box)
    marks.keep_state(kind)
    life(box)
    state = marks.state(kind)
    assert state["id"] == box.id
    assert os.path.realpath(state["bundle"]) == str(box.bundle.path)
    assert state.get("annotations") == {"org.example.key": "value"}
    assert isinstance(state["ociVersion"], str)


#: The namespaces of a process that the config makes new.
NEW = ("ipc", "mnt", "pid", "uts")


@each_kind("namespace", "prestart", "createRuntime", "poststart", "poststop")
def test_a_hook_of_the_runtime_is_in_its_namespaces(workshop: Workshop, container: Maker, kind: str) -> None:
    """Linked by /proc of the host, which such a hook sees."""
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.keep_report(kind)
    life(box)
    own = {name: os.readlink(f"/proc/self/ns/{name}") for name in NEW}
    assert {name: marks.report(kind)["namespaces"][name] for name in NEW} == own


@each_kind("namespace", "createContainer", "startContainer")
def test_a_hook_of_the_container_is_in_its_namespaces(workshop: Workshop, container: Maker, kind: str) -> None:
    box = container()
    marks = Marks(workshop, box)
    marks.keep_report(kind)
    box.running()
    inside = {name: os.readlink(f"/proc/{box.pid}/ns/{name}") for name in NEW}
    assert {name: marks.report(kind)["namespaces"][name] for name in NEW} == inside


@each_kind("path", "prestart", "createRuntime", "createContainer", "poststart", "poststop")
def test_the_program_of_a_hook_is_looked_up_on_the_host(workshop: Workshop, container: Maker, kind: str) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.mark(kind)
    assert not (box.rootfs / marks.probe.lstrip("/")).exists()
    life(box)
    assert marks.labels() == [kind]


@decides("config.startcontainer-hooks.path")
def test_the_program_of_a_startcontainer_hook_is_looked_up_in_the_container(
    workshop: Workshop, container: Maker
) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.mark("startContainer")
    life(box)
    assert marks.labels() == ["startContainer"]
    wrong = container("echo", "it runs")
    config.add_hook(wrong.config, "startContainer", marks.probe, "probe", "exit", "0")
    wrong.create()
    wrong.start(expect="error")
    assert wrong.output() == ""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=decides(f"runtime.lifecycle.{kind.lower()}-invoked", *more))
        for kind, *more in (
            ("prestart", "config.prestart.during-create"),
            ("createRuntime", "config.createruntime-hooks.during-create"),
            ("createContainer", "config.createcontainer-hooks.during-create"),
            ("startContainer", "config.startcontainer-hooks.during-start"),
            ("poststart", "config.poststart.before-return"),
            ("poststop", "config.poststop.before-return"),
        )
    ],
)
def test_a_hook_runs_within_its_verb(workshop: Workshop, container: Maker, kind: str) -> None:
    """The hook takes its time, so that a verb that does not wait for it has returned without its mark."""
    box = container()
    marks = Marks(workshop, box)
    marks.hook(kind, "sleep", "300", "+", "write", marks.place(kind, "log"), f"{kind}\n")
    box.create()
    assert marks.labels() == ([kind] if kind in OF_CREATE else [])
    box.start()
    assert marks.labels() == ([] if kind == "poststop" else [kind])
    box.kill("KILL")
    box.until_stopped()
    assert marks.labels() == ([] if kind == "poststop" else [kind])
    box.delete()
    assert marks.labels() == [kind]


@decides("config.prestart.before-createruntime", "config.createcontainer-hooks.after-createruntime")
def test_the_hooks_of_create_run_kind_by_kind(workshop: Workshop, container: Maker) -> None:
    box = container()
    marks = Marks(workshop, box)
    for kind in reversed(OF_CREATE):
        marks.mark(kind)
    box.create()
    assert marks.labels() == list(OF_CREATE)


@decides("config.startcontainer-hooks.before-program")
def test_startcontainer_hooks_run_before_the_program(workshop: Workshop, container: Maker) -> None:
    box = container("write", f"{INSIDE}/log", "program\n")
    marks = Marks(workshop, box)
    marks.mark("startContainer")
    box.run()
    assert marks.labels() == ["startContainer", "program"]


@decides("config.poststart.after-program")
def test_poststart_hooks_run_when_the_program_has_been_executed(workshop: Workshop, container: Maker) -> None:
    """A startContainer hook takes its time, so that a runtime that does not wait for the program is ahead of it."""
    box = container()
    marks = Marks(workshop, box)
    marks.hook("startContainer", "sleep", "300")
    marks.hook("poststart", "copy", marks.place("poststart", "state-poststart"), "+", "links-of-state",
               marks.place("poststart", "state-poststart"), marks.place("poststart", "links"))  # fmt: skip
    box.running()
    assert marks.links()["exe"].endswith(config.PROBE)


@decides("config.poststop.after-delete")
def test_poststop_hooks_run_when_the_container_is_gone(workshop: Workshop, container: Maker) -> None:
    """A container of the same id tells before where its cgroups are."""
    box = container("exit", "0")
    box.create()
    groups = sorted(box.cgroups)
    box.delete(force=True)
    again = container("exit", "0", id=box.id)
    marks = Marks(workshop, again)
    asked = [f"stat={group}" for group in groups]
    marks.hook("poststop", "report-to", marks.place("poststop", "report-poststop"), *asked)
    life(again)
    seen = Seen(marks.report("poststop"))
    assert {str(group): seen.errno("stat", str(group)) for group in groups} == {str(group): 2 for group in groups}


@needs("root")
@each_kind("after-environment", "prestart", "createRuntime")
def test_hooks_of_create_run_when_the_namespaces_are_there(workshop: Workshop, container: Maker, kind: str) -> None:
    box = container()
    marks = Marks(workshop, box)
    state = marks.place(kind, f"state-{kind}")
    marks.hook(kind, "copy", state, "+", "links-of-state", state, marks.place(kind, "links"))
    box.create()
    links = marks.links()
    for name in ("ipc", "mnt", "uts"):
        assert links[name] == os.readlink(f"/proc/{box.pid}/ns/{name}"), name
        assert links[name] != os.readlink(f"/proc/self/ns/{name}"), name


@needs("root")
@each_kind("before-pivot", "prestart", "createRuntime")
def test_hooks_of_create_run_before_the_root_is_changed(workshop: Workshop, container: Maker, kind: str) -> None:
    """The container's process still sees a file of the host by its path."""
    box = container()
    marks = Marks(workshop, box)
    state = marks.place(kind, f"state-{kind}")
    marks.hook(kind, "copy", state, "+", "links-of-state", state, marks.place(kind, "links"))
    box.create()
    assert marks.links()["old-root"] == "yes"
    assert not os.path.exists(f"/proc/{box.pid}/root{state}")


@decides("config.createcontainer-hooks.after-mounts", "config.createcontainer-hooks.before-pivot")
def test_createcontainer_hooks_run_between_the_mounts_and_the_new_root(workshop: Workshop, container: Maker) -> None:
    box = container()
    config.add_mount(box.config, "/tmp", "tmpfs", "conformance-mark", "size=64k")
    marks = Marks(workshop, box)
    marks.hook("createContainer", "report-to", marks.place("createContainer", "report-createContainer"),
               f"stat={marks.probe}")  # fmt: skip
    box.create()
    seen = Seen(marks.report("createContainer"))
    assert seen.answer("stat", marks.probe)["type"] == "file"
    assert any(mount.source == "conformance-mark" and mount.target.endswith("/tmp") for mount in seen.mounts())


@decides("config.posix-platform-hooks.args", "config.posix-platform-hooks.env")
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_has_its_own_arguments_and_environment(workshop: Workshop, container: Maker, kind: str) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    place = marks.place(kind, f"report-{kind}")
    words = ["a name of its own", "report-to", place, "stat=/ä b"]
    config.add_hook(box.config, kind, marks.path(kind), *words, env=["ONE=1", "TWO=two words"])
    life(box)
    report = marks.report(kind)
    assert report["args"] == words
    assert report["env"] == ["ONE=1", "TWO=two words"]


@decides("config.posix-platform-hooks.args-optional")
def test_a_hook_needs_no_args(workshop: Workshop, container: Maker) -> None:
    """The probe without a command exits 125, so that create fails because the hook has run."""
    box = container()
    box.config["hooks"] = {"createRuntime": [{"path": workshop.host_probe()}]}
    outcome = box.create(expect="error")
    workshop.evidence.note("what create said", outcome.stderr)
    box.gone()
    other = container()
    script = workshop.folder / "hook"
    script.write_text(f"#!/bin/sh\necho ran >{workshop.folder}/ran\n")
    script.chmod(0o755)
    other.config["hooks"] = {"createRuntime": [{"path": str(script)}]}
    other.create()
    assert (workshop.folder / "ran").read_text() == "ran\n"


@decides("config.posix-platform-hooks.timeout", "config.posix-platform-hooks.timeout-fails")
def test_a_hook_that_takes_too_long_is_aborted_and_has_failed(workshop: Workshop, container: Maker) -> None:
    box = container()
    marks = Marks(workshop, box)
    pid = marks.place("createRuntime", "pid")
    marks.hook("createRuntime", "write-pid", pid, "+", "wait", timeout=1)
    box.create(expect="error")
    until(lambda: not processes.alive(int(Path(pid).read_text())), "the hook should be ended")
    box.gone()
    workshop.nothing_left()


@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        *(
            pytest.param(kind, {"args": ["hook"]}, marks=decides("config.posix-platform-hooks.path-required"))
            for kind in KINDS
        ),
        *(
            pytest.param(kind, {"path": "bin/hook"}, marks=decides("config.posix-platform-hooks.path-absolute"))
            for kind in KINDS
        ),
        pytest.param(
            "createRuntime", {"path": "PROBE", "args": ["p", "exit", "0"], "timeout": 0},
            marks=decides("config.posix-platform-hooks.timeout-zero"),
        ),
        pytest.param(
            "createRuntime", {"path": "PROBE", "args": ["p", "exit", "0"], "timeout": -1},
            marks=decides("config.posix-platform-hooks.timeout-negative"),
        ),
    ],
    ids=[f"{kind}-{what}" for what in ("no-path", "relative") for kind in KINDS] + ["timeout-0", "timeout-negative"],
)  # fmt: skip
def test_a_hook_that_cannot_be_is_refused(
    workshop: Workshop, container: Maker, kind: str, hook: dict[str, object]
) -> None:
    box = container("echo", "it runs")
    path = {"path": workshop.host_probe()} if hook.get("path") == "PROBE" else {}
    box.config["hooks"] = {kind: [{**hook, **path}]}
    box.create(expect="error")
    box.gone()


@decides("config.extensibility.hooks")
def test_unknown_properties_of_hooks_are_ignored(workshop: Workshop, container: Maker) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.mark("createRuntime", new_property={"a": 1})
    box.config["hooks"]["createNothing"] = [{"path": "/no/such/hook"}]
    life(box)
    assert marks.labels() == ["createRuntime"]


@decides("runtime.lifecycle.config-updates-hooks")
def test_the_hooks_are_those_that_the_config_had_at_create(workshop: Workshop, container: Maker) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    for kind in ("poststart", "poststop"):
        marks.mark(kind, f"old {kind}")
    box.create()
    box.config["hooks"] = {}
    for kind in ("poststart", "poststop"):
        marks.mark(kind, f"new {kind}")
    box.bundle.write()
    box.start()
    box.until_stopped()
    box.delete()
    assert marks.labels() == ["old poststart", "old poststop"]
