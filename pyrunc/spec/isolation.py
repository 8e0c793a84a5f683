"""The io.pyrunc annotations, and the global flags that stand for them: private state over shared input.

What their values look like, and what cannot be asked of a given config, live here; what they do is the plan's
business.  ``schemas/isolation.json`` says the syntax again, for other programs.  A config without such an annotation
never imports this.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, Violation
from pyrunc.spec import paths
from pyrunc.spec.jsontext import dumps
from pyrunc.spec.mount_checks import is_bind, normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypedDict

    from pyrunc.spec.types import Mount, Spec

    class Tmpfs(TypedDict):
        """``where`` is the place in the config, or the flag; ``size`` is what tmpfs(5) takes, "" for its default."""

        where: str
        size: str

    class Workspace(Tmpfs):
        path: str  # absolute and normal, or the word cwd: process.cwd

    class Cow(TypedDict):
        where: str
        destinations: tuple[str, ...]  # absolute and normal

    class Isolation(TypedDict, total=False):
        """What is asked for; a key that is absent is not."""

        tmp: Tmpfs
        workspace: Workspace
        rootfs: Tmpfs
        cow: Cow


#: All keys of config.json that begin with it are pyrunc's own.
PREFIX = "io.pyrunc."

TMP = "io.pyrunc.tmp"
WORKSPACE = "io.pyrunc.workspace"
ROOTFS = "io.pyrunc.rootfs"
COW = "io.pyrunc.cow"

#: key -> (the global flag that stands for it, what its value looks like)
KEYS = {
    TMP: ("--private-tmp", "private[,size=SIZE]"),
    WORKSPACE: ("--workspace", "PATH[,size=SIZE] or cwd[,size=SIZE]"),
    ROOTFS: ("--ephemeral-rootfs", "ephemeral[,size=SIZE]"),
    COW: ("--cow", "DEST[:DEST...]"),
}

#: The word that the value of a key begins with.
WORDS = {TMP: "private", ROOTFS: "ephemeral"}
CWD = "cwd"

#: Unit of a size -> how many digits may stand before it: the kernel counts bytes in 64 bits, and wraps silently.
DIGITS = {"": 18, "k": 15, "m": 12, "g": 9, "%": 3}

_KERNELS = ("/proc", "/sys")


def read(annotations: Mapping[str, str], flags: Mapping[str, str]) -> Isolation:
    """What a container's valid ``annotations`` and ``flags`` (keys are those of annotations) ask for.

    An annotation wins over the flag of the same kind.
    """
    found: Isolation = {}
    asked = _asked(annotations, flags)
    if TMP in asked:
        where, value = asked[TMP]
        found["tmp"] = {"where": where, "size": _size(value)}
    if WORKSPACE in asked:
        where, value = asked[WORKSPACE]
        path = value.partition(",")[0]
        path = path if path == CWD else normal(path)
        found["workspace"] = {"where": where, "size": _size(value), "path": path}
    if ROOTFS in asked:
        where, value = asked[ROOTFS]
        found["rootfs"] = {"where": where, "size": _size(value)}
    if COW in asked:
        where, value = asked[COW]
        found["cow"] = {"where": where, "destinations": tuple([normal(path) for path in value.split(":")])}
    return found


def wanted(spec: Spec, flags: Mapping[str, str]) -> Isolation:
    """``read`` for a valid config; SpecError where it cannot have what the flags say."""
    annotations = spec.get("annotations", {})
    if flags:
        found = violations(annotations, spec, flags)
        if found:
            raise SpecError(found)
    return read(annotations, flags)


def violations(annotations: Mapping[str, str], spec: Spec, flags: Mapping[str, str] | None = None) -> list[Violation]:
    """Everything that is wrong with what is asked for, in no particular order."""
    return [*syntax(annotations, flags or {}), *conflicts(annotations, spec, flags or {})]


def syntax(annotations: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Iterator[Violation]:
    """Keys that do not exist, and malformed values."""
    for key in annotations:
        if key.startswith(PREFIX) and key not in KEYS:
            yield Violation(paths.join("annotations", key), _unknown(key))
    for key, (where, value) in _asked(annotations, flags or {}).items():
        for problem in _problems(key, value):
            yield Violation(where, problem)


def conflicts(
    annotations: Mapping[str, str], spec: Spec, flags: Mapping[str, str] | None = None
) -> Iterator[Violation]:
    """What is well-formed, but impossible in this config or beside one another; what is malformed is left out."""
    asked = _asked(annotations, flags or {})
    yield from _cut_off(annotations)
    where, value = asked.get(COW, ("", ""))
    copied = [normal(path) for path in value.split(":") if not _path_problem(path)]
    if WORKSPACE in asked:
        yield from _workspace_conflicts(asked, copied, spec)
    mounts = _mounted(spec) if copied else {}
    for index, destination in enumerate(copied):
        if destination in copied[:index]:
            yield Violation(where, f"{dumps(destination)} is there twice")
            continue
        problem = _not_copyable(destination, mounts)
        if problem:
            yield Violation(where, problem)


def flag_problem(key: str, value: str) -> str | None:
    """What is wrong with the value that a flag gives to ``key``, None if nothing is."""
    return "; ".join(_problems(key, value)) or None


def _asked(annotations: Mapping[str, str], flags: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """key -> (where it comes from, value), as written."""
    found = {}
    for key, (flag, _) in KEYS.items():
        if key in annotations:
            found[key] = (paths.join("annotations", key), annotations[key])
        elif key in flags:
            found[key] = (flag, flags[key])
    return found


def _size(value: str) -> str:
    return value.partition(",")[2].removeprefix("size=").lower()


def _unknown(key: str) -> str:
    import difflib

    names = {**{key.removeprefix(PREFIX): key for key in KEYS}, **{flag[2:]: key for key, (flag, _) in KEYS.items()}}
    close = difflib.get_close_matches(key.removeprefix(PREFIX).lower(), names, n=1)
    suggestion = f" (did you mean {names[close[0]]}?)" if close else ""
    return f"unknown{suggestion}; there are {', '.join(KEYS)}"


def _problems(key: str, value: str) -> Iterator[str]:
    if key == COW:
        for path in value.split(":"):
            problem = _path_problem(path)
            if problem:
                yield problem if value else f"expected {KEYS[key][1]}, got {dumps(value)}"
        return
    head, comma, option = value.partition(",")
    if key in WORDS:
        if head != WORDS[key]:
            yield f"expected {KEYS[key][1]}, got {dumps(value)}"
    elif not head.startswith("/"):
        if head != CWD:
            yield f"{dumps(head)} is neither {CWD} nor an absolute path"
    else:
        problem = _path_problem(head)
        if problem:
            yield problem
    if comma:
        problem = _option_problem(option)
        if problem:
            yield problem


def _option_problem(option: str) -> str:
    name, equals, size = option.partition("=")
    if name != "size" or not equals:
        return f"expected size=SIZE, got {dumps(option)}"
    digits = size.rstrip("kKmMgG%")
    unit = size[len(digits) :].lower()
    if unit not in DIGITS or not (digits.isascii() and digits.isdecimal()) or digits[0] == "0":
        # To the kernel, 0 is no limit at all, and a leading 0 makes the number octal.
        return f"{dumps(size)} is no size; expected digits, the first from 1 to 9, with an optional k, m, g or %"
    if len(digits) > DIGITS[unit]:
        return f"{dumps(size)} is too large a size"
    return ""


def _path_problem(path: str) -> str:
    """Why nothing of a container's own can be at ``path``; "" if it can."""
    if not path.startswith("/"):
        return f"{dumps(path)} is not an absolute path"
    if ".." in path.split("/"):
        return f"{dumps(path)} contains .."
    place = normal(path)
    if place == "/":
        return f"{dumps(path)} is the container's root directory"
    for top in _KERNELS:
        if place == top or place.startswith(top + "/"):
            return f"{dumps(path)} is in {top}, where everything is the kernel's"
    return ""


def _cut_off(annotations: Mapping[str, str]) -> Iterator[Violation]:
    """A size that has come to stand alone: podman 4 reads the values of --annotation as CSV."""
    size = annotations.get("size")
    for key in (TMP, WORKSPACE, ROOTFS):
        value = annotations.get(key, ",")
        if size is not None and "," not in value:
            quoted = f"podman takes it in quotes: --annotation '\"{key}={value},size={size}\"'"
            yield Violation(paths.join("annotations", "size"), f"cut from {key} at its comma; {quoted}")
            return


def _workspace_conflicts(asked: Mapping[str, tuple[str, str]], copied: list[str], spec: Spec) -> Iterator[Violation]:
    where, value = asked[WORKSPACE]
    path = value.partition(",")[0]
    if path == CWD:
        path = spec["process"]["cwd"]
        if not path.startswith("/"):
            return  # that is a violation of its own
        problem = _path_problem(path)
        if problem:
            yield Violation(where, f"{CWD} means process.cwd, but {problem}")
            return
    elif _path_problem(path):
        return
    path = normal(path)
    if path == "/tmp" and TMP in asked:
        yield Violation(where, f"{dumps(path)} is private by {asked[TMP][0]} already")
    if path in copied:
        yield Violation(where, f"{dumps(path)} is copy-on-write by {asked[COW][0]} already")


def _mounted(spec: Spec) -> dict[str, tuple[int, Mount]]:
    """Normal destination -> index and mount of the last one there; what only changes a mount is left out."""
    found = {}
    for index, mount in enumerate(spec.get("mounts", ())):
        if "remount" not in mount.get("options", ()) and (is_bind(mount) or mount.get("type")):
            found[normal(mount["destination"])] = (index, mount)
    return found


def _not_copyable(destination: str, mounts: Mapping[str, tuple[int, Mount]]) -> str:
    """Why the mount at ``destination`` cannot be copy-on-write; "" if it can."""
    shown = dumps(destination)
    if destination not in mounts:
        binds = [dumps(place) for place, (_, mount) in mounts.items() if is_bind(mount)]
        others = f"those are at {', '.join(binds)}" if binds else "there is none"
        return f"{shown} is not the destination of a bind mount; {others}"
    index, mount = mounts[destination]
    if not is_bind(mount):
        return f"{shown} is the destination of mounts[{index}], which is no bind mount"
    options = [option.partition("=")[0] for option in mount.get("options", ())]
    if "idmap" in options or "ridmap" in options or mount.get("uidMappings") or mount.get("gidMappings"):
        return f"{shown} is the destination of mounts[{index}], which is id-mapped, and so cannot be copy-on-write"
    if "copy-symlink" in options:
        return f"{shown} is the destination of mounts[{index}], whose copy-symlink excludes copy-on-write"
    return ""
