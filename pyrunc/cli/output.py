"""Writing to standard output and error: whole texts, without the buffers of ``sys.stdout``.

``sys.stdout`` is None when the descriptor was closed, fails a second time at exit when a reader has gone, and
has its own idea of encodings; the output here is UTF-8, and file names go out as the bytes that they are.
"""

from __future__ import annotations

import posix

from pyrunc.errors import HostError


class ReaderGone(HostError):
    """Nobody reads standard output any more (``pyrunc list | head``): not worth a message."""


def out(text: str) -> None:
    """Write to standard output; raises HostError when that is closed or its disk is full."""
    try:
        _write(1, text)
    except BrokenPipeError:
        raise ReaderGone("nobody reads standard output") from None
    except OSError as error:
        raise HostError(f"cannot write standard output: {reason(error)}") from None


def err(text: str) -> None:
    """Write to standard error; where that is closed there is nobody to tell, nor another way to."""
    try:
        _write(2, text)
    except OSError:
        return


def reason(error: OSError) -> str:
    """The kernel's words as Go has them: podman and docker look for them in lower case."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def shown(path: str) -> str:
    """A path that cannot end a line, or talk to a terminal: its name is the choice of who runs in the container.

    The bytes of what is not printable, and of the backslash, as ``\\ooo``, as in /proc/self/mountinfo.
    """
    if path.isprintable() and "\\" not in path:
        return path
    return "".join([one if one.isprintable() and one != "\\" else _octal(one) for one in path])


def _octal(text: str) -> str:
    return "".join([f"\\{byte:03o}" for byte in text.encode("utf-8", "surrogateescape")])


def escaped(json: str) -> str:
    """JSON text whose strings may hold bytes that are not UTF-8 (as surrogates): these as ``\\udcXX``.

    JSON is UTF-8; Python's json package and os.fsencode make the same bytes of it again.
    """
    return json.encode("utf-8", "backslashreplace").decode()


def _write(fd: int, text: str) -> None:
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except BlockingIOError:  # somebody else's O_NONBLOCK on the same open file
            import select

            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
