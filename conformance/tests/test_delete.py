"""runtime#delete: what goes with a container, and what stays."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest

from conformance import cgroup, config, processes
from conformance.bundle import tree
from conformance.marks import decides, needs
from conformance.verdict import Unsupported

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@decides("runtime.delete.no-id")
def test_delete_needs_an_id(runtime: Runtime) -> None:
    runtime.call("delete").refused()


@decides("runtime.delete.unknown-id")
def test_delete_of_what_does_not_exist_fails(workshop: Workshop, runtime: Runtime) -> None:
    runtime.delete(workshop.new_id()).refused()


@decides("runtime.delete.created")
def test_delete_of_a_created_container_fails(container: Maker) -> None:
    box = container()
    box.create()
    box.delete(expect="error")


@decides("runtime.delete.created-untouched")
def test_delete_of_a_created_container_does_nothing_to_it(container: Maker) -> None:
    box = container()
    box.create()
    box.delete(expect="any")
    assert box.status() == "created"
    box.start()
    box.until_output("waiting")


@decides("runtime.delete.running", "runtime.delete.running-untouched")
def test_delete_of_a_running_container_fails_and_changes_nothing(container: Maker) -> None:
    box = container().running()
    before = box.state()
    box.delete(expect="error")
    assert box.state() == before
    assert processes.alive(box.pid)


@decides("runtime.delete.container-gone", "runtime.operations.delete")
def test_a_deleted_container_does_not_exist(container: Maker) -> None:
    box = container()
    box.run("exit", "0")
    box.until_stopped()
    box.delete()
    box.gone()
    box.start(expect="error")
    box.kill("TERM", expect="error")
    box.delete(expect="error")


@decides("runtime.delete.cgroups", "runtime.delete.mounts", "runtime.delete.processes")
def test_delete_leaves_nothing(workshop: Workshop, container: Maker) -> None:
    """The container has mounts, cgroups and a process beside the first one."""
    box = container("spawn", "+", "wait")
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "size=64k")
    box.running()
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    workshop.nothing_left()


@decides("runtime.delete.keeps-bundle")
def test_delete_does_not_touch_the_bundle(container: Maker) -> None:
    """What a runtime makes in the rootfs to mount on may go or stay."""
    box = container("exit", "0")
    (box.rootfs / "etc" / "file").write_text("content")
    (box.rootfs / "etc" / "link").symlink_to("/nowhere")
    box.bundle.write()
    before = tree(box.bundle.path)
    box.create_again()
    box.start()
    box.until_stopped()
    box.delete()
    after = tree(box.bundle.path)
    assert {name: after.get(name) for name in before} == before


@decides("runtime.delete.keeps-bind-sources")
def test_delete_does_not_touch_what_was_mounted_in(workshop: Workshop, container: Maker) -> None:
    source = workshop.directory("source")
    (source / "file").write_text("content")
    (source / "inner").mkdir()
    box = container("exit", "0")
    config.add_mount(box.config, "/mnt", "bind", str(source), "rbind")
    before = tree(source)
    box.run()
    box.until_stopped()
    box.delete()
    assert tree(source) == before


@needs("root")
@decides("runtime.delete.keeps-joined-namespaces")
@pytest.mark.parametrize(("kind", "name"), [("ipc", "ipc"), ("uts", "uts"), ("network", "net")])
def test_delete_does_not_touch_a_namespace_that_was_joined(
    workshop: Workshop, container: Maker, kind: str, name: str
) -> None:
    """It is held by a mount; a second container joins it when the first is deleted."""
    owner = container()
    config.add_namespace(owner.config, kind)
    owner.create()
    held = workshop.folder / "namespace"
    held.touch()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(f"/proc/{owner.pid}/ns/{name}".encode(), os.fsencode(held), None, 4096, None) == 0
    try:
        inode = held.stat().st_ino
        owner.delete(force=True)
        for _ in range(2):
            box = container()
            config.add_namespace(box.config, kind, str(held))
            box.create()
            assert os.stat(f"/proc/{box.pid}/ns/{name}").st_ino == inode
            box.start()
            box.kill("KILL")
            box.until_stopped()
            box.delete()
        assert held.stat().st_ino == inode
    finally:
        assert libc.umount2(os.fsencode(held), 2) == 0


@needs("root")
@decides("runtime.delete.keeps-existing-cgroup")
def test_delete_keeps_a_cgroup_that_was_there_before(workshop: Workshop, container: Maker) -> None:
    controller = "" if cgroup.version() == 2 else "pids"
    if controller not in cgroup.hierarchies():
        pytest.skip("needs cgroups: there is no hierarchy for the test")
    mounted, _ = cgroup.hierarchies()[controller]
    group = mounted / f"{workshop.token}-there"
    group.mkdir()
    try:
        box = container()
        box.config["linux"]["cgroupsPath"] = f"/{group.name}"
        if box.create(expect="any").status:
            raise Unsupported("it refuses a cgroup that is there, as it may")
        box.start()
        box.kill("KILL")
        box.until_stopped()
        box.delete()
        assert group.is_dir()
    finally:
        for each, _ in cgroup.hierarchies().values():
            cgroup.remove(each / group.name)


@decides("runtime.delete.id-reuse")
def test_the_id_of_a_deleted_container_can_be_used_again(workshop: Workshop, container: Maker) -> None:
    first = container()
    first.run("exit", "0")
    first.until_stopped()
    first.delete()
    second = container(id=first.id)
    second.report()
    second.until_stopped()
    second.delete()


@decides("runtime.scope-of-a-container.same-entity")
def test_each_verb_works_from_a_process_of_its_own(container: Maker) -> None:
    box = container()
    box.create()
    assert box.status() == "created"
    box.start()
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    box.gone()
