"""Stays with a process in the foreground: its signals, its terminal, its exit status."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.host.cgroups.oom import Watch
    from pyrunc.runtime.conversation import Conversation


def attend(talk: Conversation, watch: Watch | None = None) -> int:
    """Serve the process until it ends; reaps it and returns its exit status (128+N for a signal)."""
    from pyrunc.host import foreground

    try:
        status = foreground.wait(talk.pid, talk.pidfd, talk.master, watch)
        talk.reaped = True
        return status
    finally:
        talk.close()
