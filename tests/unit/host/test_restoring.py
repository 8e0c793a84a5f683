"""Files of cgroups that are put back, on a kernel that is made up: what this machine's cgroups cannot do."""

from __future__ import annotations

import errno

import pytest

from pyrunc.host import files
from pyrunc.host.cgroups import restoring, tree
from pyrunc.plan.ops import Op

GROUP = "/sys/fs/cgroup/made-up"


class Kernel:
    """The weight of cgroup2: an idle group has none and takes none, and gets the usual one when it is idle no more."""

    def __init__(self, idle: str, weight: str) -> None:
        self.files = {f"{GROUP}/cpu.idle": f"{idle}\n", f"{GROUP}/cpu.weight": f"{weight}\n"}

    def write(self, path: str, value: str, dir_fd: int | None = None) -> None:
        del dir_fd
        idle, weight = self.files
        if path == weight and value == "0":
            raise OSError(errno.ERANGE, "out of range")
        if path == weight and self.files[idle] == "1\n":
            raise OSError(errno.EINVAL, "invalid")
        if path == idle and self.files[idle] != f"{value}\n":
            self.files[weight] = "0\n" if value == "1" else "100\n"
        self.files[path] = f"{value}\n"


@pytest.mark.parametrize(("idle", "weight"), [("0", "59"), ("1", "0")])
@pytest.mark.parametrize(
    "writes",
    [
        (("cpu.idle", "0"), ("cpu.weight", "20")),
        (("cpu.idle", "0"), ("cpu.weight", "20"), ("cpu.idle", "1")),
        (("cpu.idle", "1"),),
        (("cpu.idle", "0"),),
    ],
    ids=str,
)
def test_an_idle_group_and_one_with_a_weight_are_as_before(
    writes: tuple[tuple[str, str], ...], idle: str, weight: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(idle, weight)
    before = dict(kernel.files)
    monkeypatch.setattr(tree, "write", kernel.write)
    monkeypatch.setattr(tree, "read", kernel.files.__getitem__)
    monkeypatch.setattr(restoring, "_can_be_read", kernel.files.__contains__)
    monkeypatch.setattr(files, "exists", kernel.files.__contains__)
    noted = restoring.Noted()
    for name, value in writes:
        noted.note(Op("cgroup_write", (f"{GROUP}/{name}", value), ""))
        tree.write(f"{GROUP}/{name}", value)
    assert noted.put_back() == []
    assert kernel.files == before


def test_what_cannot_be_put_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel("0", "59")
    monkeypatch.setattr(tree, "write", kernel.write)
    monkeypatch.setattr(tree, "read", kernel.files.__getitem__)
    monkeypatch.setattr(restoring, "_can_be_read", kernel.files.__contains__)
    monkeypatch.setattr(files, "exists", kernel.files.__contains__)
    noted = restoring.Noted()
    noted.note(Op("cgroup_write", (f"{GROUP}/cpu.weight", "20"), ""))
    tree.write(f"{GROUP}/cpu.weight", "20")

    def refuse(path: str, value: str) -> None:
        raise OSError(errno.EBUSY, f"{path} {value}")

    monkeypatch.setattr(tree, "write", refuse)
    assert noted.put_back() == [f'cannot put "59" back to {GROUP}/cpu.weight: device or resource busy']
