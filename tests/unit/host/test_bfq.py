"""Whether the kernel has BFQ, by what disks offer as schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyrunc.host.systemd import reach

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ({"a": "[none] mq-deadline bfq \n"}, True),
        ({"a": "none mq-deadline [bfq]\n"}, True),
        ({"a": "none\n", "b": "[bfq] none\n"}, True),
        ({"a": "[none] mq-deadline \n"}, False),
        ({"a": "none bfq-old\n"}, False),
        ({"a": None}, False),  # a device that has no queue
        ({}, False),
    ],
)
def test_a_kernel_with_bfq_offers_it_for_each_disk(
    tmp_path: Path, offered: dict[str, str | None], expected: bool
) -> None:
    for name, text in offered.items():
        (tmp_path / name / "queue").mkdir(parents=True)
        if text is not None:
            (tmp_path / name / "queue" / "scheduler").write_text(text)
    assert reach.has_bfq(str(tmp_path)) is expected


def test_without_disks_there_is_no_bfq(tmp_path: Path) -> None:
    assert not reach.has_bfq(str(tmp_path / "none"))
