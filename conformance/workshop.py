"""Where a test works: a directory, a token, the runtime, and the containers that it makes.

As a context manager it ends all that it began, and fails when the runtime left something behind.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from conformance import config as configs
from conformance import processes, residue
from conformance.bundle import Bundle, place_probe
from conformance.container import Container
from conformance.evidence import Evidence
from conformance.interruption import Ended, watch
from conformance.runtime import DEADLINE, Runtime
from conformance.verdict import Failed, Hung

if TYPE_CHECKING:
    from conformance.config import Config
    from conformance.installed import Installed


#: Those that were opened and are yet to be closed.
OPEN: set[Workshop] = set()

#: Seconds that one command may take when the run is ended by a signal.
HASTE = 10.0


class Maker(Protocol):
    """The fixture ``container``: Workshop.container."""

    def __call__(self, *command: str, config: Config | None = None, id: str | None = None) -> Container: ...


class Workshop:
    """One for each test; a test with many rounds, such as one of hypothesis, opens one for each round."""

    def __init__(self, installed: Installed, evidence: Evidence | None = None, deadline: float = DEADLINE) -> None:
        self.evidence = evidence or Evidence()
        self.token = f"conformance-{secrets.token_hex(4)}"
        # Not below a directory of mode 700: ids of a user namespace must get through.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.token}-")).resolve()
        OPEN.add(self)
        self.folder.chmod(0o755)
        self.runtime = Runtime(installed, self.folder, self.token, self.evidence, deadline)
        self.containers: list[Container] = []
        self.numbers = itertools.count(1)
        #: What ends when the containers have gone, before anyone looks for what is left.
        self.held = contextlib.ExitStack()
        #: What became of clearing up after a test that had failed already.
        self.hung: Hung | None = None

    def new_id(self) -> str:
        return f"{self.token}-{next(self.numbers)}"

    def config(self, *command: str) -> Config:
        """The smallest config, whose process is the probe with ``command``."""
        return configs.minimal(*command, token=self.token)

    def bundle(self, config: Config | None = None) -> Bundle:
        """A bundle that nothing was created of, and whose config.json is yet to be written."""
        path = self.folder / f"bundle{next(self.numbers)}"
        return Bundle(path, config if config is not None else self.config(), self.evidence)

    def container(self, *command: str, config: Config | None = None, id: str | None = None) -> Container:
        """A container that is yet to be created, of a bundle of its own."""
        made = Container(
            self.runtime,
            self.bundle(config if config is not None else self.config(*command)),
            id if id is not None else self.new_id(),
        )
        self.containers.append(made)
        return made

    def host_probe(self) -> str:
        """A probe outside of every container, for hooks: its path on the host."""
        path = self.folder / "host-probe"
        if not path.exists():
            place_probe(path)
        return str(path)

    def nothing_left(self) -> None:
        """Fail unless every container has gone without a trace."""
        found = residue.wait(self.token, self.folder, self.runtime.root, self.containers)
        if found:
            raise Failed("there is still:\n" + "\n".join(found))

    def directory(self, name: str) -> Path:
        """An empty directory of the host's, for mounts and files."""
        path = self.folder / name
        path.mkdir()
        path.chmod(0o755)
        return path

    def finish(self, patience: float = residue.PATIENCE) -> list[str]:
        """Delete what exists; what is left behind or changed all the same, ``patience`` seconds later."""
        found = ["it was not looked at"]
        try:
            for container in self.containers:
                if container.exists:
                    container.delete("any", force=True)
            self.held.close()
            found = residue.wait(self.token, self.folder, self.runtime.root, self.containers, patience)
            for container in self.containers:
                found += [f"the bundle's {name} was changed" for name in container.bundle.changes()]
        finally:
            self.close(clean=not found)
        return found

    def close(self, *, clean: bool = False) -> None:
        """Clear away by force what is left, unless nothing is, and the directory."""
        if not clean:
            residue.clear(self.token, self.folder, self.containers)
        for container in self.containers:
            if container.watched is not None:
                container.watched.close()
        processes.reap()
        remove(self.folder)
        OPEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Ended):
            self.runtime.deadline = min(self.runtime.deadline, HASTE)
        try:
            found = self.finish(residue.PATIENCE if error is None else 0)
        except Failed as failure:
            if error is None:
                raise
            self.hung = failure if isinstance(failure, Hung) else None
            self.evidence.note("clearing up failed, too", str(failure))
            return
        if found and error is None:
            raise Failed("the runtime left behind:\n" + "\n".join(found))
        if found:
            self.evidence.note("left behind", "\n".join(found))


def close_all() -> None:
    """End what an interruption has kept from being ended."""
    for workshop in list(OPEN):
        workshop.close()


for _method in (Workshop.__init__, Workshop.__exit__, Workshop.close):
    watch.protect(_method)


def remove(folder: Path) -> None:
    """Remove a directory, whatever the modes in it; never across a mount."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(path, name)
            if not os.path.islink(inner) and stat.S_IMODE(os.lstat(inner).st_mode) & 0o700 != 0o700:
                os.chmod(inner, 0o700)
    shutil.rmtree(folder)
