"""runtime#create, bundle: what create makes, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config, processes
from conformance.bundle import tree
from conformance.marks import decides, needs, optional
from conformance.support import network
from conformance.support.namespaces import Holder, inside

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@decides("runtime.create.new-container", "runtime.operations.create")
def test_create_makes_a_container(container: Maker) -> None:
    box = container()
    box.gone()
    box.create()
    assert box.status() == "created"


@decides("runtime.create.no-bundle")
def test_create_needs_a_bundle(workshop: Workshop, runtime: Runtime) -> None:
    empty = workshop.directory("empty")
    id = workshop.new_id()
    runtime.call("create", id, cwd=empty).refused()
    runtime.create(id, workshop.folder / "absent").refused()
    runtime.state(id).refused()
    workshop.nothing_left()


@decides("runtime.create.no-id")
def test_create_needs_an_id(workshop: Workshop, runtime: Runtime) -> None:
    bundle = workshop.bundle()
    bundle.write()
    runtime.call("create", "--bundle", bundle.path).refused()
    workshop.nothing_left()


@decides("runtime.create.id-empty")
def test_an_empty_id_is_refused(workshop: Workshop, runtime: Runtime) -> None:
    bundle = workshop.bundle()
    bundle.write()
    runtime.create("", bundle.path).refused()
    workshop.nothing_left()


@decides("runtime.create.id-in-use", "runtime.create.id-in-use-untouched")
@pytest.mark.parametrize("running", [False, True], ids=["created", "running"])
def test_an_id_in_use_is_refused_and_its_container_untouched(
    workshop: Workshop, runtime: Runtime, running: bool
) -> None:
    box = workshop.container()
    if running:
        box.running()
    else:
        box.create()
    before = box.state()
    other = workshop.bundle()
    other.write()
    runtime.create(box.id, other.path).refused()
    after = box.state()
    assert [after[key] for key in ("pid", "status", "bundle")] == [before[key] for key in ("pid", "status", "bundle")]
    assert processes.alive(box.pid)


@decides("runtime.create.id-in-use-stopped")
def test_the_id_of_a_stopped_container_is_in_use(workshop: Workshop, runtime: Runtime) -> None:
    box = workshop.container()
    box.run("exit", "0")
    box.until_stopped()
    other = workshop.bundle()
    other.write()
    runtime.create(box.id, other.path).refused()
    assert box.status() == "stopped"


@decides("runtime.create.id-invalid")
@pytest.mark.parametrize(
    "form", ["../TOKEN", "a/TOKEN", "/TOKEN", "TOKEN/..", "TOKEN/../x", "TOKEN\n", "TOKEN\x01", "TOKEN" + "x" * 5000],
    ids=["parent", "slash", "absolute", "dots-behind", "dots-within", "newline", "control", "long"],
)  # fmt: skip
def test_an_odd_id_is_refused_or_a_container_as_any_other(workshop: Workshop, runtime: Runtime, form: str) -> None:
    runtime.root.mkdir(mode=0o700, exist_ok=True)
    bundle = workshop.bundle()
    bundle.write()
    outside = tree(workshop.folder, without=(runtime.root, bundle.path))
    id = form.replace("TOKEN", f"{workshop.token}-odd")
    outcome = runtime.create(id, bundle.path)
    if outcome.status == 0:
        assert json.loads(runtime.state(id).succeeded().stdout)["id"] == id
        runtime.delete(id, force=True).succeeded()
    after = tree(workshop.folder, without=(runtime.root, bundle.path))
    assert {name for name in after.keys() - outside.keys() if not name.endswith((".out", ".err"))} == set()
    workshop.nothing_left()


@decides("runtime.create.args-not-applied")
def test_create_does_not_run_the_program(container: Maker) -> None:
    box = container("echo", "it runs", "+", "write", "/tmp/mark", "1")
    box.create()
    mark = box.rootfs / "tmp" / "mark"
    assert not mark.exists()
    assert box.output() == ""
    box.start()
    box.wait()
    assert mark.exists()
    assert box.output() == "it runs\n"


@needs("root")
@decides("runtime.create.properties-applied", "runtime.lifecycle.environment-by-create")
def test_what_is_outside_of_process_is_applied_by_create(container: Maker) -> None:
    """Seen through /proc/PID of the created container, before start."""
    box = container()
    box.config["hostname"] = "conformance-host"
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "nosuid", "size=64k")
    box.create()
    namespaces = [each["type"] for each in box.config["linux"]["namespaces"]]
    for kind in namespaces:
        name = {"mount": "mnt", "network": "net"}.get(kind, kind)
        assert os.readlink(f"/proc/{box.pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), kind
    mounted = {line.split()[4] for line in Path(f"/proc/{box.pid}/mountinfo").read_text().splitlines()}
    assert any(target.endswith("/mnt") for target in mounted), mounted
    box.config["process"]["args"] = []
    box.start()
    box.until_output("waiting")


BAD: dict[str, tuple[str, Any]] = {
    "file system": ("mounts", {"destination": "/mnt", "type": "no-such-file-system", "source": "x"}),
    "bind source": (
        "mounts",
        {"destination": "/mnt", "type": "bind", "source": "/no/such/directory", "options": ["rbind"]},
    ),
    "sysctl": ("linux.sysctl", {"kernel.no_such_parameter": "1"}),
    "namespace": ("linux.namespaces", {"type": "ipc", "path": "/no/such/namespace"}),
    "root": ("root", {"path": "no-such-rootfs"}),
}


@decides("runtime.create.property-error", "runtime.create.property-error-no-container")
@decides("runtime.errors.create-leaves-no-container", "runtime.errors.create-leaves-no-process")
@decides("runtime.errors.create-leaves-no-mount", "runtime.errors.create-leaves-no-cgroup")
@decides("runtime.errors.create-leaves-no-pid-file", "runtime.errors.create-leaves-the-bundle")
@pytest.mark.parametrize("what", BAD)
def test_a_create_that_fails_leaves_nothing(workshop: Workshop, container: Maker, what: str) -> None:
    box = container()
    good = json.loads(json.dumps(box.config))
    place, value = BAD[what]
    if place == "mounts":
        box.config["mounts"].append(value)
    elif place == "linux.namespaces":
        config.add_namespace(box.config, value["type"], value["path"])
    else:
        config.set_path(box.config, place, value)
    box.bundle.write()
    before = tree(box.bundle.path)
    box.create_again(expect="error")
    assert tree(box.bundle.path) == before
    assert not box.pid_file.exists()
    workshop.nothing_left()
    box.gone()
    box.bundle.config = good
    box.create()


@needs("root", "veth")
@optional("linux.netDevices")
@decides("runtime.errors.create-leaves-network-devices")
def test_a_create_that_fails_gives_network_devices_back(workshop: Workshop, container: Maker) -> None:
    """It fails late, by a hook; the runtime runs in a network namespace of the test's own."""
    box = container()
    config.add_namespace(box.config, "network")
    box.config["linux"]["netDevices"] = {"moves": {"name": "renamed"}}
    config.add_hook(box.config, "createContainer", workshop.host_probe(), "probe", "drain", "+", "exit", "1")
    with Holder("network") as holder, inside(holder.path("network"), "network"):
        network.veth("moves", "stays")
        box.create(expect="error")
        assert network.devices().keys() & {"moves", "stays", "renamed"} == {"moves", "stays"}


@decides("runtime.operations.create")
def test_the_pid_file_has_the_pid_of_the_state(container: Maker) -> None:
    box = container()
    box.create()
    assert box.pid_file.read_text().strip() == str(box.state()["pid"])


@decides("runtime.warnings.operation-continues")
def test_a_capability_that_no_kernel_has_is_a_warning_and_no_error(container: Maker) -> None:
    box = container()
    for names in box.config["process"]["capabilities"].values():
        names.append("CAP_NO_SUCH_CAPABILITY")
    assert box.run("exit", "0") in (0, None)
