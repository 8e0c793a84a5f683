"""process: user, groups, capabilities, working directory, environment and the program itself.

runtime-spec config.md "Process" and "User".  The order matters: the bounding set can be cut only before
the user changes, and a directory may be reachable only before or only after it.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.plan.capabilities import mask, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Process

KEEP_GROUPS = "run.oci.keep_original_groups"


def adjust_oom(b: Builder) -> None:
    value = b.spec["process"].get("oomScoreAdj")
    if value is not None:
        b.on_parent("process.oomScoreAdj", "oom_score_adj", value)


def assume(b: Builder, process: Process, default_umask: int | None = None) -> None:
    """Become the process's user, in its directory, with everything but the final capabilities.

    Without ``default_umask`` the caller's stays, where the config has none.
    """
    user = process.get("user") or {}
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    if process.get("terminal"):
        b.on_container("process.terminal", "tty_stdio", uid)
    else:
        b.on_container("process.user.uid", "stdio_owner", uid)
    cwd = process["cwd"]
    b.on_container("process.cwd", "chdir", cwd, 1)
    bounding = mask((process.get("capabilities") or {}).get("bounding") or (), b.facts["last_cap"])
    b.on_container("process.capabilities.bounding", "bounding", bounding & _grantable(b, "bounding"))
    groups = tuple(user.get("additionalGids") or ())
    set_groups = 1
    if b.setgroups_denied:
        set_groups = 0
        if groups:
            b.problem(
                "process.user.additionalGids",
                "cannot be set: without newgidmap, the kernel denies setgroups in this user namespace",
            )
    if (b.spec.get("annotations") or {}).get(KEEP_GROUPS) == "1":
        set_groups = 0
    b.on_container("process.user", "ids", uid, gid, groups, set_groups)
    umask = user.get("umask", default_umask)
    if umask is not None:
        b.on_container("process.user.umask", "umask", umask)
    b.on_container("process.cwd", "chdir", cwd, 0)


def find(b: Builder, process: Process) -> None:
    """Look the program up as the user that will run it, in its directory."""
    b.on_container("process.args[0]", "find_executable", process["args"][0], search_path(process.get("env") or ()))


def search_path(env: Sequence[str]) -> tuple[str, ...]:
    """The directories of PATH; the last entry counts, as when each is set in turn.  None: none (as in runc)."""
    path = ""
    for entry in env:
        if entry.startswith("PATH="):
            path = entry[5:]
    # A directory relative to cwd, or an empty one, which means cwd, is no place to find programs (as in Go and runc).
    return tuple(part for part in path.split(":") if part.startswith("/"))


def home(b: Builder, process: Process) -> None:
    """Who has no HOME, or an empty one, gets that of the container's /etc/passwd, as with runc and crun.

    docker and buildah leave it to the runtime.
    """
    if not _has_home(settled(process.get("env") or ())):
        b.on_container("process.env", "home", (process.get("user") or {}).get("uid", 0))


def _has_home(env: Sequence[str]) -> bool:
    return any(entry.startswith("HOME=") and entry != "HOME=" for entry in env)


def capabilities(b: Builder, process: Process) -> None:
    sets: dict[str, list[str]] = process.get("capabilities") or {}  # type: ignore[assignment]
    last = b.facts["last_cap"]
    effective, permitted, inheritable, ambient = (
        mask(sets.get(name) or (), last) for name in ("effective", "permitted", "inheritable", "ambient")
    )
    # capabilities(7): ambient only where permitted and inheritable; the rest has been a warning (spec.checks).
    asked = effective | permitted | inheritable | mask(sets.get("bounding") or (), last)
    missing = asked & ~_grantable(b, "caps")
    if missing:
        # config.md "Linux Process": not an error, the caller may be restricted itself.
        reason = f"the caller lacks {', '.join(names(missing))} and cannot grant it; left out"
        b.warnings.append(Violation("process.capabilities", reason))
    effective, permitted, inheritable = (bits & ~missing for bits in (effective, permitted, inheritable))
    ambient &= permitted & inheritable
    b.on_container("process.capabilities", "caps", effective, permitted, inheritable, ambient)


def _grantable(b: Builder, fact: Literal["caps", "bounding"]) -> int:
    """What the process can have at most; in a user namespace of its own it starts with everything."""
    return -1 if "user" in b.namespaces else b.facts[fact]


def execute(b: Builder, process: Process, extra_env: Sequence[str]) -> None:
    if b.request["preserve_fds"]:
        b.on_container("", "preserve_fds", b.request["preserve_fds"])
    env = settled((*(process.get("env") or ()), *extra_env))
    env = tuple(entry for entry in env if entry != "HOME=")
    b.on_container("process.args", "execve", tuple(process["args"]), env)


def settled(env: Sequence[str]) -> tuple[str, ...]:
    """``env`` with each variable once: the last value counts, as when each is set in turn.

    docker names one twice that both --env-file and -e give; getenv would find the first (environ(7) leaves it open).
    What is no NAME=VALUE stays as it is.
    """
    found: dict[str, str] = {}
    for number, entry in enumerate(env):
        name, equals, _ = entry.partition("=")
        found[name if name and equals else f"={number}"] = entry
    return tuple(found.values())
