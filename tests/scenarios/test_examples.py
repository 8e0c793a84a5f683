"""The commands of the examples' READMEs, and of the documents on private state, print what these say.

They run one after the other as they stand there, from a copy of the checkout's bundles, in an enclosure with a
podman and a containerd of its own; ``./dev`` is a stand-in that knows ``path``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.containerd import Containerd
from tests.callers.enclosure import Enclosure
from tests.callers.engine import remove_cgroups
from tests.callers.podman import Podman
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs(
    "root", "busybox", "overlay", "podman", "conmon", "containerd", "ctr", "nsenter", "unshare", "cgroup1", "libseccomp"
)

CHECKOUT = Path(__file__).parents[2]
BUNDLES = CHECKOUT / "bundles"
#: Where commands are, and the heading of the only section that is looked at ("": all of it).
TEXTS = {
    **{str(path.relative_to(CHECKOUT)): "" for path in sorted(BUNDLES.glob("*/README.md"))},
    "docs/isolation.md": "",
    "README.md": "Private state over shared input",
}

_PODMAN = """\
#!/bin/sh
# Containers go to a cgroup of the test's own.
for word; do
    shift
    case $word in run) set -- "$@" run --cgroup-parent {cgroup} ;; *) set -- "$@" "$word" ;; esac
done
exec env {env} {base} "$@"
"""
_CTR = """\
#!/bin/sh
[ "$1" = run ] && shift && set -- run --cgroup {cgroup}/$$ "$@"
exec {ctr} --address {socket} "$@"
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Iterator[Callable[[str], str]]:
    """Run a command line in the checkout's copy: what it printed to both streams."""
    directory = tmp_path_factory.mktemp("examples")
    checkout = directory / "checkout"
    shutil.copytree(BUNDLES, checkout / "bundles", ignore=shutil.ignore_patterns("rootfs", "__pycache__"))
    commands = directory / "commands"
    commands.mkdir()

    def program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    program(checkout / "dev", f"#!/bin/sh\necho {pyrunc}\n")
    cgroups: list[str] = []
    try:
        with Enclosure(directory) as enclosure, Containerd(enclosure, directory, str(pyrunc)) as containerd:
            podman = Podman(enclosure, directory, str(pyrunc))
            cgroups += podman.cgroup, containerd.cgroup
            env = shlex.join(f"{name}={value}" for name, value in podman.env.items())
            real = shlex.join([shutil.which("podman") or "podman", *podman.base[1:]])
            program(commands / "podman", _PODMAN.format(cgroup=podman.cgroup, env=env, base=real))
            ctr = shutil.which("ctr") or "ctr"
            program(commands / "ctr", _CTR.format(cgroup=containerd.cgroup, ctr=ctr, socket=containerd.socket))
            path = f"{commands}:{pyrunc.parent}:{os.environ['PATH']}"

            def shell(line: str) -> str:
                script = f"cd {checkout} && exec 2>&1\n{line}"
                done = run(*enclosure.argv(["sh", "-c", script]), env={**os.environ, "PATH": path}, status=None)
                return done.stdout

            yield shell
            for name in shell("pyrunc list -q").split():
                shell(f"pyrunc delete --force {name}")
    finally:
        for cgroup in cgroups:
            remove_cgroups(cgroup)


def steps(text: str) -> list[tuple[str, str]]:
    """(command line, what it prints) of each prompt in the console blocks; a command goes on behind ``> ``."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command, said = found[-1] if found else ("", "")
            if line.startswith("$ "):
                found.append((line[2:], ""))
            elif line.startswith("> ") and not said:
                found[-1] = (f"{command}\n{line[2:]}", "")
            else:
                found[-1] = (command, f"{said}{line}\n")
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TEXTS)
def test_each_command_prints_what_the_text_says(name: str, shell: Callable[[str], str]) -> None:
    text = (CHECKOUT / name).read_text()
    if TEXTS[name]:
        text = text.partition(f"\n## {TEXTS[name]}\n")[2].partition("\n## ")[0]
    found = steps(text)
    assert len(found) > 4
    seen = [(command, shell(command)) for command, _ in found]
    assert seen == found
