"""Hands a descriptor to somebody who listens on a UNIX stream socket: a seccomp agent, a holder of pidfds."""

from __future__ import annotations

import _socket
import posix
from _struct import pack

from pyrunc.errors import HostError


def send_descriptor(path: str, data: bytes, fd: int, *, where: str, hint: str = "") -> None:
    """Connect to the socket at ``path`` and send ``data`` with the descriptor (SCM_RIGHTS, unix(7))."""
    peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        peer.connect(path)
        peer.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", fd))])
    except OSError as error:
        reason = posix.strerror(error.errno).lower() if error.errno else str(error)
        raise HostError(f"{path}: {reason}", where=where, hint=hint) from None
    finally:
        peer.close()
