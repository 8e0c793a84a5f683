"""All checks, in the order in which they are told."""

from __future__ import annotations

from pyrunc.doctor import cgroups, checkpoints, engines, itself, kernel, user
from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine
from pyrunc.errors import PyruncError
from pyrunc.host import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHECKS: tuple[Callable[[Machine], Iterator[Finding]], ...] = (
    *itself.CHECKS,
    *kernel.CHECKS,
    *cgroups.CHECKS,
    *user.CHECKS,
    *checkpoints.CHECKS,
    *engines.CHECKS,
    *itself.LAST,
)


def findings(environment: Mapping[str, str]) -> list[Finding]:
    """What every check has found.  One that the machine does not let look is a finding, too."""
    machine = Machine(environment)
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(machine)
        except (OSError, PyruncError) as error:
            name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}".replace("_", "-")
            why = failure.sentence(error) if isinstance(error, OSError) else str(error)
            found.append(Finding(name, check.__name__.replace("_", " "), "unknown", f"cannot be looked at: {why}"))
    return found
