"""The Python sandbox: from keyword arguments to a container that runs programs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.sandbox.aio import AsyncSandbox
    from pyrunc.sandbox.box import Sandbox
    from pyrunc.sandbox.launch import DEVNULL, PIPE, STDOUT
    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.result import Completed

_HOME = {
    "DEVNULL": "launch",
    "PIPE": "launch",
    "STDOUT": "launch",
    "AsyncSandbox": "aio",
    "Completed": "result",
    "Process": "process",
    "Sandbox": "box",
}


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'pyrunc.sandbox' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"pyrunc.sandbox.{module}"), name)
    globals()[name] = value
    return value


__all__ = ["DEVNULL", "PIPE", "STDOUT", "AsyncSandbox", "Completed", "Process", "Sandbox"]
