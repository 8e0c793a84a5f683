"""Which mounts of a container CRIU is to leave alone: the host's, which are mounted again from there at the restore.

CRIU calls them external and knows them by keys: our key is the mount point in the container.  All files that are masked
have one key, as in runc.
"""

from __future__ import annotations

from pyrunc.plan.mount_options import parse
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.spec.types import Mount, Spec

    #: Mount point -> major:minor of its file system, its root in that, the type of the file system.
    Mounted = Mapping[str, tuple[str, str, str]]
    #: Mount point in the container -> destination of the bind mount that it came with, and the path below that.
    External = dict[str, tuple[str, str]]

#: Key and source of what lies over masked files.
NULL = "/dev/null"


def is_bind(mount: Mount) -> bool:
    options = parse(mount.get("options") or ())
    return not options.remount and bool(options.bind or mount.get("type") == "bind")


def binds(spec: Spec, bundle: str) -> dict[str, str]:
    """Destination, as the config has it without detours -> absolute source; a later one at the same place counts."""
    found: dict[str, str] = {}
    for mount in spec.get("mounts") or ():
        destination = normal(mount["destination"])
        found.pop(destination, None)
        if is_bind(mount):
            source = mount.get("source") or ""
            found[destination] = source if source.startswith("/") else f"{bundle.rstrip('/')}/{source}"
    return found


def external(
    inside: Mounted,
    host: Mounted,
    sources: Mapping[str, str],
    real: Mapping[str, str],
    masked: Sequence[str],
    *,
    cgroups: bool,
) -> tuple[External, list[str]]:
    """The external mounts, and the masked files, among those that the container has.

    ``sources`` are its bind mounts, destination -> directory or file of the host without symlinks; ``real`` has the
    destinations as symlinks in the container lead to them.  What came in with a bind mount is on the host mounted below
    its source, or is another piece of the same file system there (a read-only path); what the container has mounted
    itself is neither, and stays CRIU's business.  ``cgroups``: they are bound from the host's, too, as there is no
    cgroup namespace.
    """
    places = {real[destination]: destination for destination in sources}
    found: External = {}
    null = []
    for point, (device, root, kind) in inside.items():
        if cgroups and kind in ("cgroup", "cgroup2"):
            found[point] = "", ""
            continue
        if point in masked and root.endswith("/null"):
            null.append(point)
            continue
        for place in sorted(places, key=len, reverse=True):
            if point != place and not point.startswith(place.rstrip("/") + "/"):
                continue
            rest = point[len(place.rstrip("/")) :]
            if not rest or _came_with(device, root, host.get(sources[places[place]] + rest), inside.get(place), rest):
                found[point] = places[place], rest
            break
    return found, null


def _came_with(
    device: str, root: str, there: tuple[str, str, str] | None, above: tuple[str, str, str] | None, rest: str
) -> bool:
    if there is not None and there[:2] == (device, root):
        return True
    return above is not None and (above[0], above[1].rstrip("/") + rest) == (device, root)


def sources(saved: External, spec: Spec, bundle: str, cgroups: Mapping[str, str]) -> dict[str, str]:
    """Key -> what is mounted there at the restore: as the images tell it, and as the config has it.

    The config may bind other sources than at the dump; images of another runtime tell nothing.  ``cgroups``: what
    plan.cgroup_mounts shows without a cgroup namespace.
    """
    given = binds(spec, bundle)
    if "cgroup" not in namespaces(spec):
        for mount in spec.get("mounts") or ():
            if mount.get("type") == "cgroup" and not is_bind(mount):
                destination = normal(mount["destination"])
                given.update({destination + below: directory for below, directory in cgroups.items()})
    found = {NULL: NULL, **given}
    for point, (destination, rest) in saved.items():
        if destination and destination in given:
            found[point] = given[destination] + rest
    return found


def namespaces(spec: Spec) -> set[str]:
    """The types of those that are not the caller's."""
    return {entry["type"] for entry in (spec.get("linux") or {}).get("namespaces") or ()}
