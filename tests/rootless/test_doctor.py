"""``pyrunc doctor`` and ``setup --user`` of an ordinary user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.rootless.conftest import User


def checks(user: User, **env: str) -> dict[str, Any]:
    done = user.run("doctor", "--format", "json", env={**user.env, **env}, status=None)
    assert done.stderr == ""
    return {one["id"]: one for one in json.loads(done.stdout)["checks"]}


@pytest.mark.needs("userns", "setpriv")
def test_the_doctor_needs_no_root(user: User) -> None:
    before = sorted(user.home.rglob("*"))
    found = checks(user)
    assert found["pyrunc.container"]["status"] == "ok", found["pyrunc.container"]
    assert found["user.runtime-directory"] == {
        "id": "user.runtime-directory",
        "title": "runtime directory",
        "status": "ok",
        "found": str(user.home / "run"),
        "do": "",
    }
    assert found["pyrunc.state"]["found"] == str(user.home / "run/pyrunc")
    assert sorted(user.home.rglob("*")) == before


@pytest.mark.needs("userns", "setpriv", "root")
def test_a_runtime_directory_of_somebody_else_is_a_problem(user: User) -> None:
    found = checks(user, XDG_RUNTIME_DIR="/root")
    assert found["user.runtime-directory"]["status"] == "problem"
    assert "belongs to somebody else" in found["user.runtime-directory"]["found"]


@pytest.mark.needs("setpriv", "root")
def test_what_belongs_to_root_is_not_written(user: User, tmp_path: Path) -> None:
    sysroot = user.home / "system"
    (sysroot / "etc").mkdir(parents=True)
    done = user.run("setup", "docker", "--sysroot", sysroot, "--runtime", "/bin/true", status=1)
    assert "--runtime" in done.stderr
    (sysroot / "bin").mkdir()
    (sysroot / "bin/true").write_bytes(Path("/bin/true").read_bytes())
    (sysroot / "bin/true").chmod(0o755)
    done = user.run("setup", "docker", "--sysroot", sysroot, "--runtime", "/bin/true", status=1)
    assert "cannot write it: permission denied (be root" in done.stderr
    assert sorted(path.name for path in sysroot.rglob("*")) == ["bin", "etc", "true"]


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("engine", ["podman", "containerd", "docker"])
def test_the_users_own_engines(user: User, engine: str) -> None:
    done = user.run("setup", engine, "--user")
    assert f"written: {user.home}/.config/" in done.stdout
    assert user.run("setup", engine, "--user").stdout.startswith("nothing to do: ")
    found = checks(user)
    if (one := found.get(f"engine.{engine}.configuration")) is not None:
        assert (one["status"], str(user.runtime) in one["found"]) == ("ok", True), one
    user.run("setup", engine, "--user", "--remove")
    assert not [path for path in (user.home / ".config").rglob("*") if path.is_file()]


@pytest.mark.needs("setpriv", "root", "podman")
def test_drop_ins_that_the_user_may_not_list_are_unknown(user: User) -> None:
    closed = user.home / ".config/containers/containers.conf.d"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    found = checks(user)["engine.podman.configuration"]
    assert found["status"] == "unknown"
    assert found["found"] == f"cannot be looked at: {closed}: permission denied"
    assert checks(user)["pyrunc.container"]["status"] == "ok"


@pytest.mark.needs("setpriv")
def test_crio_has_no_users(user: User) -> None:
    assert "CRI-O runs for the whole system only" in user.run("setup", "crio", "--user", status=1).stderr
