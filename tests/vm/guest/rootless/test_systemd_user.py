"""The systemd of an ordinary user as the cgroup manager: from a login session, by the session's D-Bus."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.vm.guest.units import FLAGS, cgroup_of, gone, show, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "user")

FOREVER = ("/bin/sleep", "100000")
LIMITS: dict[str, Any] = {
    "memory": {"limit": 67108864},
    "cpu": {"quota": 50000, "period": 100000},
    "pids": {"limit": 20},
}


def environment(**changes: str) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"], **changes}


def test_a_user_has_limits_and_runs_programs_from_a_session(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    box.bundle.edit(linux__resources=LIMITS)
    box.create(flags=FLAGS, env=environment())
    box.start()
    unit = unit_of(box)
    expected = {
        "Slice": "user.slice",
        "ControlGroup": f"/user.slice/user-1000.slice/user@1000.service/user.slice/{unit}",
        "Delegate": "yes",
        "MemoryMax": "67108864",
        "TasksMax": "20",
        "CPUQuotaPerSecUSec": "500ms",
    }
    assert show(unit, *expected) == expected
    folder = cgroup_of(unit)
    assert (folder / "memory.max").read_text() == "67108864\n"
    assert (folder / "cpu.max").read_text() == "50000 100000\n"
    # No cgroup above the session's and the unit's is this user's: systemd moves the process.
    where = f"0::{expected['ControlGroup']}"
    assert box.exec("ID", "/bin/cat", "/proc/self/cgroup", env=environment()).stdout == f"{where}\n"
    (folder / "below").mkdir()
    inside = box.exec("--cgroup", "below", "ID", "/bin/cat", "/proc/self/cgroup", env=environment())
    assert inside.stdout == f"{where}/below\n"
    box.delete("--force", env={})  # the state knows the socket
    gone(box)


def test_without_a_bus_a_user_speaks_to_systemd_itself(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    box.create(flags=FLAGS, env=environment(DBUS_SESSION_BUS_ADDRESS="unix:path=/no/such/bus"))
    socket = json.loads((box.root / box.id / "state.json").read_text())["unit"]["socket"]
    assert socket == f"{os.environ['XDG_RUNTIME_DIR']}/systemd/private"
    box.delete("--force")
    gone(box)


def test_without_a_session_the_error_says_what_to_do(box: Box) -> None:
    said = box.create_refused(flags=FLAGS, env={})
    assert said == (
        "pyrunc: systemd: there is no D-Bus (log in as that user with a systemd session, or set XDG_RUNTIME_DIR; "
        "or use --cgroup-manager cgroupfs)"
    )


def test_what_is_not_delegated_to_the_user_is_named_and_leaves_no_unit(box: Box) -> None:
    box.bundle.edit(linux__resources={"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})
    said = box.create_refused(flags=FLAGS, env=environment())
    assert "linux.resources.hugepageLimits[0]: " in said
    gone(box)
