"""config-linux#intelrdt, as far as a machine without it can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.marks import decides, needs

if TYPE_CHECKING:
    from conformance.workshop import Maker


@decides("config-linux.intelrdt.no-resctrl")
@needs("no-resctrl")
@pytest.mark.parametrize(
    "settings", [{"closID": "conformance", "l3CacheSchema": "L3:0=f"}, {"memBwSchema": "MB:0=20"}, {"closID": "/"}],
    ids=["l3", "mb", "root"],
)  # fmt: skip
def test_intelrdt_without_resctrl_is_refused(container: Maker, settings: dict[str, str]) -> None:
    box = container()
    box.config["linux"]["intelRdt"] = settings
    box.create(expect="error")
    box.gone()
