"""What a command takes from its caller: descriptors, the terminal, the user, socket activation."""

from __future__ import annotations

import posix

from pyrunc.errors import HostError, UsageError


def check_terminal(terminal: bool, console_socket: str | None, *, here: bool) -> None:
    """The three ways in which a terminal and its console socket do not fit; runc's words."""
    if terminal and not here and not console_socket:
        raise UsageError(
            "cannot allocate tty if pyrunc will detach without setting console socket",
            where="process.terminal",
            hint="give --console-socket, or set process.terminal to false",
        )
    if console_socket and (here or not terminal):
        raise UsageError(
            "cannot use console socket if pyrunc will not detach or allocate tty",
            where="--console-socket",
            hint="it is for a detached container with process.terminal",
        )


def check_descriptors(count: int) -> None:
    """Descriptors 3 … 2+count are open; a gap would hand something else to the container later."""
    for fd in range(3, 3 + count):
        try:
            posix.fstat(fd)
        except OSError:
            raise UsageError(
                f"--preserve-fds: file descriptor {fd} is not open", hint=f"3 to {2 + count} are to be passed on"
            ) from None


def listen_fds(preserve: int) -> tuple[list[str], int]:
    """Socket activation (sd_listen_fds(3)): what goes into the environment, and how many descriptors in all.

    As in runc, the caller's sockets come first and are addressed to pid 1; ``preserve`` more follow.  A LISTEN_PID
    of somebody else means that they were never for us.
    """
    environment = posix.environ
    count = environment.get(b"LISTEN_FDS", b"").decode("ascii", "replace")
    ours = environment.get(b"LISTEN_PID", b"") == b"%d" % posix.getpid()
    if not (ours and count.isascii() and count.isdigit() and int(count)):
        return [], preserve
    env = [f"LISTEN_FDS={count}", "LISTEN_PID=1"]
    names = environment.get(b"LISTEN_FDNAMES")
    if names:
        env.append("LISTEN_FDNAMES=" + names.decode("utf-8", "surrogateescape"))
    return env, int(count) + preserve


def terminal_size() -> tuple[int, int] | None:
    """Rows and columns of the caller's terminal, whichever of its stdio that is; None without one."""
    for fd in range(3):
        try:
            size = posix.get_terminal_size(fd)
        except OSError:
            continue
        return size.lines, size.columns
    return None


def owner() -> str:
    """The name of the user that creates a container, as ``list`` shows it; ``#UID`` without a name."""
    uid = posix.getuid()
    return "root" if uid == 0 else _name(uid)


def _name(uid: int) -> str:
    # A look-up in the file alone: NSS would load libraries and may ask the network.
    try:
        with open("/etc/passwd", "rb") as file:
            for line in file:
                fields = line.split(b":")
                if len(fields) > 2 and fields[2] == b"%d" % uid:
                    return fields[0].decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return f"#{uid}"
    except OSError as error:
        raise HostError(posix.strerror(error.errno or 0).lower(), where="/etc/passwd") from None
    return f"#{uid}"
