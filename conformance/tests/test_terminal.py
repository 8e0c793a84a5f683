"""config#process: the terminal and its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import config, seen
from conformance.marks import decides
from conformance.support.refusal import accepted
from conformance.support.terminal import ConsoleSocket

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop


def with_terminals(box: Container) -> Container:
    """What a terminal of the container's own is made with."""
    config.add_mount(box.config, "/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    return box


def reported(workshop: Workshop, **process: Any) -> Seen:
    """What a probe with a terminal reports there."""
    box = with_terminals(workshop.container("report"))
    box.config["process"].update(terminal=True, **process)
    with ConsoleSocket(workshop) as console:
        box.create(console_socket=console.path)
        console.receive()
        box.start()
        text = console.read()
    assert box.output() == "", "it is the terminal that gets the output"
    found = seen.reports(text)
    assert len(found) == 1, text
    return found[0]


@decides("config.process.terminal")
def test_with_a_terminal_the_streams_are_one_pseudoterminal(workshop: Workshop) -> None:
    terminals = reported(workshop)["terminals"]
    assert [each["isatty"] for each in terminals] == [True, True, True]
    assert len({each.get("name") for each in terminals}) == 1


@pytest.mark.parametrize(
    ("side", "size"),
    [
        pytest.param("height", 37, marks=decides("config.process.console-size-height")),
        pytest.param("width", 121, marks=decides("config.process.console-size-width")),
    ],
)
def test_the_size_of_the_terminal(workshop: Workshop, side: str, size: int) -> None:
    terminals = reported(workshop, consoleSize={"height": 37, "width": 121})["terminals"]
    assert [each[side] for each in terminals] == [size] * 3


@decides("config.process.terminal-default", "config.process.console-size-ignored")
@pytest.mark.parametrize("size", [{}, {"consoleSize": {"height": 37, "width": 121}}], ids=["no size", "a size"])
@pytest.mark.parametrize("terminal", [{}, {"terminal": False}], ids=["absent", "false"])
def test_without_a_terminal_there_is_none_and_a_size_is_ignored(
    container: Maker, terminal: dict[str, Any], size: dict[str, Any]
) -> None:
    box = container("report")
    box.config["process"].update(terminal | size)
    box.run()
    assert [each["isatty"] for each in box.seen()["terminals"]] == [False] * 3


@pytest.mark.parametrize(
    "size",
    [
        pytest.param({"width": 80}, marks=decides("config.process.console-size-height-required"), id="height"),
        pytest.param({"height": 24}, marks=decides("config.process.console-size-width-required"), id="width"),
    ],
)
def test_a_size_has_both(workshop: Workshop, size: dict[str, int]) -> None:
    with ConsoleSocket(workshop) as console:
        change = {"process.terminal": True, "process.consoleSize": size}
        base = with_terminals(workshop.container()).config
        assert accepted(workshop, change, base=base, console_socket=console.path) == []
