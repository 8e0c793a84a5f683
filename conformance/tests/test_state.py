"""runtime#state: what the runtime says of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.marks import decides

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.container import Container


@decides("runtime.state.id")
def test_the_state_has_the_id_of_create(container: Callable[..., Container]) -> None:
    box = container()
    box.create()
    assert box.state()["id"] == box.id
