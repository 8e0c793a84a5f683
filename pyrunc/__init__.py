"""pyrunc: an OCI container runtime.  This is its public Python API, and nothing else.

    import pyrunc

    container = pyrunc.Container.create("job-1", "/path/to/bundle")
    container.start()
    status = container.wait()
    container.delete()

Everything is loaded on first use, because the command line imports this package, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container import Container, Process
    from pyrunc.errors import HostError, OpFailed, PyruncError, SpecError, StateError, UsageError, Violation

__version__ = "0.1.0"

_HOME = {
    "Container": "container",
    "Process": "container",
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
    "Container",
    "HostError",
    "OpFailed",
    "Process",
    "PyruncError",
    "SpecError",
    "StateError",
    "UsageError",
    "Violation",
    "__version__",
]
