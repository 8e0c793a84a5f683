"""Limits of containers: many in one container, and what the files of its cgroups say while it is there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from conformance import cgroup, config
from conformance.support import refusal
from conformance.verdict import Broken, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conformance.container import Container
    from conformance.workshop import Workshop

#: Paths below linux.resources -> values.
Wish = dict[str, Any]

W = TypeVar("W")
R = TypeVar("R")


class Files:
    """The texts of the files of a container's cgroups, stripped, as they were when this was made."""

    def __init__(self, pid: int) -> None:
        self.texts: dict[Path, str] = {}
        try:
            self.folders = cgroup.of(pid)
        except (FileNotFoundError, ProcessLookupError):
            raise Broken(f"the container's process {pid} is gone, before anyone looked at its cgroups") from None
        for folder in set(self.folders.values()):
            for file in folder.iterdir():
                # Some files can only be written to, and some say that there is nothing to tell.
                with contextlib.suppress(OSError):
                    if file.is_file():
                        self.texts[file] = file.read_text().strip()

    def find(self, controller: str, file: str) -> str | None:
        """What it says; None where the kernel has no such file.  ``controller`` means nothing on cgroup2."""
        folder = self.folders.get(controller, self.folders.get(""))
        return self.texts.get(folder / file) if folder else None

    def read(self, controller: str, file: str) -> str:
        text = self.find(controller, file)
        if text is None:
            raise Failed(f"the container's cgroup has no {file}, in {self.folders}")
        return text

    def either(self, controller: str, v1: str, v2: str) -> str:
        """The file of cgroup v1 or of v2, whichever this machine has."""
        return self.read(controller, v1 if cgroup.version() == 1 else v2)


def ask(box: Container, wish: Wish) -> None:
    for path, value in wish.items():
        config.set_path(box.config, f"linux.resources.{path}", value)


def limited(workshop: Workshop, wish: Wish, path: str = "") -> Files:
    """What a container with these resources has, and in the cgroup ``path``; it is gone afterwards."""
    box = workshop.container()
    ask(box, wish)
    if path:
        box.config["linux"]["cgroupsPath"] = path
    box.create()
    files = Files(box.pid)
    box.delete(force=True)
    return files


def accepted(workshop: Workshop, *wishes: Wish) -> list[str]:
    """Which of them create accepts; [] is what a test wants."""
    changes = [{f"linux.resources.{path}": value for path, value in wish.items()} for wish in wishes]
    return refusal.accepted(workshop, *changes, at="create")


def together(items: Mapping[str, W], run: Callable[[dict[str, W]], R]) -> dict[str, R | Failed]:
    """The result of running with all of them at once.

    Where that fails, each half is tried, and so on: what a runtime refuses says nothing about the others.
    """
    try:
        return dict.fromkeys(items, run(dict(items)))
    except Failed as failure:
        if len(items) == 1:
            return dict.fromkeys(items, failure)
    names = list(items)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    return {name: found for half in halves for name, found in together({n: items[n] for n in half}, run).items()}


class Limits:
    """Wishes that do not disturb each other, and the files of the container that has them."""

    def __init__(self, workshop: Workshop, wishes: Mapping[str, Wish]) -> None:
        def run(some: dict[str, Wish]) -> Files:
            return limited(workshop, {path: value for wish in some.values() for path, value in wish.items()})

        self.found = together(wishes, run)

    def __getitem__(self, name: str) -> Files:
        """Failed where the runtime refuses the wish."""
        found = self.found[name]
        if isinstance(found, Failed):
            raise found
        return found


def existing(workshop: Workshop, controller: str, v1: dict[str, str], v2: dict[str, str]) -> str:
    """A cgroup that has limits already: its path for ``cgroupsPath``.  It is removed with the test."""
    path = f"/{workshop.token}-there"
    name = controller if cgroup.version() == 1 else ""
    folder = cgroup.hierarchies()[name][0] / path[1:]
    for mounted, _ in cgroup.hierarchies().values():
        workshop.held.callback(cgroup.remove, mounted / path[1:])
    folder.mkdir()
    for file, text in (v1 if cgroup.version() == 1 else v2).items():
        if not (folder / file).exists():
            pytest.skip(f"a new cgroup at the top of the hierarchy has no {file}")
        (folder / file).write_text(text)
    return path
