"""The plan of ``create``: which part adds its operations when.  The order here is the order of execution."""

from __future__ import annotations

from pyrunc.plan import cgroups, devices, held, hooks, identity, limits, mounts, namespaces, paths, rootfs, security
from pyrunc.plan.builder import Builder, Plan
from pyrunc.plan.joining import join
from pyrunc.plan.ops import SLOT_FIFO, SLOT_PROC, SLOT_TTY, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import HostFacts, Request
    from pyrunc.spec.types import Spec


def create(spec: Spec, facts: HostFacts, request: Request) -> Plan:
    """Plan the creation of a container from a valid ``spec``.

    Raises SpecError with everything that this host cannot do.  The seccomp filter is put in later
    (``Plan.set_filter``): compiling it is not pure.
    """
    b = Builder(spec, facts, request)
    cgroups.create(b)
    if not request["hold"]:
        b.on_host("", "open", SLOT_FIFO, request["state_dir"] + "/exec.fifo", 0o10000000)
    namespaces.hide(b)
    entered = b.namespaces.get("user") or b.namespaces.get("cgroup")
    into = join(b, b.cgroups, from_elsewhere=bool(entered))

    namespaces.enter(b)
    identity.adjust_oom(b)
    namespaces.configure(b)
    rootfs.attach(b)
    mounts.apply(b)
    devices.populate(b)
    security.sysctls(b)
    hooks.before_pivot(b)
    paths.protect(b)
    b.container += b.deferred
    rootfs.enter(b)
    namespaces.names(b)
    rootfs.finish(b)

    # Whatever leads back to the host is closed before a path of the container is walked.
    b.on_container("", "close_slots", (SLOT_PROC, SLOT_FIFO, SLOT_TTY))

    if request["hold"]:
        held.first_process(b)
    else:
        _first_process(b)
    # Behind whatever is opened with the host's eyes.
    namespaces.join(b)
    b.finish()
    clone = namespaces.clone(b, into)
    # The process that systemd is to put into the unit has to be there first, and to wait for that.
    present = [Op("sync", (), "linux.cgroupsPath")] if b.unit else []
    handover = [Op("sync", (), ""), *b.parent] if b.parent else []
    ops = [*present, *b.runtime, *b.host, clone, *handover, *b.container]
    return Plan(ops, b.cgroups, b.warnings, b.layers, b.unit)


def _first_process(b: Builder) -> None:
    """Become the process of the config, which runs its program after ``start``."""
    process = b.spec["process"]
    limits.apply(b, process)
    identity.home(b, process)
    identity.assume(b, process, default_umask=0o022)
    identity.find(b, process)
    security.before_ready(b, process)
    b.on_container("", "ready")
    b.on_container("", "wait_start")
    security.before_execve(b, process)
    hooks.start_container(b)
    identity.execute(b, process, b.request["extra_env"])
