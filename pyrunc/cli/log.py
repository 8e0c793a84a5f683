"""Log records: what ``--log``, ``--log-format`` and ``--debug`` mean.

Errors and warnings are written by the code below and nothing else: they must come out when a library cannot
be imported, and a failed ``state`` must not take 80 ms for an import.  The stream of debug records, with its
context, is structlog's; it ends in the same two renderings.

Engines parse the file, so a JSON record is exactly one object on one line, appended by one write(2): podman
decodes the whole file as one object, containerd takes the last line of level error.
"""

from __future__ import annotations

import posix
import time
from _json import encode_basestring_ascii

from pyrunc.cli import output
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.cli.commands import Value

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")


class Log:
    """Where records go: to the file of ``--log``, else to standard error."""

    __slots__ = ("_debug", "format", "path", "wanted")

    def __init__(self, options: Mapping[str, Value]) -> None:
        """Take the values of the global options; nothing is opened before there is something to write."""
        self.path = str(options["log"] or "")
        self.format = str(options["log-format"])
        self.wanted = bool(options["debug"])
        self._debug: Any = None

    def check(self) -> None:
        """Make the file of ``--log``, so that one that cannot be written is known before anything is done."""
        try:
            posix.close(self._open())
        except OSError as error:
            path, self.path = self.path, ""
            raise UsageError(f"--log {path}: {output.reason(error)}") from None

    def _open(self) -> int:
        return posix.open(self.path, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o644)

    def error(self, message: str) -> None:
        """Report why the command failed, to standard error in any case: conmon hands that to the user."""
        if self.path:
            self._append(render(self.format, "error", message))
        if self.path or self.format == "text":
            output.err("".join(f"pyrunc: {line}\n" for line in message.split("\n")))
        else:
            output.err(render(self.format, "error", message))

    def warning(self, message: str) -> None:
        """Say something that the caller should know although the command goes on."""
        if self.path:
            self._append(render(self.format, "warning", message))
        elif self.format == "text":
            output.err(f"pyrunc: warning: {message}\n")
        else:
            output.err(render(self.format, "warning", message))

    def debug(self, event: str, **context: object) -> None:
        """Record a step, if ``--debug`` was given."""
        if not self.wanted:
            return
        if self._debug is None:
            self._debug = self._structlog()
        self._debug.debug(event, **context)

    def _structlog(self) -> Any:
        from pyrunc.host import site

        site.add()
        import structlog

        def rendered(_logger: object, level: str, record: Mapping[str, object]) -> str:
            rest = {name: value for name, value in record.items() if name != "event"}
            return render(self.format, level, str(record["event"]), rest)

        return structlog.wrap_logger(_Writer(self), processors=[rendered], pid=posix.getpid())

    def _append(self, record: str) -> None:
        try:
            fd = self._open()
            try:
                posix.write(fd, record.encode("utf-8", "surrogateescape"))
            finally:
                posix.close(fd)
        except OSError as error:
            output.err(f"pyrunc: warning: cannot write the log {self.path}: {output.reason(error)}\n")


class _Writer:
    """What structlog hands finished records to."""

    __slots__ = ("log",)

    def __init__(self, log: Log) -> None:
        self.log = log

    def debug(self, record: str) -> None:
        if self.log.path:
            self.log._append(record)
        else:
            output.err(record)


def render(style: str, level: str, message: str, context: Mapping[str, object] | None = None) -> str:
    """One record with its newline, shaped as logrus shapes it; times are RFC 3339 in UTC."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    pairs = [(name, str(value)) for name, value in (context or {}).items()]
    # ASCII only, everything else escaped: valid JSON whatever bytes a file name brings in.
    quote = encode_basestring_ascii
    if style == "json":
        fields = [("level", level), ("msg", message), ("time", now), *pairs]
        return "{" + ",".join(f"{quote(name)}:{quote(value)}" for name, value in fields) + "}\n"
    fields = [("level", level), ("msg", message), *pairs]
    words = [f"{name}={value if value and PLAIN.issuperset(value) else quote(value)}" for name, value in fields]
    return " ".join([f'time="{now}"', *words]) + "\n"
