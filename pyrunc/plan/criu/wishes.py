"""What a caller may ask of a checkpoint or a restore; runc's options."""

from __future__ import annotations

from pyrunc.plan.kernel import CLONE_NEWNET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Namespaces whose content can be left to somebody else (--empty-ns).
EMPTY = {"network": CLONE_NEWNET}


class Wishes:
    """The defaults are those of the command line.  ``parent`` is relative to the directory of the images."""

    __slots__ = (
        "auto_dedup",
        "cgroups_mode",
        "empty_namespaces",
        "ext_unix_sk",
        "file_locks",
        "lazy_pages",
        "leave_running",
        "link_remap",
        "lsm_mount_context",
        "lsm_profile",
        "page_server",
        "parent",
        "pre_dump",
        "shell_job",
        "tcp_close",
        "tcp_established",
        "tcp_skip_in_flight",
    )

    def __init__(
        self,
        *,
        leave_running: bool = False,
        pre_dump: bool = False,
        parent: str = "",
        tcp_established: bool = False,
        tcp_skip_in_flight: bool = False,
        tcp_close: bool = False,
        link_remap: bool = False,
        ext_unix_sk: bool = False,
        shell_job: bool = False,
        file_locks: bool = False,
        lazy_pages: bool = False,
        auto_dedup: bool = False,
        page_server: tuple[str, int] | None = None,
        cgroups_mode: str = "",
        empty_namespaces: Sequence[str] = (),
        lsm_profile: str = "",
        lsm_mount_context: str = "",
    ) -> None:
        self.leave_running = leave_running
        self.pre_dump = pre_dump
        self.parent = parent
        self.tcp_established = tcp_established
        self.tcp_skip_in_flight = tcp_skip_in_flight
        self.tcp_close = tcp_close
        self.link_remap = link_remap
        self.ext_unix_sk = ext_unix_sk
        self.shell_job = shell_job
        self.file_locks = file_locks
        self.lazy_pages = lazy_pages
        self.auto_dedup = auto_dedup
        self.page_server = page_server
        self.cgroups_mode = cgroups_mode
        self.empty_namespaces = tuple(empty_namespaces)
        self.lsm_profile = lsm_profile
        self.lsm_mount_context = lsm_mount_context
