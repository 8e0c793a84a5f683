"""What a probe sees inside is the same under this runtime and under runc.

Each bundle of bundles/, and many configs made from the tests' default by one edit, run with runc first and
with the runtime under test next.  tests/root/comparison.py lists what may differ, and why.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.enclosure import on_a_terminal
from tests.root.comparison import differences, lines, unexplained
from tests.root.configs import CONFIGS, NOT_AS_RUNC
from tests.support import programs
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "runc", "busybox", "static", "cgroup1")

BUNDLES = Path(__file__).parents[2] / "bundles"
#: Bundles that runc 1.1 refuses; the unit of comparison is missing, the bundle runs all the same.
REFUSED_BY_RUNC = {"time": "time namespaces came with runc 1.2"}
#: Those that ask for private state are not compared: runc does not know the annotations.  See tests/scenarios.
NAMES = sorted(path.parent.name for path in BUNDLES.glob("*/config.json") if '"io.pyrunc.' not in path.read_text())

#: Bundles with features that runc 1.1 does not have, and the facts that differ for that reason.
NEWER_THAN_RUNC: dict[str, tuple[tuple[str, str], ...]] = {
    "scheduler": ((r"^[-+](scheduler|ioprio|personality)", "runc has scheduler, ioPriority, personality from 1.2 on"),),
    "process": ((r"^[-+](umask|status\.Umask|domainname)", "runc has process.user.umask and domainname from 1.2 on"),),
    "hooks": ((r"^[-+]root\.hooks\.log\.size", "runc runs poststart while startContainer hooks may still run"),),
    "idmapped": ((r"^[-+](root\.srv|stat\./srv|mounts /srv)", "runc has idmapped mounts from 1.2 on"),),
    "files": ((r"^[-+](stat|root)\.\S+\.mode ", "mode= of a tmpfs is kept; runc 1.1 replaces it"),),
    "mounts": ((r"^[-+](stat|root)\.\S+\.mode ", "mode= of a tmpfs is kept; runc 1.1 replaces it"),),
}


def built(name: str, target: Path) -> Path:
    """A copy of bundle ``name`` with its rootfs, and the probe in it."""
    run(sys.executable, BUNDLES / "rootfs.py", BUNDLES / name, "--output", target)
    config = json.loads((target / "config.json").read_text())
    shutil.copy(programs.static("probe"), target / config["root"]["path"] / "probe")
    (target / config["root"]["path"] / "probe").chmod(0o755)
    config["process"]["args"] = ["/probe", *(f"stat={mount['destination']}" for mount in config.get("mounts", ()))]
    (target / "config.json").write_text(json.dumps(config))
    for parent in (target, *target.parents):  # a container root without privileges must reach its rootfs
        if parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)
    return target


def ran(runtime: Path, root: Path, bundle: Path, id_: str) -> list[str]:
    """What the probe sees, in a network namespace that no other test adds interfaces to."""
    command = ["unshare", "--net", str(runtime), "--root", str(root), "run", "--bundle", str(bundle), id_]
    config = json.loads((bundle / "config.json").read_text())
    if config["process"].get("terminal"):
        code, screen = on_a_terminal(command, size=(30, 100))
        assert code == 0, screen
        text = screen.decode()
    else:
        text = run(*command).stdout
    return lines(json.loads(text), {id_: "<ID>", str(bundle): "<BUNDLE>"})


@pytest.mark.parametrize("name", NAMES)
def test_an_example_bundle(
    name: str, runtime: Path, runc: Path, root: Path, tmp_path: Path, ids: Callable[[], str]
) -> None:
    ours = ran(runtime, root, built(name, tmp_path / "ours"), ids())
    if name in REFUSED_BY_RUNC:
        run(runc, "--root", root, "run", "--bundle", built(name, tmp_path / "runc"), ids(), status=1)
        return
    theirs = ran(runc, root, built(name, tmp_path / "runc"), ids())
    found = unexplained(differences(theirs, ours), NEWER_THAN_RUNC.get(name, ()))
    assert not found, "- is runc, + is this runtime:\n" + "\n".join(found)


@pytest.mark.parametrize("title", CONFIGS)
def test_a_config(title: str, new_box: Callable[..., Box], runc: Path, runtime: Path, tmp_path: Path) -> None:
    found = []
    for number, which in enumerate((runc, runtime)):
        box = new_box("/bin/probe", "stat=/data", "stat=/tmp", "stat=/etc/new", "stat=/etc/passwd", "read=/etc/passwd",
                      "read=/proc/sys/net/ipv4/ip_forward", "read=/proc/sys/kernel/msgmax", "list=/data", "list=/etc",
                      "read=/proc/sys/fs/mqueue/msg_max", "write=/tmp/w", "write=/data/w", "write=/dev/shm/w",
                      "write=/proc/sys/kernel/hostname", "write=/etc/w", "write=/sys/fs/cgroup/memory/tasks",
                      runtime=which)  # fmt: skip
        shared = tmp_path / f"shared{number}"
        for name in ("lower", "upper", "work", "sub"):
            (shared / name).mkdir(parents=True)
        (shared / "file").write_text("the file\n")
        (box.bundle.rootfs / "link-to-passwd").symlink_to("etc/passwd")
        (box.bundle.rootfs / "link-to-etc").symlink_to("/etc")
        (box.bundle.rootfs / "data").mkdir()
        CONFIGS[title](box.bundle)
        text = json.dumps(box.bundle.config).replace("{dir}", str(shared)).replace("<ID>", box.id)
        box.bundle.config = json.loads(text)
        box.bundle.write()
        give(box)
        seen = json.loads(box.run().stdout)
        found.append(lines(seen, {box.id: "<ID>", str(box.bundle.path): "<BUNDLE>", str(shared): "<SHARED>"}))
    unlisted = unexplained(differences(*found), NOT_AS_RUNC.get(title, ()))
    assert not unlisted, "- is runc, + is this runtime:\n" + "\n".join(unlisted)


def give(box: Box) -> None:
    """Give the rootfs to the container's root, and let it be reached."""
    mappings = box.bundle.config["linux"].get("uidMappings")
    if not mappings:
        return
    owner = mappings[0]["hostID"], box.bundle.config["linux"]["gidMappings"][0]["hostID"]
    run("chown", "-hR", f"{owner[0]}:{owner[1]}", box.bundle.rootfs)
    for parent in (box.bundle.path, *box.bundle.path.parents):
        if parent.name.startswith(("pytest-", "popen-", "test_", "bundle")):
            parent.chmod(0o755)
