"""What a checkpoint would lose: it is refused by name, before anything is done."""

from __future__ import annotations

from pyrunc.errors import SpecError, Violation
from pyrunc.plan.mount_options import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.spec.types import Spec

#: Namespaces that CRIU can leave to whoever has made them, or enter at the restore.
_EXTERNAL = ("network", "pid", "ipc", "uts")


def check(spec: Spec, *, layers: bool) -> None:
    """SpecError with everything of the config that CRIU does not bring back; ``layers``: it has private ones."""
    found = list(_lost(spec))
    if layers:
        found.append(Violation("", "a container with private layers cannot be checkpointed: CRIU would lose them"))
    if found:
        raise SpecError(found)


def _lost(spec: Spec) -> Iterator[Violation]:
    linux = spec.get("linux") or {}
    for index, entry in enumerate(linux.get("namespaces") or ()):
        if entry.get("path") and entry["type"] not in _EXTERNAL:
            yield Violation(
                f"linux.namespaces[{index}].path",
                f"a container in somebody else's {entry['type']} namespace cannot be checkpointed",
            )
    for index, mount in enumerate(spec.get("mounts") or ()):
        if mount.get("uidMappings") or parse(mount.get("options") or ()).idmap:
            yield Violation(f"mounts[{index}]", "an id-mapped mount cannot be checkpointed: CRIU would lose the map")
