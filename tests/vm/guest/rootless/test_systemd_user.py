"""The systemd of an ordinary user as the cgroup manager: from a login session, by the session's D-Bus."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.vm.guest.units import FLAGS, TOP, cgroup_of, gone, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "user")

FOREVER = ("/bin/sleep", "100000")


def environment(**changes: str) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"], **changes}


def test_programs_are_run_in_the_unit_from_a_session(new_box: Callable[..., Box]) -> None:
    """No cgroup above the session's and the unit's is this user's: systemd moves the process."""
    box = new_box(*FOREVER)
    box.create(flags=FLAGS, env=environment())
    box.start()
    folder = cgroup_of(unit_of(box))
    where = f"0::/{folder.relative_to(TOP)}"
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
