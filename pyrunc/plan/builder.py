"""What the parts of a plan share while they add their operations.

A part reads the config and the facts and appends to one of four lists; ``finish`` puts these in the
order of execution.  Reasons why the config cannot run here are collected, not raised one by one.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, Violation
from pyrunc.plan.capabilities import CAP_SYS_ADMIN
from pyrunc.plan.kernel import MS_SHARED
from pyrunc.plan.mount_options import PROPAGATION
from pyrunc.plan.ops import SLOT_FIRST, SLOT_LIMIT, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import HostFacts, Layer, Request, Unit
    from pyrunc.plan.ops import Arg
    from pyrunc.spec.types import Spec


class Plan:
    """Ordered operations, and what the runtime must keep to undo or join the container later."""

    __slots__ = ("cgroups", "layers", "ops", "unit", "warnings")

    def __init__(
        self,
        ops: list[Op],
        cgroups: dict[str, str],
        warnings: list[Violation],
        layers: list[Layer] | None = None,
        unit: Unit | None = None,
    ) -> None:
        self.ops = ops
        self.warnings = warnings
        self.layers = layers or []
        self.unit = unit
        self.cgroups = cgroups  # controller -> absolute directory, as in HostFacts.cgroup

    def set_filter(self, program: bytes) -> None:
        """Put the compiled seccomp filter where it belongs; a plan that is only shown has none."""
        for op in self.ops:
            if op.name == "seccomp":
                op.args = (program, *op.args[1:])


class Builder:
    __slots__ = (
        "cgroups",
        "container",
        "copies",
        "deferred",
        "expected",
        "facts",
        "host",
        "host_opens",
        "isolation",
        "layer_count",
        "layers",
        "mounts_on_host",
        "namespaces",
        "next_slot",
        "parent",
        "pinned",
        "problems",
        "request",
        "runtime",
        "setgroups_denied",
        "spec",
        "unit",
        "warnings",
    )

    def __init__(self, spec: Spec, facts: HostFacts, request: Request) -> None:
        self.spec = spec
        self.facts = facts
        self.request = request
        self.runtime: list[Op] = []  # Python, before pyrunc-init is spawned
        self.host: list[Op] = []  # init, with the host's credentials and namespaces, up to clone
        self.parent: list[Op] = []  # Python, while the container's first process waits
        self.container: list[Op] = []  # init, as the container's first process
        self.deferred: list[Op] = []  # init, right before the rootfs is entered
        self.problems: list[Violation] = []
        self.warnings: list[Violation] = []  # what the config asks for and cannot have, where the spec tolerates it
        self.isolation = request["isolation"]
        self.layers: list[Layer] = []
        self.expected: dict[str, tuple[str, int]] = {}  # path -> the annotation and the slot of the mount it leads to
        self.copies = ""  # where the tmpfs for copies of files is
        self.layer_count = 0  # names given out in the container's directory
        self.cgroups: dict[str, str] = {}
        self.unit: Unit | None = None  # where systemd manages the cgroups
        self.next_slot = SLOT_FIRST
        self.pinned: dict[str, int] = {}  # destination of a procfs or sysfs -> slot of its mount
        #: OCI namespace type -> path to join, or "" for a new one
        self.namespaces: dict[str, str] = {
            ns["type"]: ns.get("path", "") for ns in (spec.get("linux") or {}).get("namespaces") or ()
        }
        #: By the kernel, in the container's user namespace; of one that is joined, nobody knows before.
        self.setgroups_denied = facts["setgroups_denied"] and not self.namespaces.get("user")
        #: Whether the host's mounts are ours; root of a user namespace may have no mount namespace of that.
        self.mounts_on_host = bool(facts["caps"] & CAP_SYS_ADMIN) and facts["owns_mounts"]
        self.host_opens = self._opens_on_host()

    def _opens_on_host(self) -> bool:
        """Whether mount sources are opened before the container's namespaces are entered.

        Inside a user namespace the container's root may lack the right to reach a source that the
        caller can.  And a mount that is to propagate back to the host must stay a peer of the host's mount,
        which a copy in a mount namespace of slaves is not.
        """
        propagation = (self.spec.get("linux") or {}).get("rootfsPropagation", "")
        shared = bool(PROPAGATION.get(propagation, 0) & MS_SHARED)
        return self.mounts_on_host and (shared or "user" in self.namespaces)

    # Each list has one way in, so that a reader sees at once where an op runs.
    def on_runtime(self, where: str, name: str, *args: Arg) -> None:
        self.runtime.append(Op(name, args, where))

    def on_host(self, where: str, name: str, *args: Arg) -> None:
        self.host.append(Op(name, args, where))

    def on_parent(self, where: str, name: str, *args: Arg) -> None:
        self.parent.append(Op(name, args, where))

    def on_container(self, where: str, name: str, *args: Arg) -> None:
        self.container.append(Op(name, args, where))

    def on_source(self, where: str, name: str, *args: Arg) -> None:
        """An op that opens something of the host by path."""
        (self.host if self.host_opens else self.container).append(Op(name, args, where))

    def before_pivot(self, where: str, name: str, *args: Arg) -> None:
        self.deferred.append(Op(name, args, where))

    def slot(self) -> int:
        slot = self.next_slot
        self.next_slot += 1
        if slot == SLOT_LIMIT:
            self.problem("mounts", f"too many; all together may need {SLOT_LIMIT - SLOT_FIRST} descriptors")
        return min(slot, SLOT_LIMIT - 1)

    def new(self, namespace: str) -> bool:
        """Whether the container gets a new namespace of that type."""
        return self.namespaces.get(namespace) == ""

    def problem(self, path: str, reason: str) -> None:
        self.problems.append(Violation(path, reason))

    def finish(self) -> None:
        if self.problems:
            raise SpecError(self.problems)
