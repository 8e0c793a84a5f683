"""config-linux#huge-page-limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup
from conformance.marks import decides, needs
from conformance.support import limits

if TYPE_CHECKING:
    from conformance.workshop import Workshop

pytestmark = [needs("root", "huge-pages")]


def sizes() -> list[str]:
    """As the names of files in cgroups have them, the smallest first: "2MB"."""
    found = []
    for folder in sorted(Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB"), key=lambda each: len(each.name)):
        number = int(folder.name.removeprefix("hugepages-").removesuffix("kB"))
        for unit in ("KB", "MB", "GB"):
            if number % 1024 or unit == "GB":
                found.append(f"{number}{unit}")
                break
            number //= 1024
    return found


SIZE = (sizes() or ["2MB"])[0]
LIMIT = 64 << 20


def entry(**changes: Any) -> limits.Wish:
    """One limit; None is a property that is left out."""
    wanted = {"pageSize": SIZE, "limit": LIMIT, **changes}
    return {"hugepageLimits": [{name: value for name, value in wanted.items() if value is not None}]}


@decides("config-linux.huge-page-limits.reservation")
@needs("linux-5.7")
def test_limit_holds_for_reservations(workshop: Workshop) -> None:
    """A controller of cgroup2 beside hierarchies of v1 may be refused."""
    beside = cgroup.version() == 1 and "hugetlb" not in cgroup.hierarchies()
    if beside and limits.accepted(workshop, entry()) == []:
        return
    v1, v2 = f"hugetlb.{SIZE}.rsvd.limit_in_bytes", f"hugetlb.{SIZE}.rsvd.max"
    found = limits.limited(workshop, entry()).read("hugetlb", v2 if beside else v1 if cgroup.version() == 1 else v2)
    assert found == str(LIMIT)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"pageSize": None}, id="no-size",
                     marks=decides("config-linux.huge-page-limits.page-size-required")),
        pytest.param({"limit": None}, id="no-limit", marks=decides("config-linux.huge-page-limits.limit-required")),
        *(
            pytest.param({"pageSize": size}, id=f"size-{size}",
                         marks=decides("config-linux.huge-page-limits.page-size-unknown"))
            for size in ("3MB", "8KB")
        ),
        *(
            pytest.param({"pageSize": size}, id=f"form-{size}",
                         marks=decides("config-linux.huge-page-limits.page-size-format"))
            for size in ("2M", "2097152", "")
        ),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_refused(workshop: Workshop, changes: dict[str, Any]) -> None:
    assert limits.accepted(workshop, entry(**changes)) == []
