"""``checkpoint``: CRIU writes the container's processes to a directory; then the container is deleted, unless it is to
go on."""

from __future__ import annotations

import posix

from pyrunc.errors import CriuFailed, HostError
from pyrunc.host import criu, files, insides
from pyrunc.plan.criu import dump as plan
from pyrunc.plan.criu import mounts, refusals, rpc
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime import destroy, lazy
from pyrunc.runtime import state as states
from pyrunc.runtime.images import Directories, check_parent
from pyrunc.spec.load import load_spec
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.plan.criu.mounts import External
    from pyrunc.plan.criu.rpc import Options
    from pyrunc.plan.criu.wishes import Wishes
    from pyrunc.spec.types import Spec
    from pyrunc.state.store import State


def checkpoint(
    root: str,
    id: str,
    images: str,
    work: str | None,
    wishes: Wishes,
    *,
    status_fd: int,
    warn: Callable[[str], None],
) -> None:
    """HostError where CRIU refuses: then the container runs as before.

    With lazy pages it returns when somebody has fetched the last one; to the descriptor ``status_fd``, -1 for none, a
    NUL byte is written when CRIU listens.
    """
    require_root("checkpoint")
    if status_fd >= 0:
        lazy.check_status_fd(status_fd)
    with Record(root, id) as record:
        found = states.hold(record, "checkpoint")
        spec = _spec(record, found)
        if wishes.parent:
            check_parent(images, wishes.parent)
        path = criu.search_path(posix.environ)
        program = criu.find(path)
        criu.version(program, path)
        if wishes.pre_dump:
            criu.require_feature(program, path, "mem_track", "--pre-dump")
        if wishes.lazy_pages:
            lazy.require(program, path)
        options, external, descriptors = planned(found, spec, wishes)
        directories = Directories(images, work, make=True)
        try:
            if wishes.lazy_pages:
                serving = lazy.Serving(directories, descriptors, external, status_fd)
                try:
                    _dump(program, path, directories, options, serving=serving)
                except BaseException:
                    serving.failed()
                    raise
            else:
                _dump(program, path, directories, options, pre_dump=wishes.pre_dump)
                if not wishes.pre_dump:
                    directories.save(descriptors, external)
        finally:
            directories.close()
        if not (wishes.leave_running or wishes.pre_dump):
            destroy.destroy(record, found, warn)


def preview(root: str, id: str, wishes: Wishes) -> Options:
    """What CRIU would be asked, but for the numbers of descriptors."""
    with Record(root, id) as record:
        found = states.hold(record, "checkpoint")
        return planned(found, _spec(record, found), wishes)[0]


def require_root(verb: str) -> None:
    """CRIU has no other way that works with containers."""
    if posix.geteuid():
        raise HostError(f"{verb} needs root: CRIU does not do it for other users", hint="run it as root")


def _spec(record: Record, found: State) -> Spec:
    spec: Spec = bundles.loaded(load_spec, record.config())
    refusals.check(spec, layers=bool(found["layers"]) or files.exists(record.directory + "/layers"))
    return spec


def planned(found: State, spec: Spec, wishes: Wishes) -> tuple[Options, External, list[str]]:
    """The options of the dump, the external mounts, the names of the first descriptors."""
    pid = found["pid"]
    sources = {"/": found["rootfs"], **mounts.binds(spec, found["bundle"])}
    masked = [insides.real(pid, path) for path in (spec.get("linux") or {}).get("maskedPaths") or ()]
    external, null = mounts.external(
        insides.mounts(pid),
        insides.mounts("self"),
        {destination: insides.source(source) for destination, source in sources.items()},
        {destination: insides.real(pid, destination) for destination in sources},
        masked,
        cgroups="cgroup" not in mounts.namespaces(spec),
    )
    external.pop("/", None)  # the rootfs itself, which CRIU is told of otherwise
    descriptors = insides.descriptors(pid)
    namespaces = {
        entry["type"]: insides.inode(entry["path"])
        for entry in (spec.get("linux") or {}).get("namespaces") or ()
        if entry.get("path")
    }
    options = plan.dump(
        spec,
        wishes,
        pid=pid,
        rootfs=found["rootfs"],
        cgroups=found["cgroups"],
        namespaces=namespaces,
        external=list(external),
        masked=null,
        descriptors=descriptors,
    )
    return options, external, descriptors


def _nothing(_script: str, _pid: int, _fd: int) -> None:
    """Nobody has to know how far a dump is."""


def _dump(
    program: str,
    path: str,
    directories: Directories,
    options: Options,
    *,
    pre_dump: bool = False,
    serving: lazy.Serving | None = None,
) -> None:
    options.update(directories.numbers())
    service = criu.spawn(program, path)
    answered = False
    try:
        request: dict[str, Any] = {"type": rpc.PRE_DUMP if pre_dump else rpc.DUMP, "opts": options}
        service.ask(request, serving.notices(service) if serving else _nothing)
        answered = True
    except CriuFailed as error:
        raise criu.explain(error, directories.log(plan.LOG)) from None
    finally:
        status = service.close()
    # A pre-dump is followed by others over the same socket: to close that is how one ends, and no success to CRIU.
    if answered and status and not pre_dump:
        raise HostError(f"criu ended with {status} after the dump", hint=f"CRIU's log is {directories.log(plan.LOG)}")
