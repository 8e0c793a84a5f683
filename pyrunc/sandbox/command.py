"""``pyrunc sandbox``: one program in a sandbox of its own, with the caller's streams; the options are its arguments."""

from __future__ import annotations

import _signal
import os
import select
import time

from pyrunc.errors import UsageError
from pyrunc.host import foreground
from pyrunc.sandbox import box, spec, values
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.shares import MODES
from pyrunc.sandbox.terminal import Terminal
from pyrunc.spec.jsontext import dumps_pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from pyrunc.sandbox.process import Process

_STOP = bytes((_signal.SIGTSTP,))
#: The exit status of timeout(1) when the time is over.
TIMED_OUT = 124

#: Options whose text is the argument of the same name.
_AS_THEY_ARE = ("rootfs", "workspace", "user", "cwd", "hostname")


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``Sandbox``, from the options of the command line; what is absent has its default."""
    found: dict[str, Any] = {name: given[name] for name in _AS_THEY_ARE if given[name] is not None}
    found.update({name: True for name in ("network", "userns", "debug") if given[_option(name)]})
    if given["writable"] is not False:
        found["writable"] = given["writable"]
    if given["tmp"] is not None:
        found["tmp"] = None if given["tmp"] == "none" else given["tmp"]
    if given["memory"] is not None:
        found["memory"] = None if given["memory"] == "none" else given["memory"]
    if given["pids"] is not None:
        found["pids"] = None if given["pids"] == "none" else _number("pids", given["pids"], int)
    if given["cpus"] is not None:
        found["cpus"] = _number("cpus", given["cpus"], float)
    found["files"] = dict(_share("file", text) for text in given["file"])
    found["mounts"] = dict(_share("mount", text) for text in given["mount"])
    found["env"] = dict(_pair("env", text) for text in given["env"])
    found["rlimits"] = {name: _limits(text) for name, text in (_pair("rlimit", text) for text in given["rlimit"])}
    return found


def _option(argument: str) -> str:
    """--debug is what every command has for its log."""
    return "allow-ptrace" if argument == "debug" else argument


def run(
    given: dict[str, Any], argv: Sequence[str], *, root: str, cgroup_manager: str, warn: Callable[[str], None]
) -> int:
    """The program's exit status: 128+N for a signal, 124 when its time was over."""
    timeout = None
    if given["timeout"] is not None:
        timeout = named("timeout", _number("timeout", given["timeout"], float), values.seconds)
    if not argv:
        raise UsageError("no command is given", hint="pyrunc sandbox [options] -- command [argument...]")
    terminal = Terminal()
    terminal.await_foreground()
    # What comes before the program runs is for the program.
    with foreground.Wakeup(foreground.forwarded()) as wakeup, terminal:
        deadline = None if timeout is None else time.monotonic() + timeout
        with box.Sandbox(root=root, cgroup_manager=cgroup_manager, warn=warn, **arguments(given)) as made:
            process = made.popen(argv, stdin=0, stdout=1, stderr=2)
            if not _attend(process, wakeup, terminal, deadline):
                made.kill()
                return TIMED_OUT
            status = process.collect()
            return status if status >= 0 else 128 - status


def _attend(process: Process, wakeup: foreground.Wakeup, terminal: Terminal, deadline: float | None) -> bool:
    """Pass signals on until the program has ended; False when its time was over before."""
    poller = select.poll()
    poller.register(process.fileno(), select.POLLIN)
    poller.register(wakeup.fd, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = [fd for fd, _ in poller.poll(left)]
        numbers = wakeup.numbers()
        if _signal.SIGTSTP in numbers:
            numbers = numbers.replace(_STOP, b"") + terminal.stop(process, wakeup)
        for number in numbers:
            process.send_signal(number, group=terminal.is_of_keyboard(number))
        if process.fileno() in ready:
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


def config(given: dict[str, Any], argv: Sequence[str], *, root: str, cgroup_manager: str) -> str:
    """The config.json of the box that these options ask for, with the program in it; nothing is made but what all
    boxes share."""
    made = box.configuration(box.read(arguments(given)), root, cgroup_manager)
    if argv:
        made = {**made, "process": spec.process(made, argv)}
    return dumps_pretty(made) + "\n"


def _share(option: str, text: str) -> tuple[str, tuple[str, str]]:
    """SOURCE:DESTINATION[:MODE]"""
    source, colon, place = text.partition(":")
    place, _, mode = place.partition(":")
    if not (source and colon and place) or (mode and mode not in MODES):
        _refuse(option, text, f"expected SOURCE:DESTINATION or SOURCE:DESTINATION:MODE, MODE being {', '.join(MODES)}")
    return os.path.abspath(source), (place, mode or "ro")


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        _refuse(option, text, "expected NAME=VALUE")
    return name, value


def _limits(text: str) -> tuple[int | str, int | str]:
    soft, colon, hard = text.partition(":")
    return _limit(soft), _limit(hard if colon else soft)


def _limit(text: str) -> int | str:
    return text if text == "unlimited" else int(_number("rlimit", text, int))


def _number(option: str, text: str, kind: type[int | float]) -> float:
    # Not what int and float take beyond it: "1_0", " 1", "nan", digits of any script.
    if not (text.isascii() and text.replace(".", "", 1 if kind is float else 0).isdigit() and len(text) < 20):
        _refuse(option, text, f"expected {'a' if kind is float else 'a whole'} number, at least 0")
    return kind(text)


def _refuse(option: str, text: str, reason: str) -> NoReturn:
    raise UsageError(f"--{option} {text!r}: {reason}")
