"""checkpoint and restore: from their options to what is asked of CRIU."""

from __future__ import annotations

from pyrunc.cli import arguments
from pyrunc.cli.output import out
from pyrunc.errors import UsageError
from pyrunc.plan.criu import rpc
from pyrunc.plan.criu.wishes import EMPTY, Wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cli.lean import Line

#: Where images are when nobody says so, as with runc.
IMAGES = "checkpoint"
_PORTS = 65535


def checkpoint(line: Line) -> int:
    from pyrunc.runtime import checkpoint as verb

    given: dict[str, Any] = line.options
    root, id = arguments.root(line), line.arguments[0]
    wishes = _wishes(given)
    status_fd = _status_fd(given)
    if given["plan"]:
        from pyrunc.spec.jsontext import dumps_pretty

        out(dumps_pretty(verb.preview(root, id, wishes)) + "\n")
        return 0
    verb.checkpoint(root, id, _images(given), _work(given), wishes, status_fd=status_fd, warn=arguments.warner(line))
    return 0


def restore(line: Line) -> int:
    from pyrunc.runtime import restore as verb
    from pyrunc.runtime.creation import Options
    from pyrunc.runtime.images import Directories

    given: dict[str, Any] = line.options
    wishes = _wishes(given)
    options = Options(console_socket=given["console-socket"], no_pivot=given["no-pivot"], **arguments.planning(line))
    root, id, bundle = arguments.root(line), line.arguments[0], arguments.bundle(line)
    if given["plan"]:
        out(verb.preview(root, id, bundle, options, _images(given), wishes))
        return 0
    directories = Directories(_images(given), _work(given), make=False)
    try:
        return verb.restore(
            root=root,
            id=id,
            bundle=bundle,
            options=options,
            directories=directories,
            wishes=wishes,
            pid_file=given["pid-file"],
            detach=given["detach"],
            no_subreaper=given["no-subreaper"],
            warn=arguments.warner(line),
        )
    finally:
        directories.close()


def _images(given: dict[str, Any]) -> str:
    return arguments.absolute(given["image-path"] or IMAGES)


def _work(given: dict[str, Any]) -> str | None:
    return arguments.absolute(given["work-path"]) if given["work-path"] else None


def _wishes(given: dict[str, Any]) -> Wishes:
    mode = given["manage-cgroups-mode"] or ""
    if mode not in rpc.CGROUP_MODES:
        raise UsageError("Invalid manage-cgroups-mode value", where=f"--manage-cgroups-mode {mode}",
                         hint="choose soft, full, strict or ignore")  # fmt: skip
    for name in given["empty-ns"]:
        if name not in EMPTY:
            raise UsageError(f'namespace "{name}" is not supported', where="--empty-ns", hint="only network is")
    if given["lazy-pages"] and given.get("pre-dump"):
        raise UsageError("a pre-dump writes all pages", where="--lazy-pages", hint="give it at the dump that follows")
    return Wishes(
        leave_running=given.get("leave-running", False),
        pre_dump=given.get("pre-dump", False),
        parent=given["parent-path"] or "",
        tcp_established=given["tcp-established"],
        tcp_skip_in_flight=given.get("tcp-skip-in-flight", False),
        tcp_close=given.get("tcp-close", False),
        link_remap=given.get("link-remap", False),
        ext_unix_sk=given["ext-unix-sk"],
        shell_job=given["shell-job"],
        file_locks=given["file-locks"],
        auto_dedup=given["auto-dedup"],
        lazy_pages=given["lazy-pages"],
        page_server=_page_server(given.get("page-server")),
        cgroups_mode=mode,
        empty_namespaces=given["empty-ns"],
        lsm_profile=given.get("lsm-profile") or "",
        lsm_mount_context=given.get("lsm-mount-context") or "",
    )


def _status_fd(given: dict[str, Any]) -> int:
    """-1 without one, as runc has it."""
    text = given["status-fd"] or "-1"
    if text == "-1":
        return -1
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError("is not a file descriptor", where=f"--status-fd {text}", hint="give its number")
    if not given["lazy-pages"]:
        raise UsageError("is for --lazy-pages", where=f"--status-fd {text}", hint="nothing else writes to it")
    return int(text)


def _page_server(text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    address, colon, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not address or not colon or not port:
        raise UsageError("Use --page-server ADDRESS:PORT to specify page server", where=f"--page-server {text}")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= _PORTS):
        raise UsageError("Invalid port number", where=f"--page-server {text}")
    return address, int(port)


VERBS: dict[str, Callable[[Line], int]] = {"checkpoint": checkpoint, "restore": restore}
