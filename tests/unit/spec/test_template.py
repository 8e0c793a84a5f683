"""The default config: valid, and runc's but for what is listed here."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.spec import template
from tests.unit.spec.support import said

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("rootless", [False, True])
def test_the_default_config_is_valid(rootless: bool) -> None:
    assert said(template.default(rootless, 1000, 1001)) == []


@pytest.mark.needs("runc")
@pytest.mark.parametrize("rootless", [False, True])
def test_the_default_config_is_that_of_runc_with_a_private_tmp(rootless: bool, runc: Path, tmp_path: Path) -> None:
    command = [str(runc), "spec", *(["--rootless"] if rootless else [])]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PATH": "/usr/bin"})
    theirs: dict[str, Any] = json.loads((tmp_path / "config.json").read_text())
    mapped = theirs["linux"].get("uidMappings", [{"hostID": 0}])[0]["hostID"]
    ours: dict[str, Any] = dict(template.default(rootless, mapped, mapped))
    assert ours.pop("ociVersion") == "1.3.0"
    assert ours.pop("hostname") == "pyrunc"
    assert ours["mounts"].pop() == {
        "destination": "/tmp",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "mode=1777"],
    }
    del theirs["ociVersion"], theirs["hostname"]
    # Newer releases of runc add a cgroup namespace where the host has cgroup2 alone.
    theirs["linux"]["namespaces"] = [item for item in theirs["linux"]["namespaces"] if item["type"] != "cgroup"]
    assert json.dumps(ours) == json.dumps(theirs)
