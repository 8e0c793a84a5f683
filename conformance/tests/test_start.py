"""runtime#start, runtime#lifecycle: what start runs, and when it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@decides("runtime.start.no-id")
def test_start_needs_an_id(runtime: Runtime) -> None:
    runtime.call("start").refused()


@decides("runtime.start.unknown-id")
def test_start_of_what_does_not_exist_fails(workshop: Workshop, runtime: Runtime) -> None:
    runtime.start(workshop.new_id()).refused()


@decides("runtime.start.runs-program", "runtime.lifecycle.program-run", "runtime.operations.start")
def test_start_runs_the_program_of_the_config(container: Maker) -> None:
    box = container()
    box.config["process"]["cwd"] = "/tmp"
    box.config["process"]["env"].append("GREETING=good day")
    box.config["process"]["args"] = [config.PROBE, "report", "stat=/ two words/$HOME"]
    box.run()
    seen = box.seen()
    assert seen["args"] == box.config["process"]["args"]
    assert set(seen["env"]) >= set(box.config["process"]["env"])
    assert seen["cwd"] == "/tmp"


@decides("runtime.start.running", "runtime.start.running-untouched")
def test_start_of_a_running_container_fails_and_changes_nothing(container: Maker) -> None:
    box = container("echo", "once", "+", "wait").running()
    before = box.state()
    box.start(expect="error")
    assert box.state() == before
    assert box.output() == "once\nwaiting\n"


@decides("runtime.start.stopped", "runtime.start.stopped-untouched")
def test_start_of_a_stopped_container_fails_and_changes_nothing(container: Maker) -> None:
    box = container()
    box.run("echo", "once")
    box.until_stopped()
    box.start(expect="error")
    assert box.status() == "stopped"
    assert box.output() == "once\n"


@decides("runtime.start.no-process")
def test_start_without_a_process_in_the_config_fails(container: Maker) -> None:
    box = container()
    del box.config["process"]
    if box.create(expect="any").status == 0:
        box.start(expect="error")


@decides("runtime.lifecycle.config-updates")
def test_changes_of_the_config_after_create_have_no_effect(container: Maker) -> None:
    box = container("report")
    wanted = box.config["process"]
    box.create()
    other = config.minimal("echo", "the wrong program")
    other["process"]["env"] = ["PATH=/", "WRONG=1"]
    other["process"]["cwd"] = "/tmp"
    box.bundle.config = other
    box.bundle.write()
    box.start()
    box.wait()
    seen = box.seen()
    assert [seen["args"], seen["cwd"]] == [wanted["args"], wanted["cwd"]]
    assert set(seen["env"]) >= set(wanted["env"])
    assert "WRONG" not in seen.environment()


@decides("runtime.lifecycle.config-removed")
def test_a_config_that_is_gone_after_create_is_not_missed(container: Maker) -> None:
    box = container()
    box.create()
    (box.bundle.path / "config.json").unlink()
    box.bundle.written = box.bundle.snapshot()
    box.start()
    box.until_output("waiting")
    assert box.status() == "running"
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    box.gone()


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param(("exit", "0"), 0, marks=decides("runtime.lifecycle.exit-without-error")),
        pytest.param(("exit", "7"), 7, marks=decides("runtime.lifecycle.exit-with-error")),
        pytest.param(("abort",), None, marks=decides("runtime.lifecycle.exit-by-crash")),
    ],
    ids=["0", "7", "crash"],
)
def test_however_a_program_ends_its_container_is_stopped(
    container: Maker, command: tuple[str, ...], status: int | None
) -> None:
    """``status`` None: some signal, since a first process that aborts dies of what the C library then does."""
    box = container(*command)
    box.create()
    box.start()
    ended = box.until_stopped()
    if ended is not None:
        assert ended == status if status is not None else ended < 0
    box.delete()
    box.gone()


@decides("runtime.lifecycle.exit-by-kill", "runtime.operations.kill")
def test_a_container_that_is_killed_is_stopped(container: Maker) -> None:
    box = container().running()
    box.kill("KILL")
    assert box.until_stopped() in (-9, None)
    box.delete()
    box.gone()
