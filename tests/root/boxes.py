"""Boxes as plain bundles: the config that the sandbox would make, saved, and run by a runtime like any other."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pyrunc.sandbox import arguments, base, spec
from tests.support.command import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Boxes:
    """Makes and runs boxes for the caller ``uid:gid``; ``root`` keeps their state and the skeleton of the host."""

    def __init__(self, runtime: Path, root: Path, scratch: Path, ids: Callable[[], str]) -> None:
        self.runtime = runtime
        self.root = root
        self.scratch = scratch
        self.ids = ids

    def config(self, *argv: str, **given: Any) -> dict[str, Any]:
        """The config of a box whose process is ``argv``."""
        wanted = arguments.read(**given)
        found = base.find(wanted, str(self.root))
        made: Any = spec.build(wanted, found, uid=os.geteuid(), gid=os.getegid())
        made["process"] = spec.process(made, argv)
        copy: dict[str, Any] = json.loads(json.dumps(made))
        return copy

    def run(self, *argv: str, status: int | None = 0, runtime: Path | None = None, **given: Any) -> Result:
        """Run ``argv`` in a box of its own."""
        return self.run_config(self.config(*argv, **given), status=status, runtime=runtime)

    def run_config(self, config: dict[str, Any], *, status: int | None = 0, runtime: Path | None = None) -> Result:
        name = self.ids()
        folder = self.scratch / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        # A root of its own for another runtime: its state is no business of ours.
        root = self.root if runtime is None else self.scratch / "other"
        return run(runtime or self.runtime, "--root", root, "run", "--bundle", folder, name, status=status)
