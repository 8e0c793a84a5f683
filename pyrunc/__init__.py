"""pyrunc: an OCI container runtime.  This is its public Python API, and nothing else.

    import pyrunc

    container = pyrunc.Container.create("job-1", "/path/to/bundle")
    container.start()
    status = container.wait()
    container.delete()

    with pyrunc.Sandbox(workspace="/work", memory="256m", timeout=10) as box:
        result = box.run(["python3", "-c", "print(6 * 7)"])

Everything is loaded on first use, because the command line imports this package, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container import Container, Process
    from pyrunc.errors import (
        HostError,
        OpFailed,
        ProgramFailed,
        PyruncError,
        SpecError,
        StateError,
        UsageError,
        Violation,
    )
    from pyrunc.sandbox.aio import AsyncSandbox
    from pyrunc.sandbox.box import Sandbox
    from pyrunc.sandbox.launch import DEVNULL, PIPE, STDOUT
    from pyrunc.sandbox.result import Completed

__version__ = "0.1.0"

_HOME = {
    "DEVNULL": "sandbox.launch",
    "PIPE": "sandbox.launch",
    "STDOUT": "sandbox.launch",
    "AsyncSandbox": "sandbox.aio",
    "Completed": "sandbox.result",
    "Container": "container",
    "Process": "container",
    "ProgramFailed": "errors",
    "Sandbox": "sandbox.box",
    "HostError": "errors",
    "OpFailed": "errors",
    "PyruncError": "errors",
    "SpecError": "errors",
    "StateError": "errors",
    "UsageError": "errors",
    "Violation": "errors",
}


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'pyrunc' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"pyrunc.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AsyncSandbox",
    "Completed",
    "Container",
    "HostError",
    "OpFailed",
    "Process",
    "ProgramFailed",
    "PyruncError",
    "Sandbox",
    "SpecError",
    "StateError",
    "UsageError",
    "Violation",
    "__version__",
]
