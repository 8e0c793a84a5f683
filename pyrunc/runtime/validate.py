"""``validate``: everything that is wrong with a bundle's config.json, without a look at the host."""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.host import site
from pyrunc.plan.capabilities import CAPS
from pyrunc.plan.create import create
from pyrunc.plan.kernel import NAMESPACES
from pyrunc.runtime import bundle as bundles
from pyrunc.spec import checks
from pyrunc.spec.load import load_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.errors import Violation
    from pyrunc.plan.facts import HostFacts

#: A host that has everything: what cannot be planned for it cannot be planned for any.
ANY_HOST: HostFacts = {
    "uid": 0,
    "gid": 0,
    "caps": -1,
    "bounding": -1,
    "last_cap": 63,
    "initial_userns": True,
    "kernel": (99, 0),
    "machine": "",
    "apparmor": True,
    "selinux": True,
    "namespaces": tuple(file for _, file in NAMESPACES.values()),
    "subuids": (),
    "subgids": (),
    "owns_mounts": True,
    "setgroups_denied": False,
    "delegated": False,
    "systemd": None,
    "cgroup": {"mode": "v2", "mounts": {"": "/sys/fs/cgroup"}, "own": {"": "/"}},
}


def violations(bundle: str) -> tuple[Sequence[Violation], Sequence[Violation]]:
    """Violations and warnings, each in document order."""
    site.add()  # a config of the wrong shape is gone through by jsonschema
    try:
        spec = load_spec(bundles.read(bundle))
    except SpecError as error:
        return error.violations, ()
    try:
        create(spec, ANY_HOST, bundles.request("container", bundle, "/"))
    except SpecError as error:
        return error.violations, ()
    return (), checks.warnings(spec, CAPS)
