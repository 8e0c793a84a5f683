"""``validate``: everything that is wrong with a bundle's config.json, without a look at the host."""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.host import site
from pyrunc.plan.capabilities import CAPS
from pyrunc.runtime import bundle as bundles
from pyrunc.spec import checks
from pyrunc.spec.load import load_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.errors import Violation


def violations(bundle: str) -> tuple[Sequence[Violation], Sequence[Violation]]:
    """Violations and warnings, each in document order."""
    site.add()  # a config of the wrong shape is gone through by jsonschema
    try:
        spec = load_spec(bundles.read(bundle))
    except SpecError as error:
        return error.violations, ()
    return (), checks.warnings(spec, CAPS)
