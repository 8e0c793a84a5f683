"""``diff``: what a container has changed in the trees that are its alone."""

from __future__ import annotations

import os

from pyrunc.errors import StateError
from pyrunc.host.layers import changes, marks, overlay, source
from pyrunc.host.layers.trail import DIRECTORY
from pyrunc.runtime import reaching
from pyrunc.runtime import state as states
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pyrunc.host.layers.changes import Change
    from pyrunc.host.layers.overlay import Walk
    from pyrunc.plan.facts import Layer
    from pyrunc.state.store import State


def diff(root: str, id: str, *, warn: Callable[[str], None] | None = None) -> list[Change]:
    """Every added, changed and deleted path, sorted; of a container that is created, running, paused or stopped.

    ``warn`` is told what had to be left out.  StateError if there is no such container, none of its trees is its own,
    or these are out of reach.
    """
    return list(each(root, id, warn=warn))


def each(root: str, id: str, *, warn: Callable[[str], None] | None = None) -> Iterator[Change]:
    """As ``diff``, one at a time: those of a single layer are not kept."""
    import heapq

    record = Record(root, id)
    state = load(record)
    found: list[Iterable[Change]] = []
    with reaching.views(record, state) as views:
        for layer in state["layers"]:
            with walk(state, layer, by_path=True, views=views, too_long=too_long(warn)) as layer_walk:
                if len(state["layers"]) == 1:
                    yield from changes.changes(layer_walk)
                else:
                    found.append(list(changes.changes(layer_walk)))
    yield from heapq.merge(*found, key=lambda change: change.path)


def too_long(warn: Callable[[str], None] | None) -> Callable[[str], None]:
    """What a walk calls with a directory whose objects have paths that are too long."""

    def tell(path: str) -> None:
        if warn is not None:
            warn(f"{path}: what is in it and has a path of more than {overlay.PATH_LIMIT} bytes is left out")

    return tell


def load(record: Record) -> State:
    """The state of a container that has layers."""
    state = record.load()
    if states.status(record, state) == machine.CREATING:
        raise StateError("what the container changes can be read when it is created", where=record.id)
    if not state.get("layers"):
        raise StateError(
            "the container has no private layers",
            where=record.id,
            hint="the annotations io.pyrunc.rootfs, io.pyrunc.workspace and io.pyrunc.cow (of a directory) give it "
            "some, as do the flags --ephemeral-rootfs, --workspace and --cow",
        )
    return state


def walk(
    state: State,
    layer: Layer,
    *,
    by_path: bool,
    mount: int = -1,
    views: Mapping[str, int] | None = None,
    too_long: Callable[[str], None] | None = None,
) -> Walk:
    """A walk down one layer, to be closed; what other layers cover and what pyrunc itself made is left out.

    Where its path does not lead there, ``mount`` is a descriptor of it, or ``views`` has one of what the container
    sees.
    """
    view = (views or {}).get(layer["destination"], -1)
    destinations = [other["destination"] for other in state["layers"]]
    left_out = marks.of_layer(layer["destination"], destinations, state.get("made_in_layers") or ())
    lower = source.open_lower(layer)
    try:
        upper = os.open(".", DIRECTORY, dir_fd=view) if view >= 0 else source.open_layer(layer, mount)
    except BaseException:
        if lower is not None:
            os.close(lower)
        raise
    userxattr = layer.get("userxattr", False)  # not in a state that an older version has written
    return overlay.Walk(
        upper,
        lower,
        layer["destination"],
        left_out,
        by_path=by_path,
        userxattr=userxattr,
        too_long=too_long,
        merged=view >= 0 and lower is not None,
    )
