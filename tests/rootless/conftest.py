"""Fixtures of the tests of an ordinary user: who that is, where its files are, how its commands are run.

Run by root, the tests become user 12345 through setpriv(1); run by an ordinary user, they are that user.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import programs
from tests.support.bundles import Bundle
from tests.support.command import Result, run
from tests.support.config import default_config
from tests.support.requirements import demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UID = 12345


class User:
    """An ordinary user with a directory of its own and XDG_RUNTIME_DIR below it."""

    def __init__(self, home: Path, runtime: Path) -> None:
        self.uid = UID if os.geteuid() == 0 else os.geteuid()
        self.gid = UID if os.geteuid() == 0 else os.getegid()
        self.home = home
        self.runtime = runtime
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            self.prefix = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--"]
        (home / "run").mkdir(mode=0o700)
        self.give(home)
        self.env = {"XDG_RUNTIME_DIR": str(home / "run"), "PATH": programs.PATH, "HOME": str(home)}

    def give(self, path: Path) -> None:
        """Make the user the owner of ``path`` and all below."""
        if os.geteuid() == 0:
            run("chown", "-hR", f"{self.uid}:{self.gid}", path)

    def bundle(self, config: dict[str, Any] | None = None) -> Bundle:
        """A bundle of the user's own, with a user namespace that maps root to the user."""
        made = Bundle(self.home / f"bundle{len(list(self.home.iterdir()))}", config or self.config())
        self.give(made.path)
        return made

    def config(self) -> dict[str, Any]:
        made = default_config(user_namespace=os.geteuid() != 0)
        if os.geteuid() == 0:
            made["linux"]["namespaces"].append({"type": "user"})
            made["linux"]["uidMappings"] = [{"containerID": 0, "hostID": self.uid, "size": 1}]
            made["linux"]["gidMappings"] = [{"containerID": 0, "hostID": self.gid, "size": 1}]
            for mount in made["mounts"]:
                if mount["type"] == "devpts":
                    mount["options"].remove("gid=5")  # not mapped
        return made

    def argv(self, *words: str | os.PathLike[str], runtime: Path | None = None) -> list[str]:
        return [*self.prefix, str(runtime or self.runtime), *(os.fspath(word) for word in words)]

    def run(self, *words: str | os.PathLike[str], env: dict[str, str] | None = None, **options: Any) -> Result:
        """Run the runtime under test with these arguments as the user."""
        return run(*self.argv(*words), env=self.env if env is None else env, **options)


@pytest.fixture
def user(pyrunc: Path, ids: Callable[[], str]) -> Iterator[User]:
    demand("python-for-all")
    runtime = Path(os.environ.get("PYRUNC_TEST_RUNTIME") or pyrunc)
    # Below /tmp itself: pytest's own temporary directories are closed to other users.
    home = Path(tempfile.mkdtemp(prefix=f"{ids()}-"))
    home.chmod(0o755)
    made = User(home, runtime)
    yield made
    states = home / "run" / "pyrunc"
    for name in sorted(os.listdir(states)) if states.is_dir() else []:
        if (states / name).is_dir() and not name.startswith("."):
            made.run("delete", "--force", name, status=None)
    shutil.rmtree(home)
