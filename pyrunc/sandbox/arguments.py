"""The arguments of ``Sandbox(...)``: read once, every problem told at once, nothing looked up on the host.

What comes out of here is checked and normal, so that ``spec`` only has to write it down.
"""

from __future__ import annotations

from pyrunc.sandbox import shares, values
from pyrunc.sandbox.problems import Problems, item
from pyrunc.sandbox.shares import Share

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import TypeAlias

    from pyrunc.spec.types import Rlimit

    Path: TypeAlias = "str | os.PathLike[str]"
    Size: TypeAlias = "int | str"
    Shared: TypeAlias = "Mapping[Path, Path | tuple[Path, str]]"

#: The word for a root file system made of the host's own programs.
HOST = "host"
#: The word for the limit of a box that is asked for none: it has one where the host lets it.
DEFAULT = "default"
DEFAULT_MEMORY = 1 << 30
DEFAULT_PIDS = 512
#: Of a private tmpfs without a size; tmpfs(5) would take half of the machine's memory.
DEFAULT_SIZE = "256m"
DEFAULT_USER = 1000
MAX_OUTPUT = 10 << 20


class Arguments:
    """What the box is to be; ``None`` stands for "not asked for".

    Sizes are text as tmpfs(5) takes it, ``memory`` and ``max_output`` bytes, ``cpus`` microseconds in every
    ``values.CPU_PERIOD``, ``timeout`` seconds.
    """

    __slots__ = (
        "cpus",
        "cwd",
        "debug",
        "defaults",
        "env",
        "gid",
        "hostname",
        "max_output",
        "memory",
        "network",
        "pids",
        "rlimits",
        "rootfs",
        "shares",
        "timeout",
        "tmp",
        "uid",
        "userns",
        "workspace",
        "writable",
    )

    rootfs: str  # HOST, or an absolute path
    writable: str | None  # the size of what the box may write to its root file system
    tmp: str | None  # the size of /tmp
    workspace: tuple[str, str] | None  # where, and its size
    shares: tuple[Share, ...]
    defaults: frozenset[str]  # of memory and pids, which was not said; it is None here
    memory: int | None
    pids: int | None
    cpus: int | None
    network: bool  # the host's
    uid: int
    gid: int
    env: dict[str, str | None]  # None: without this variable
    cwd: str | None
    hostname: str
    rlimits: tuple[Rlimit, ...]
    userns: bool
    debug: bool
    timeout: float | None
    max_output: int


def read(
    *,
    rootfs: Path = HOST,
    writable: bool | Size = False,
    tmp: bool | Size | None = True,
    workspace: Path | tuple[Path, Size] | None = None,
    files: Shared | None = None,
    mounts: Shared | None = None,
    memory: Size | None = DEFAULT,
    pids: int | str | None = DEFAULT,
    cpus: float | None = None,
    network: bool = False,
    user: int | str | tuple[int, int] = DEFAULT_USER,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    hostname: str = "sandbox",
    rlimits: Mapping[str, int | str | tuple[int | str, int | str]] | None = None,
    userns: bool = False,
    debug: bool = False,
    timeout: float | None = None,
    max_output: Size = MAX_OUTPUT,
) -> Arguments:
    """The arguments of a box; UsageError with a line for each that makes no sense.

    Paths inside the box are absolute; sizes are bytes or text like ``"64m"``, those of tmpfs also ``"10%"`` (of the
    machine's memory), and 256m where none is said.

    * ``rootfs``: a directory; a bundle, whose mounts, variables and working directory come with it; or ``"host"``:
      the host's programs in /usr and what they need.  Read-only, unless ``writable``: then writes go to memory and
      are forgotten.
    * ``tmp``: a /tmp of the box's own.  ``workspace``: an empty directory of the box's user, where programs start.
    * ``files`` and ``mounts``: paths of the host, files or directories, to paths inside; read-only, or ``(path,
      "rw")``, or ``(path, "cow")`` for a copy that only this box sees.  Owners and modes are those of the host.
    * ``memory`` (with swap), ``pids`` (at least 2: the box itself takes one), ``cpus``: limits; an ordinary user needs
      a cgroup that was given to it.  Unless they are None, memory is 1g and pids 512 where root has the controller;
      elsewhere pids is RLIMIT_NPROC where the box has a user namespace of its own (from Linux 5.14 on).
    * ``network``: the host's instead of none.  With it come the host's services on local addresses and its
      abstract Unix sockets.
    * ``user``: who programs in the box are.  For root's boxes that is a user of the host, too, unless ``userns``.
    * ``env``: more variables, None for one less.  ``rlimits``: like ``{"nofile": 4096, "cpu": (10, "unlimited")}``.
    * ``debug``: programs in the box may trace one another.
    * ``timeout`` (seconds) and ``max_output`` are of each run.
    """
    problems = Problems()
    take = problems.take
    made = Arguments()
    made.rootfs = take("rootfs", rootfs, _rootfs, HOST)
    made.writable = take("writable", writable, _optional_size, None)
    made.tmp = take("tmp", tmp, _optional_size, None)
    made.workspace = _workspace(problems, workspace)
    made.shares = shares.read(problems, files, mounts)
    made.defaults = frozenset(name for name, value in (("memory", memory), ("pids", pids)) if value == DEFAULT)
    made.memory = None if memory in (None, DEFAULT) else take("memory", memory, values.memory, 0)
    made.pids = None if pids in (None, DEFAULT) else take("pids", pids, values.processes, 0)
    made.cpus = None if cpus is None else take("cpus", cpus, values.quota, 0)
    made.network = take("network", network, values.flag, False)
    made.uid, made.gid = take("user", user, values.user, (DEFAULT_USER, DEFAULT_USER))
    made.env = environment(problems, env)
    made.cwd = None if cwd is None else take("cwd", cwd, values.box_path, "/")
    made.hostname = take("hostname", hostname, values.hostname, "")
    made.rlimits = _rlimits(problems, rlimits)
    made.userns = take("userns", userns, values.flag, False)
    made.debug = take("debug", debug, values.flag, False)
    made.timeout = None if timeout is None else take("timeout", timeout, values.seconds, 0.0)
    made.max_output = take("max_output", max_output, values.amount, 0)
    _check_places(problems, made)
    problems.finish()
    return made


def _rootfs(value: object) -> str:
    if isinstance(value, str) and value == HOST:
        return HOST
    path = values.absolute(value)
    if path == "/":
        raise ValueError(f'would show the box the whole host; name another directory, or "{HOST}"')
    return path


def _optional_size(value: object) -> str | None:
    if value is None or value is False:
        return None
    return DEFAULT_SIZE if value is True else values.size(value)


def _workspace(problems: Problems, value: object) -> tuple[str, str] | None:
    """``PATH``, ``(PATH, size)``, or ``PATH,size=SIZE`` as the annotation has it."""
    if value is None:
        return None
    path, size = value, None
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            problems.add("workspace", value, "expected a path inside the box, or (path, size)")
            return None
        path, size = value
    elif isinstance(value, str):
        head, comma, option = value.partition(",size=")
        path, size = (head, option) if comma else (value, None)
    before = len(problems.lines)
    place = problems.take("workspace", path, values.place, "")
    if "," in place:
        problems.add("workspace", value, "its path cannot contain a comma; its size is given as ,size=SIZE")
    found = DEFAULT_SIZE if size is None else problems.take("workspace", size, values.size, "")
    return None if len(problems.lines) > before else (place, found)


def environment(problems: Problems, given: object) -> dict[str, str | None]:
    """Variables that are set, or with None left out."""
    if given is None:
        return {}
    items = getattr(given, "items", None)  # os.environ is no dict
    if items is None:
        problems.add("env", given, "expected a dict of variables")
        return {}
    found: dict[str, str | None] = {}
    for key, value in items():
        variable = problems.take(item("env", key), key, values.variable, "")
        found[variable] = None if value is None else problems.take(item("env", key), value, values.text, "")
    return found


def _rlimits(problems: Problems, given: object) -> tuple[Rlimit, ...]:
    if given is None:
        return ()
    items = getattr(given, "items", None)
    if items is None:
        problems.add("rlimits", given, 'expected a dict like {"nofile": 1024}')
        return ()
    found: dict[str, Rlimit] = {}
    for name, value in items():
        try:
            limit = values.rlimit(values.text(name), value)
        except ValueError as error:
            problems.add(item("rlimits", name), value, str(error))
            continue
        if limit["type"] in found:
            problems.add(item("rlimits", name), value, f"{limit['type']} is there twice")
        found[limit["type"]] = limit
    return tuple(found.values())


def _check_places(problems: Problems, made: Arguments) -> None:
    """The box's own directories and what it is given must not be at one place."""
    taken: dict[str, str] = {}
    if made.tmp is not None:
        taken["/tmp"] = "the private /tmp (without it: tmp=None)"
    if made.workspace is not None:
        path = made.workspace[0]
        if path in taken:
            problems.add("workspace", path, f"is the place of {taken[path]} already")
        taken[path] = "workspace"
    shares.check(problems, made.shares, taken)
