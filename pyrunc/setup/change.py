"""What a run of ``setup`` changes, first as texts, then on disk."""

from __future__ import annotations

import difflib

from pyrunc.errors import UsageError
from pyrunc.setup import containerd, crio, docker, file, podman, toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from pyrunc.setup.wish import Wish

ENGINES: dict[str, ModuleType] = {"podman": podman, "containerd": containerd, "docker": docker, "crio": crio}


class Change:
    """``before`` and ``after`` are texts of the file at ``path``, None where there is none.

    ``record`` and ``new_record``: the same of the file at ``record_path``, for an engine that needs one; else None.
    """

    __slots__ = ("after", "before", "new_record", "path", "record", "record_path")

    def __init__(self, path: str, record_path: str) -> None:
        self.path = path
        self.before = self.after = file.read(path)
        self.record_path = record_path
        self.record = self.new_record = file.read(record_path) if record_path else None

    @property
    def needed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """A unified diff, "" where nothing changes."""
        before, after = self.before or "", self.after or ""
        made, removed = self.before is None, self.after is None
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            "/dev/null" if made else self.path,
            "/dev/null" if removed else self.path,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def apply(self) -> None:
        """Write it, all or nothing.

        The record is there before what it is about, and goes after it: of a run that is killed in between, a later one
        knows that.
        """
        like = self.path if self.before is not None else ""
        ahead = self.needed and self.new_record is not None and self.new_record != self.record
        if ahead:
            file.replace(self.record_path, self.record, str(self.new_record), like=like)
        try:
            if self.before is not None and self.after is None:
                file.remove(self.path, self.before)
            elif self.after is not None and self.needed:
                file.replace(self.path, self.before, self.after)
        except BaseException:
            # An interruption can come when the file has been replaced already: then the record is right.
            if ahead and file.read(self.path) != self.after:
                if self.record is None:
                    file.remove(self.record_path, str(self.new_record))
                else:
                    file.replace(self.record_path, self.new_record, self.record)
            raise
        if self.new_record is None and self.record is not None:
            file.remove(self.record_path, self.record)


def plan(engine: str, wish: Wish, *, remove: bool = False) -> Change:
    """What is to be changed; reads files and writes none.

    Raises HostError where the configuration cannot be read or extended, UsageError for an unknown ``engine``.
    """
    if engine not in ENGINES:
        raise UsageError(f"{engine!r} is no engine that pyrunc knows", hint="choose " + ", ".join(ENGINES))
    module = ENGINES[engine]
    path = file.real(module.path(wish), wish.sysroot)
    change = Change(path, path + docker.RECORD if module is docker else "")
    base = module.without(change.before, path, change.record)
    if remove:
        change.after = base
        change.new_record = None
        return change
    change.after = module.within(base, path, wish)
    if module is docker and change.needed:
        change.new_record = docker.record(base, change.after)
    return change


def notes(engine: str, wish: Wish, change: Change, *, remove: bool) -> list[str]:
    """What remains to be done by hand after the change, in sentences."""
    module = ENGINES[engine]
    found: list[str] = [module.reload(wish, change.before or "", change.after or "")]
    if remove:
        return found
    if module is containerd and containerd.disabled(toml.parse(change.after or "", change.path)):
        found.append(
            f"the CRI plugin is switched off by disabled_plugins in {change.path}: only ctr can use it for now"
        )
    return [*found, *module.use(wish)]
