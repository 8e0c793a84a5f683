"""The plan of ``exec``: one more process in the namespaces and cgroups of a running container.

It shares its parts with create; what differs is how the process gets there.
"""

from __future__ import annotations

from pyrunc.plan import identity, limits, security
from pyrunc.plan.builder import Builder, Plan
from pyrunc.plan.devices import newline, terminal_size
from pyrunc.plan.joining import join
from pyrunc.plan.kernel import CLONE_NEWCGROUP, CLONE_NEWUSER, O_PATH
from pyrunc.plan.namespaces import has_root
from pyrunc.plan.ops import SLOT_FIRST, SLOT_PROC, SLOT_ROOT, SLOT_TTY, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.facts import HostFacts, Request, Unit
    from pyrunc.spec.types import Process, Spec

#: The slot in which the caller presets the pidfd of the container's first process.
SLOT_PIDFD = SLOT_FIRST


def execute(
    spec: Spec,
    process: Process,
    facts: HostFacts,
    request: Request,
    *,
    namespaces: int,
    cgroups: Mapping[str, str],
    setgroups_denied: bool,
    chrooted: bool,
    attach: tuple[Unit, str] | None = None,
) -> Plan:
    """``namespaces`` are the CLONE_NEW* flags of those that differ from the caller's; ``cgroups`` the directories to
    join, by controller; ``setgroups_denied`` is what /proc/PID/setgroups says; ``chrooted``: the container's root is
    not that of its mount namespace, and the caller presets slot ROOT; ``attach``: the caller may not join them itself,
    but systemd takes it into its unit, to the cgroup that is named below.

    Pure.  Raises SpecError with everything that this host cannot do.
    """
    b = Builder({**spec, "process": process}, facts, request)
    b.next_slot = SLOT_PIDFD + 1
    b.setgroups_denied = setgroups_denied
    limits.exec_affinity(b, process)
    if attach:
        unit, below = attach
        b.on_runtime("linux.cgroupsPath", "systemd_attach", unit["name"], unit["socket"], below)
    # A process of the container could trace us before execve, as soon as we share its namespaces.
    b.on_host("", "dumpable", 0)
    labelled = bool(process.get("apparmorProfile") or process.get("selinuxLabel"))
    if labelled:
        b.on_host("", "open_proc", SLOT_PROC)
    into = join(b, cgroups, from_elsewhere=bool(namespaces & CLONE_NEWUSER))
    # Who is born in a cgroup2 enters its cgroup namespace afterwards; in a user namespace it could not.
    late = namespaces & CLONE_NEWCGROUP if into >= 0 else 0
    if namespaces & ~late:
        b.on_host("linux.namespaces", "join_pidfd", SLOT_PIDFD, namespaces & ~late)
    if late:
        b.on_container("linux.namespaces", "join_pidfd", SLOT_PIDFD, late)
    identity.adjust_oom(b)
    if namespaces & CLONE_NEWUSER and has_root(b):
        b.on_container("linux.namespaces", "become_root")
    b.on_container("", "setsid")
    if not request["no_new_keyring"]:
        b.on_container("", "session_keyring", "_ses." + request["id"])
    if chrooted:
        b.on_container("root.path", "chroot")
    if process.get("terminal"):
        if not chrooted:
            b.on_container("process.terminal", "open", SLOT_ROOT, "/", O_PATH)
        b.on_container("process.terminal", "open_pty", *terminal_size(b, process), 0, newline(b))
    # Whatever leads back to the host is closed before a path of the container is walked.
    b.on_container("", "close_slots", (SLOT_PROC, SLOT_TTY) if labelled else (SLOT_TTY,))
    limits.apply(b, process)
    identity.home(b, process)
    identity.assume(b, process)
    identity.find(b, process)
    security.before_ready(b, process)
    security.before_execve(b, process)
    identity.execute(b, process, request["extra_env"])
    b.finish()
    clone = Op("clone", (0, into), "linux.namespaces")
    present = [Op("sync", (), "linux.cgroupsPath"), *b.runtime] if b.runtime else []
    handover = [Op("sync", (), ""), *b.parent] if b.parent else []
    return Plan([*present, *b.host, clone, *handover, *b.container], {}, b.warnings)
