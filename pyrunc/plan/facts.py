"""What a plan may know about the host: values only, probed once by ``pyrunc.host.probe``.

A plan is a pure function of the config, these facts and the request, so that a golden plan can be
compared on any machine with facts from a table.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    from pyrunc.spec.isolation import Isolation

    class CgroupFacts(TypedDict):
        """The cgroup layout (cgroups(7)), keyed by controller.

        Keys are controller names, ``name=systemd`` for a named v1 hierarchy and ``""`` for cgroup2.
        Controllers that are mounted together have equal values.
        """

        mode: str  # "v1", "hybrid", "v2" or "none"
        mounts: dict[str, str]  # -> mount point on the host
        own: dict[str, str]  # -> path of this process's cgroup below that mount point, "/…"

    class SystemdFacts(TypedDict):
        """The systemd that is asked for units: that of the host, or that of a user."""

        user: bool
        version: int
        socket: str  # of the D-Bus that it is spoken to by; an abstract one begins with @
        control_group: str  # its own cgroup, below which all of its units are; "" or "/…"
        bfq: bool  # the kernel has BFQ, for which systemd counts a weight of its own from IOWeight

    class Unit(TypedDict):
        """A container's unit, as the state keeps it."""

        name: str
        socket: str
        description: str  # GVariant text; a unit of that name with another one is not the container's

    class KernelFacts(TypedDict):
        """What stays as it is while the kernel runs."""

        last_cap: int  # the highest capability that the kernel knows
        kernel: tuple[int, int]
        machine: str  # as uname -m
        apparmor: bool
        selinux: bool
        namespaces: tuple[str, ...]  # names in /proc/self/ns

    class HostFacts(KernelFacts):
        uid: int  # effective
        gid: int
        caps: int  # CapEff of /proc/self/status
        bounding: int  # CapBnd
        initial_userns: bool  # uid_map of this process is the identity over all ids
        subuids: tuple[tuple[int, int], ...]  # (first, count) of /etc/subuid for this user; () for root
        subgids: tuple[tuple[int, int], ...]
        cgroup: CgroupFacts
        owns_mounts: bool  # capabilities of this process hold in its mount namespace, too
        setgroups_denied: bool  # by the kernel, in the user namespace of this process and in all that are made in it
        delegated: bool  # without privilege: cgroup2 lets this process make cgroups beside its own, and be moved there
        systemd: SystemdFacts | None  # looked for only where it manages the cgroups

    class Layer(TypedDict):
        """A private writable tree of the container, as the state keeps it for ``diff`` and ``commit``."""

        kind: str  # "rootfs", "workspace" or "cow"
        destination: str  # inside the container
        lower: str  # the directory on the host that shows through, "" below a workspace
        path: str  # where the tmpfs is; of an overlay it holds upper and work
        slot: int  # of the mount in pyrunc-init
        userxattr: bool  # where overlayfs keeps its notes: user.overlay.*, else trusted.overlay.*
        lower_id: NotRequired[list[int]]  # its device and inode; the plan does not know them

    class Request(TypedDict):
        """What the caller of create wants beyond the config."""

        id: str
        bundle: str  # absolute
        state_dir: str  # absolute, holds exec.fifo
        no_pivot: bool
        no_new_keyring: bool
        preserve_fds: int
        cgroup_manager: str  # "cgroupfs", "systemd" or "disabled"
        extra_env: list[str]  # LISTEN_FDS and the like, appended to process.env
        serves_terminal: bool  # the runtime shows the pty on its own terminal, not a receiver on a console socket
        hold: bool  # a sandbox: the first process runs no program of its own, but starts those that it is asked to
        terminal_size: tuple[int, int] | None  # rows and columns of the caller's terminal, where that is so
        isolation: Isolation  # of the annotations, and of the flags where there is no annotation
        cow_directories: tuple[str, ...]  # those sources of copy-on-write mounts that are directories
        pass_layers: bool  # hand those layers that are not mounted on the host to the runtime
