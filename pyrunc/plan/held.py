"""The plan of a sandbox: a first process that holds the namespaces, and the programs that it starts.

What all of them have in common (user, capabilities, filter, namespaces, cgroups) the first process takes on once, and
they inherit it.  What is left to each is a short program of its own.
"""

from __future__ import annotations

from pyrunc.plan import hooks, identity, limits, security
from pyrunc.plan.kernel import RLIMITS
from pyrunc.plan.ops import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Process

#: Limits on what the first process itself uses.  It lives as long as the sandbox, so they are for each program only.
_OWN = frozenset(("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA"))
#: It takes six descriptors at a time, and keeps one for each program that runs.
_LEAST_DESCRIPTORS = 256

_S_IFREG = 0o100000
_S_IFDIR = 0o040000


def first_process(b: Builder) -> None:
    """Become the process of the config, but for its program."""
    if not b.new("pid"):
        b.problem("linux.namespaces", "a sandbox needs a pid namespace of its own: it ends all that runs in it")
    process = b.spec["process"]
    if process.get("terminal"):
        b.problem("process.terminal", "the first process of a sandbox has none")
    for index, limit in enumerate(process.get("rlimits") or ()):
        where = f"process.rlimits[{index}]"
        if limit["type"] == "RLIMIT_NOFILE":
            b.on_container(where, "descriptors", limits.signed(max(limit["hard"], _LEAST_DESCRIPTORS)))
        elif limit["type"] not in _OWN:
            values = RLIMITS[limit["type"]], limits.signed(limit["soft"]), limits.signed(limit["hard"])
            b.on_container(where, "rlimit", *values)
    limits.apply(b, {**process, "rlimits": []})
    identity.assume(b, process, default_umask=0o022)
    security.before_ready(b, process)
    security.before_execve(b, process)
    hooks.start_container(b)
    # What it starts has the same user, and could trace it otherwise.  A change of the user has set this anew.
    b.on_container("", "dumpable", 0)
    b.on_container("", "hold")


def program(process: Process, *, null: bool = False) -> list[Op]:
    """What a new process of the sandbox does to become ``process``: its limits, directory, environment and program.

    ``null``: some of its stdio is the host's null device, and is to be its own.
    """
    return [
        Op("setsid", (), ""),
        *([Op("stdio_owner", ((process.get("user") or {}).get("uid", 0),), "")] if null else ()),
        *_limits(process),
        Op("chdir", (process["cwd"], 0), "cwd"),
        Op("find_executable", (process["args"][0], identity.search_path(process.get("env") or ())), "argv[0]"),
        Op("execve", (tuple(process["args"]), tuple(process.get("env") or ())), "argv"),
    ]


def _limits(process: Process) -> list[Op]:
    found = []
    for limit in process.get("rlimits") or ():
        values = RLIMITS[limit["type"]], limits.signed(limit["soft"]), limits.signed(limit["hard"])
        found.append(Op("rlimit", values, "rlimits"))
    return found


def opening(cwd: str, path: str, flags: int, mode: int = 0, *, directory: bool = False) -> list[Op]:
    """What a new process of the sandbox does to hand over a file, or a directory to be listed."""
    kind = _S_IFDIR if directory else _S_IFREG
    return [
        Op("chdir", (cwd, 0), "cwd"),
        Op("umask", (0,), ""),
        Op("send_file", (path, flags, mode, kind), "path"),
    ]
