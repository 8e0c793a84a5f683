"""Hooks (runtime-spec config.md): when each kind runs, where, with what, and what its failure means."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")

BEFORE_START = ("prestart", "createRuntime", "createContainer")
KINDS = (*BEFORE_START, "startContainer", "poststart", "poststop")
IN_THE_CONTAINER = ("startContainer",)


def sh(script: str, *words: str, **fields: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script, "hook", *words], **fields}


def recording(box: Box, log: Path, *kinds: str) -> None:
    """Give the box one hook of each kind that appends ``KIND STATUS PID`` and its state document to a log.

    The hook of startContainer runs inside, and its log is /log there.
    """
    hooks = {}
    for kind in kinds:
        path = "/log" if kind in IN_THE_CONTAINER else str(log)
        hooks[kind] = [sh('read -r state; echo "$1 $state" >>"$2"', kind, path)]
    box.bundle.edit(hooks=hooks)


def recorded(log: Path) -> list[tuple[str, Any]]:
    if not log.exists():
        return []
    lines = (line.split(" ", 1) for line in log.read_text().splitlines())
    return [(kind, json.loads(text)) for kind, text in lines]


def test_each_kind_runs_once_in_order_with_the_state_on_standard_input(
    new_box: Callable[..., Box], tmp_path: Path
) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(annotations={"a": "b"})
    log = tmp_path / "log"
    recording(box, log, *KINDS)
    box.create()
    seen = recorded(log)
    assert [kind for kind, _ in seen] == list(BEFORE_START)
    pid = box.state()["pid"]
    for kind, state in seen:
        assert state["id"] == box.id
        assert state["status"] in ("creating", "created"), kind
        assert state["bundle"] == str(box.bundle.path)
        assert state["pid"] == (1 if kind == "createContainer" and state["pid"] == 1 else pid)
        assert state["annotations"] == {"a": "b"}
        assert state["ociVersion"].startswith("1.")
    box.start()
    ((kind, state),) = recorded(box.bundle.rootfs / "log")
    assert (kind, state["status"], state["id"]) == ("startContainer", "created", box.id)
    assert [kind for kind, _ in recorded(log)] == [*BEFORE_START, "poststart"]
    assert recorded(log)[-1][1]["status"] == "running"
    assert recorded(log)[-1][1]["pid"] == pid
    box.delete("--force")
    assert [kind for kind, _ in recorded(log)] == [*BEFORE_START, "poststart", "poststop"]
    assert recorded(log)[-1][1]["status"] == "stopped"
    assert recorded(log)[-1][1].get("pid", 0) == 0


def test_hooks_of_one_kind_run_in_the_order_of_the_config(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/true")
    hooks = {
        kind: [
            sh(f"echo {kind} {number} >>{'/log' if kind in IN_THE_CONTAINER else tmp_path / 'log'}")
            for number in range(3)
        ]
        for kind in KINDS
    }
    box.bundle.edit(hooks=hooks)
    box.run()
    outside = [f"{kind} {number}" for kind in KINDS if kind not in IN_THE_CONTAINER for number in range(3)]
    assert (tmp_path / "log").read_text().splitlines() == outside
    assert (box.bundle.rootfs / "log").read_text().splitlines() == [f"startContainer {number}" for number in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_and_environment_are_exactly_the_configs(box: Box, tmp_path: Path, kind: str) -> None:
    log = "/log" if kind in IN_THE_CONTAINER else str(tmp_path / "log")
    hook = sh(f'tr "\\0" "\\n" </proc/self/environ >{log}; echo "$0" "$@" >>{log}', "a b", "", env=["A=1", "B=x y"])
    box.bundle.args("/bin/true").edit(hooks={kind: [hook]})
    box.run()
    path = box.bundle.rootfs / "log" if kind in IN_THE_CONTAINER else tmp_path / "log"
    assert path.read_text() == "A=1\nB=x y\nhook a b \n"


@pytest.mark.parametrize("kind", KINDS)
def test_no_environment_means_none(box: Box, tmp_path: Path, kind: str) -> None:
    log = "/log" if kind in IN_THE_CONTAINER else str(tmp_path / "log")
    tool = "/bin/cat" if kind in IN_THE_CONTAINER else "/usr/bin/cat"
    box.bundle.args("/bin/true").edit(hooks={kind: [sh(f"{tool} </proc/self/environ >{log}; echo end >>{log}")]})
    box.run()
    path = box.bundle.rootfs / "log" if kind in IN_THE_CONTAINER else tmp_path / "log"
    assert path.read_text() == "end\n"


def test_runtime_hooks_run_outside_and_container_hooks_inside(box: Box, tmp_path: Path) -> None:
    script = 'for n in mnt net pid uts; do readlink /proc/self/ns/$n; done >"$1"'
    hooks = {kind: [sh(script, str(tmp_path / kind))] for kind in KINDS if kind not in IN_THE_CONTAINER}
    hooks["startContainer"] = [sh(script, "/startContainer")]
    box.bundle.args("/bin/probe", "print=namespaces").edit(hooks=hooks)
    inside = json.loads(box.run().stdout)["namespaces"]
    outside = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "net", "pid", "uts")}
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        assert (tmp_path / kind).read_text().split() == list(outside.values()), kind
    container = [inside[name] for name in ("mnt", "net", "pid", "uts")]
    assert (box.bundle.rootfs / "startContainer").read_text().split() == container
    assert (tmp_path / "createContainer").read_text().split() == container


def test_runtime_hooks_find_the_namespaces_but_not_the_final_mounts(box: Box, tmp_path: Path) -> None:
    # createRuntime: namespaces exist, pivot_root has not happened (config.md).
    script = 'read -r state; pid=$(echo "$state" | sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/");'
    script += ' readlink /proc/$pid/ns/net >"$1"'
    box.bundle.args("/bin/probe", "print=namespaces")
    box.bundle.edit(hooks={"createRuntime": [sh(script, str(tmp_path / "net"), env=["PATH=/usr/bin:/bin"])]})
    assert json.loads(box.run().stdout)["namespaces"]["net"] == (tmp_path / "net").read_text().strip()


def test_create_container_hooks_run_before_pivot_root(box: Box, tmp_path: Path) -> None:
    # The path is that of the runtime's namespace, and what the hook mounts is seen by the container only.
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "from-hook").touch()
    script = f"mount --bind {tmp_path}/source {box.bundle.rootfs}/var/tmp"
    box.bundle.edit(hooks={"createContainer": [sh(script, env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])]})
    seen = box.sees("list=/var/tmp")
    assert "from-hook" in json.dumps(seen["list"])
    assert os.listdir(box.bundle.rootfs / "var/tmp") == []


@pytest.mark.parametrize("kind", BEFORE_START)
def test_a_failure_before_start_fails_create_and_leaves_nothing(
    new_box: Callable[..., Box], tmp_path: Path, kind: str
) -> None:
    box = new_box("/bin/true")
    poststop = {"poststop": [sh(f"echo poststop >>{tmp_path}/log")]}
    box.bundle.edit(hooks={kind: [sh("echo the reason >&2; exit 3"), sh(f"touch {tmp_path}/second")]} | poststop)
    said = box.create_refused()
    assert f"hooks.{kind}[0]" in said
    assert "3" in said
    assert not (tmp_path / "second").exists()


def test_a_failed_start_container_hook_fails_start(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/touch", "/ran")
    box.bundle.edit(hooks={"startContainer": [sh("exit 4")]})
    box.create()
    said = box.start(status=1).stderr
    assert "hooks.startContainer[0]" in said
    box.until_stopped()
    assert not (box.bundle.rootfs / "ran").exists()
    box.delete()
    box.nothing_left()


def test_a_failed_poststart_hook_fails_start_and_stops_the_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(hooks={"poststart": [sh("exit 5")]})
    box.create()
    said = box.start(status=1).stderr
    assert "hooks.poststart[0]" in said
    box.until_stopped()
    box.delete()
    box.nothing_left()


def test_a_failed_poststop_hook_is_a_warning_and_the_rest_go_on(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/true")
    box.bundle.edit(hooks={"poststop": [sh("exit 6"), sh(f"echo second >{tmp_path}/log")]})
    box.started().until_stopped()
    result = box.delete()
    assert "hooks.poststop[0]" in result.stderr
    assert (tmp_path / "log").read_text() == "second\n"
    box.nothing_left()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_takes_too_long_is_killed(new_box: Callable[..., Box], tmp_path: Path, kind: str) -> None:
    box = new_box("/bin/true")
    path = "/pid" if kind in IN_THE_CONTAINER else str(tmp_path / "pid")
    hook = sh('echo $$ >"$1"; exec sleep 1000', path, timeout=3, env=["PATH=/usr/bin:/bin"])
    box.bundle.edit(hooks={kind: [hook]})
    result = box.run(status=None)
    assert f"hooks.{kind}[0]" in result.stderr
    assert "timeout" in result.stderr.lower() or "timed out" in result.stderr.lower() or "3 s" in result.stderr
    assert result.status == (0 if kind == "poststop" else 1)
    if kind in ("prestart", "createRuntime", "poststart", "poststop"):  # the others see pids of the container
        pid = (tmp_path / "pid").read_text().strip()
        until(lambda: not os.path.exists(f"/proc/{pid}"), lambda: "the hook is gone")
    box.nothing_left()


def test_a_hook_that_was_killed_by_a_signal_is_a_failure(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    box.bundle.edit(hooks={"createRuntime": [sh("kill -9 $$")]})
    said = box.create_refused()
    assert "hooks.createRuntime[0]" in said
    assert "9" in said or "kill" in said.lower()


def test_a_hook_that_reads_nothing_succeeds(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    box.bundle.edit(annotations={"big": "x" * 200_000}, hooks={"createRuntime": [sh("exec <&-; exit 0")]})
    box.run()


def test_a_long_state_reaches_a_hook_completely(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/bin/true")
    box.bundle.edit(annotations={"big": "x" * 200_000}, hooks={"createRuntime": [sh(f"cat >{tmp_path}/document")]})
    box.bundle.config["hooks"]["createRuntime"][0]["env"] = ["PATH=/usr/bin:/bin"]
    box.bundle.write()
    box.run()
    assert json.loads((tmp_path / "document").read_text())["annotations"]["big"] == "x" * 200_000


def test_no_descriptor_of_the_runtime_reaches_a_hook(box: Box, tmp_path: Path) -> None:
    hooks = {
        kind: [sh('exec >"$1"; exec ls -l /proc/self/fd', str(tmp_path / kind), env=["PATH=/usr/bin:/bin"])]
        for kind in KINDS
        if kind not in IN_THE_CONTAINER
    }
    hooks["startContainer"] = [sh("exec >/startContainer; exec ls -l /proc/self/fd")]
    box.bundle.args("/bin/true").edit(hooks=hooks)
    box.run()
    for kind in KINDS:
        path = box.bundle.rootfs / kind if kind in IN_THE_CONTAINER else tmp_path / kind
        links = [line for line in path.read_text().splitlines() if " -> " in line]
        own = [line for line in links if "/fd" in line.rpartition(" -> ")[2]]  # the directory that ls is reading
        assert len(links) - len(own) == 3, links
