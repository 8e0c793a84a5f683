"""The config of a box for an ordinary user: a user namespace in which that user alone exists, under another id."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "setpriv", "seccomp", "libseccomp", "python-for-all")

#: Makes a box's config as whoever runs it; arguments: the bundle's directory, the runtime root, JSON.
MAKE = """
import json, os, sys
from pyrunc.sandbox import arguments, base, spec
bundle, root, given = sys.argv[1:]
given = json.loads(given)
argv = given.pop("argv")
wanted = arguments.read(**given)
made = spec.build(wanted, base.find(wanted, root), uid=os.geteuid(), gid=os.getegid())
made["process"] = spec.process(made, argv)
with open(bundle + "/config.json", "w") as file:
    json.dump(made, file)
"""


@pytest.fixture
def box(user: User, ids: Callable[[], str]) -> Callable[..., str]:
    """Runs a program in a box of the user's; returns its output."""

    def call(*argv: str, **given: Any) -> str:
        name = ids()
        bundle = user.home / f"box-{name}"
        bundle.mkdir()
        user.give(bundle)
        words = json.dumps({"argv": argv, **given})
        python = [*user.prefix, sys.executable, "-c", MAKE]
        run(*python, bundle, f"{user.home}/run/pyrunc", words, env=user.env, cwd=user.home)
        return str(user.run("run", "--bundle", bundle, name).stdout)

    return call


LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "map": open("/proc/self/uid_map").read().split(),
    "capabilities": [status[kind].strip() for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "seccomp": status["Seccomp"].strip(),
    "pids": [name for name in os.listdir("/proc") if name.isdigit()],
    "owner": os.stat("/work").st_uid,
    "pty": os.openpty() > (),
}))
"""


@pytest.mark.parametrize("inside", [1000, 0])
def test_the_user_is_alone_in_its_box(inside: int, user: User, box: Callable[..., str]) -> None:
    seen = json.loads(box("python3", "-c", LOOK, user=inside, workspace="/work"))
    assert seen["ids"] == [inside, inside]
    assert seen["map"] == [str(inside), str(user.uid), "1"]
    assert set(seen["capabilities"]) == {"0" * 16}
    assert (seen["seccomp"], seen["pids"], seen["owner"], seen["pty"]) == ("2", ["1"], inside, True)


def test_only_what_is_private_can_be_written_to(user: User, box: Callable[..., str]) -> None:
    """The skeleton belongs to the user, who is the user of the box: it is read-only all the same."""
    source = user.home / "source"
    source.mkdir()
    (source / "file").write_text("the host's\n")
    user.give(source)
    code = "for p in / /etc /usr /dev /tmp /work /ro /cow; do touch $p/new 2>/dev/null && echo $p; done; rm /cow/file"
    said = box("sh", "-c", code, workspace="/work", mounts={str(source): "/ro", f"{source}/.": ["/cow", "cow"]})
    assert said.split() == ["/tmp", "/work", "/cow"]
    assert [entry.name for entry in source.iterdir()] == ["file"]
