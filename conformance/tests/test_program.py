"""config#process: the program, its arguments, environment and directory."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from conformance.bundle import place_probe
from conformance.config import ABSENT
from conformance.marks import decides
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@decides("config.process.optional")
def test_a_container_without_a_process_is_created_and_deleted(container: Maker) -> None:
    box = container()
    del box.config["process"]
    box.create()
    box.delete(force=True)
    box.gone()


@decides("config.process.args")
def test_the_arguments_are_those_of_the_config(container: Maker) -> None:
    box = container(
        "report", "read=", "read= a  b ", "read=naïve ☂", "read=$HOME*", "read=" + "x" * 50_000, "read=a\nb"
    )
    box.run()
    assert box.seen()["args"] == box.config["process"]["args"]


@decides("config.process.args-first", "config.process.args-search")
def test_a_name_without_slash_is_looked_for_in_every_directory_of_the_path(container: Maker) -> None:
    box = container()
    box.config["process"]["args"] = ["probe", "report"]
    box.config["process"]["env"][0] = "PATH=/etc:/"
    box.run()
    assert box.seen()["args"] == ["probe", "report"]


@decides("config.process.args-path")
def test_a_name_with_a_slash_is_a_path_from_the_directory_of_the_process(container: Maker) -> None:
    box = container()
    (box.rootfs / "mnt" / "bin").mkdir()
    place_probe(box.rootfs / "mnt" / "bin" / "program")
    box.config["process"].update(args=["bin/program", "report"], cwd="/mnt")
    box.run()
    assert box.seen()["args"][0] == "bin/program"


@decides("config.process.args-path")
def test_a_name_with_a_slash_is_not_looked_for_in_the_path(workshop: Workshop) -> None:
    wrong = {"process.args": ["etc/../probe", "exit", "0"], "process.cwd": "/tmp"}
    assert accepted(workshop, wrong) == []


@decides("config.process.args-search")
def test_a_name_without_slash_is_not_looked_for_elsewhere(workshop: Workshop) -> None:
    assert accepted(workshop, {"process.args": ["probe", "exit", "0"], "process.env": ["PATH=/etc"]}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("process.cwd", ABSENT, marks=decides("config.process.cwd-required"), id="no cwd"),
        pytest.param("process.cwd", "tmp", marks=decides("config.process.cwd-absolute"), id="relative cwd"),
        pytest.param("process.cwd", "", marks=decides("config.process.cwd-absolute"), id="empty cwd"),
        pytest.param("process.args", ABSENT, marks=decides("config.process.args-required"), id="no args"),
        pytest.param("process.args", [], marks=decides("config.process.args-empty"), id="empty args"),
        pytest.param("process.args", ["/absent"], marks=decides("config.process.args-missing"), id="absent program"),
    ],
)
def test_what_a_process_must_have(workshop: Workshop, path: str, value: object) -> None:
    assert accepted(workshop, {path: value}) == []


@decides("config.process.args-not-executable")
def test_a_program_without_the_right_to_execute_is_refused(container: Maker) -> None:
    box = container()
    shutil.copyfile(box.rootfs / "probe", box.rootfs / "tmp" / "program")
    box.config["process"]["args"] = ["/tmp/program", "exit", "0"]
    if box.create(expect="any").status == 0:
        box.start(expect="error")


@decides("config.process.cwd", "config.process.env")
def test_the_directory_and_the_environment_are_those_of_the_config(container: Maker) -> None:
    box = container("report")
    box.config["process"]["cwd"] = "/mnt"
    wanted = ["EQUALS=a=b=", "BLANKS=  a b ", "LINES=a\nb\n", "EMPTY=", "lower.case-1=x", "UMBRELLA=☂"]
    box.config["process"]["env"] += wanted
    box.run()
    seen = box.seen()
    assert seen["cwd"] == "/mnt"
    assert [entry for entry in seen["env"] if entry in wanted] == wanted


@decides("config.process.env-only")
def test_nothing_of_the_caller_s_environment_gets_in(container: Maker, runtime: Runtime) -> None:
    """HOME may be there: runtimes set it by the container's own user database."""
    runtime.prefix = ["env", "CALLER=of the caller", "LISTEN_PID=1", "HOME=/home/caller"]
    box = container("report")
    box.run()
    env = box.seen().environment()
    configured = {entry.partition("=")[0] for entry in box.config["process"]["env"]}
    assert env.keys() - configured <= {"HOME"}
    assert env.get("HOME") != "/home/caller"
    assert [entry for entry in box.seen()["env"] if entry.startswith("PATH=")] == ["PATH=/"]
