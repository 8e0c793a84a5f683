"""A plan as text and as JSON: what ``pyrunc plan`` prints.  Never on the path that starts containers."""

from __future__ import annotations

from pyrunc.plan import kernel, ops
from pyrunc.plan.capabilities import names as capability_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.plan.builder import Plan
    from pyrunc.plan.ops import Op


def _constants(prefix: str, strip: str = "") -> list[tuple[int, str]]:
    found = [
        (value, name.removeprefix(strip))
        for name, value in vars(kernel).items()
        if name.startswith(prefix) and isinstance(value, int)
    ]
    return sorted(found, key=lambda pair: (-pair[0].bit_count(), pair[0]))


def _flags(value: int, table: list[tuple[int, str]], zero: str = "0") -> str:
    """The names of the bits, ``A|B``; what has no name stays a number."""
    if not value:
        return zero
    found = []
    for bits, name in table:
        if bits and value & bits == bits:
            found.append(name)
            value &= ~bits
    if value:
        found.append(hex(value))
    return "|".join(found)


def _named(values: dict[str, int]) -> Callable[[int], str]:
    by_value = {value: name for name, value in values.items()}
    return lambda value: by_value.get(value, str(value))


_NAMESPACES = [(flag, flag_name) for flag_name, flag in
               ((f"CLONE_NEW{n.upper()}", getattr(kernel, f"CLONE_NEW{n.upper()}"))
                for n in ("time", "ns", "cgroup", "uts", "ipc", "user", "pid", "net"))]  # fmt: skip
_TARGET = [
    (ops.TARGET_NO_SYMLINKS, "no-symlinks"),
    (ops.TARGET_ALLOW_PROC, "allow-proc"),
    (ops.TARGET_OPTIONAL, "optional"),
    (ops.TARGET_NOT_ROOT, "not-root"),
]
_CREATE = {"nothing": ops.CREATE_NOTHING, "directory": ops.CREATE_DIR, "file": ops.CREATE_FILE,
           "like-source": ops.CREATE_LIKE}  # fmt: skip
_SECCOMP = [(bit, name) for name, bit in kernel.SECCOMP_FLAGS.items()]
_SECCOMP.append((kernel.SECCOMP_FILTER_FLAG_NEW_LISTENER, "SECCOMP_FILTER_FLAG_NEW_LISTENER"))
_TYPES = {kernel.S_IFIFO: "fifo", kernel.S_IFCHR: "char", kernel.S_IFBLK: "block"}


def _mount_attr(value: int) -> str:
    # The access time modes are a field: all of its bits together mean "clear whatever is there".
    table = [(kernel.MOUNT_ATTR__ATIME, "MOUNT_ATTR__ATIME"), *_constants("MOUNT_ATTR_")]
    return _flags(value, list(dict.fromkeys(table)))


#: The third part of an argument in ops -> how its value is spelled out.
FORMATS: dict[str, Callable[[int], str]] = {
    "open": lambda value: _flags(value, _constants("O_"), "O_RDONLY"),
    "open_tree": lambda value: _flags(value, _constants("OPEN_TREE_") + _constants("AT_")),
    "namespace": lambda value: _flags(value, _NAMESPACES),
    "clone": lambda value: _flags(value, _NAMESPACES),
    "mount": lambda value: _flags(value, _constants("MS_")),
    "mount_attr": _mount_attr,
    "octal": lambda value: f"{value:04o}",
    "mknod": lambda value: f"{_TYPES.get(value & 0o170000, '?')}:{value & 0o7777:04o}",
    "target": lambda value: _flags(value, _TARGET, "none"),
    "create": _named(_CREATE),
    "rlimit": _named(kernel.RLIMITS),
    "caps": lambda value: ",".join(capability_names(value)) or "none",
    "seccomp": lambda value: _flags(value, _SECCOMP),
}

_SLOTS = {ops.SLOT_ROOT: "root", ops.SLOT_PROC: "proc", ops.SLOT_NULL: "null", ops.SLOT_MASK: "mask",
          ops.SLOT_FIFO: "fifo", ops.SLOT_CGROUP: "cgroup", ops.SLOT_TTY: "tty", -1: "none"}  # fmt: skip


def plain(op: Op) -> dict[str, Any]:
    """The arguments for a program: strings, numbers and lists as they are, flags and slots by name."""
    shape = (ops.INIT if op.name in ops.INIT else ops.RUNTIME)[op.name].split()
    found: dict[str, Any] = {}
    for argument, value in zip(shape, op.args, strict=True):
        spec = argument.split(":")
        if len(spec) > 2 and spec[1] == "v":
            found[spec[0]] = [FORMATS[spec[2]](item) for item in value]  # type: ignore[union-attr,arg-type]
        elif len(spec) > 2 or spec[1] in "nb":
            found[spec[0]] = _value(spec, value)
        else:
            found[spec[0]] = list(value) if isinstance(value, tuple) else value
    return found


def arguments(op: Op) -> list[tuple[str, str]]:
    """(name, value spelled out) of each argument, in order."""
    shape = (ops.INIT if op.name in ops.INIT else ops.RUNTIME)[op.name].split()
    return [(spec.split(":")[0], _value(spec.split(":"), value)) for spec, value in zip(shape, op.args, strict=True)]


def _value(spec: list[str], value: Any) -> str:
    kind = spec[1]
    table = spec[2] if len(spec) > 2 else ""
    if kind == "n":
        return "@" + _SLOTS.get(value, str(value))
    if table:
        return "[" + ", ".join(map(FORMATS[table], value)) + "]" if kind == "v" else FORMATS[table](value)
    if kind == "b":
        return f"{len(value)} bytes" if value else "-"
    if kind == "v":
        return "[" + ", ".join(map(str, value)) + "]"
    if kind == "l":
        return "[" + ", ".join(map(quote, value)) + "]"
    return quote(value) if kind == "s" else str(value)


def quote(text: str) -> str:
    """A string as in JSON, so that a newline or a quote in it cannot be mistaken for the plan's own."""
    from pyrunc.spec.jsontext import dumps

    return dumps(text)


def stages(plan: Plan) -> list[str]:
    """Who executes each op: "runtime" (pyrunc), "host" (pyrunc-init before the clone) or "container"."""
    found = []
    cloned = False
    for op in plan.ops:
        found.append("runtime" if op.name in ops.RUNTIME else "container" if cloned else "host")
        cloned = cloned or op.name == "clone"
    return found


def text(plan: Plan) -> str:
    """One line an op: number, stage, operation with its arguments, and the config path behind ``#``."""
    lines = []
    for number, (op, stage) in enumerate(zip(plan.ops, stages(plan), strict=True), 1):
        words = " ".join((op.name, *(f"{name}={value}" for name, value in arguments(op))))
        lines.append(f"{number:4} {stage:9} {words}" + (f"  # {op.where}" if op.where else ""))
    return "\n".join(lines) + "\n"


def document(plan: Plan) -> dict[str, Any]:
    """The same as JSON: ``{"version", "ops": [{"stage", "op", "arguments", "where"}]}`` (schemas/plan.json)."""
    return {
        "version": 1,
        "ops": [
            {"stage": stage, "op": op.name, "arguments": plain(op), "where": op.where}
            for op, stage in zip(plan.ops, stages(plan), strict=True)
        ],
    }
