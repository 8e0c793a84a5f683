"""config#mounts, config#posix-platform-mounts: where, in which order and from what is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, config
from conformance.marks import decides, needs
from conformance.support.trials import Trials, place, trial

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.runtime import Runtime
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop


@decides("config.mounts.applied")
def test_every_entry_is_mounted(container: Maker) -> None:
    box = container()
    places = ["/mnt", "/made/by/the runtime", "/tmp"]
    for number, target in enumerate(places):
        config.add_mount(box.config, target, "tmpfs", f"entry-{number}")
    seen = box.report()
    assert [seen.mount(target).source for target in places] == ["entry-0", "entry-1", "entry-2"]
    assert seen.mount("/").target == "/"


@decides("config.mounts.order")
def test_the_entries_are_mounted_in_their_order(workshop: Workshop, container: Maker) -> None:
    source = workshop.directory("source")
    (source / "note").write_text("of the bind mount")
    box = container()
    config.add_mount(box.config, "/a", "tmpfs", "first")
    config.add_mount(box.config, "/a/b", "bind", str(source), "bind")
    config.add_mount(box.config, "/tmp", "tmpfs", "lower")
    config.add_mount(box.config, "/tmp", "tmpfs", "upper")
    config.add_mount(box.config, "/mnt/hidden", "tmpfs", "hidden")
    config.add_mount(box.config, "/mnt", "tmpfs", "above")
    seen = box.report("read=/a/b/note", "list=/mnt")
    assert seen.file("/a/b/note") == "of the bind mount"
    assert [mount.source for mount in seen.mounts() if mount.target == "/tmp"] == ["lower", "upper"]
    assert seen.answer("list", "/mnt") == []


@decides("config.mounts.destination-required")
def test_an_entry_without_destination_is_refused(container: Maker) -> None:
    box = container()
    box.config["mounts"].append({"type": "tmpfs", "source": "tmpfs"})
    box.create(expect="error")


@decides("config.mounts.destination-relative")
def test_a_relative_destination_is_relative_to_the_root(container: Maker) -> None:
    box = container()
    box.config["process"]["cwd"] = "/etc"
    config.add_mount(box.config, "data/x", "tmpfs", "relative")
    assert box.report().mount("/data/x").source == "relative"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"type": "tmpfs"}, id="neither", marks=decides("config.mounts.source-optional")),
        pytest.param(
            {"type": "tmpfs", "options": ["nosuid"]}, id="no source", marks=decides("config.mounts.source-optional")
        ),
        pytest.param(
            {"type": "tmpfs", "source": "tmpfs"}, id="no options", marks=decides("config.mounts.options-optional")
        ),
    ],
)
def test_source_and_options_may_be_left_out(container: Maker, entry: dict[str, Any]) -> None:
    box = container()
    box.config["mounts"].append({"destination": "/mnt", **entry})
    assert box.report().mount("/mnt").type == "tmpfs"


@decides("config.mounts.source-device")
def test_the_source_is_handed_to_the_kernel(workshop: Workshop, container: Maker) -> None:
    box = container()
    config.add_mount(box.config, "/mnt", "tmpfs", workshop.token)
    assert box.report().mount("/mnt").source == workshop.token


TYPES = ("none", "bind", "tmpfs", "no-such-file-system", "proc", "")


def bind_mounts(workshop: Workshop) -> tuple[Trials, Path]:
    """Each option with each type and without one; ``without`` is a type "" that is left out."""
    source = workshop.directory("source")
    source.chmod(0o777)
    (source / "note").write_text("of the host")
    trials = {}
    for option in ("bind", "rbind"):
        for type in TYPES:
            name = f"{option}-{type or 'without'}"
            made = trial(name, source, option, "read={}/note", f"create={{}}/by-{name}", type=type)
            if not type:
                del made.entries[0]["type"]
            trials[name] = made
    return Trials(workshop, trials), source


def check_bind_mount(shared: Shared, name: str) -> None:
    """It is written through, so that it is no copy."""
    trials, _ = shared(bind_mounts)
    assert trials[name].file(f"{place(name)}/note") == "of the host"
    assert trials[name].errno("create", f"{place(name)}/by-{name}") == 0


@pytest.mark.parametrize(
    "option",
    [
        pytest.param("bind", marks=decides("config.mounts.bind-by-bind")),
        pytest.param("rbind", marks=decides("config.mounts.bind-by-rbind")),
    ],
)
@pytest.mark.parametrize("type", ["none", "bind", "tmpfs", "without"])
@decides("config.mounts.source-directory", "config.mounts.source-absolute")
def test_an_option_makes_a_bind_mount(shared: Shared, option: str, type: str) -> None:
    check_bind_mount(shared, f"{option}-{type}")


@decides("config.posix-platform-mounts.type-of-a-bind-mount")
@pytest.mark.parametrize("type", ["none", "no-such-file-system", "proc", "without"])
def test_the_type_of_a_bind_mount_has_no_meaning(shared: Shared, type: str) -> None:
    check_bind_mount(shared, f"bind-{type}")


@decides("config.mounts.source-file")
@pytest.mark.parametrize("exists", [True, False], ids=["on a file", "on nothing"])
def test_a_file_can_be_bind_mounted(workshop: Workshop, container: Maker, exists: bool) -> None:
    source = workshop.folder / "file"
    source.write_text("of the host")
    box = container()
    if exists:
        (box.rootfs / "etc" / "file").write_text("of the rootfs")
    config.add_mount(box.config, "/etc/file", "none", str(source), "bind")
    assert box.report("read=/etc/file").file("/etc/file") == "of the host"
    if exists:
        assert (box.rootfs / "etc" / "file").read_text() == "of the rootfs"


@decides("config.mounts.source-relative")
@pytest.mark.parametrize("source", ["data", "./data"])
def test_a_relative_source_is_relative_to_the_bundle(workshop: Workshop, runtime: Runtime, source: str) -> None:
    elsewhere = workshop.directory("elsewhere")
    box = workshop.container("report", "read=/mnt/note")
    for folder in (elsewhere, box.bundle.path):
        (folder / "data").mkdir()
        (folder / "data" / "note").write_text(folder.name)
    config.add_mount(box.config, "/mnt", "none", source, "bind")
    box.bundle.write()
    arguments = ("--bundle", box.bundle.path, "--pid-file", box.pid_file, box.id)
    runtime.call("create", *arguments, cwd=elsewhere).succeeded()
    box.exists, box.out = True, runtime.last.out
    box.watch()
    box.start()
    assert box.seen(box.wait()).file("/mnt/note") == box.bundle.path.name


@decides("config.mounts.source-missing")
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_a_source_that_is_not_there_is_refused_and_not_made(
    workshop: Workshop, container: Maker, relative: bool
) -> None:
    box = container()
    absent = box.bundle.path / "absent"
    config.add_mount(box.config, "/mnt", "bind", "absent" if relative else str(absent), "bind")
    box.create(expect="error")
    assert not absent.exists()
    box.gone()


#: File systems that a container can have of its own, with the options that they want.
FILE_SYSTEMS = {
    "tmpfs": "", "proc": "", "sysfs": "", "devpts": "newinstance ptmxmode=0666 mode=0620", "mqueue": "",
}  # fmt: skip


#: Where a runtime may insist on having them.
AT = {"proc": "/proc", "sysfs": "/sys"}


def file_systems(workshop: Workshop) -> Trials:
    trials = {}
    for name, options in FILE_SYSTEMS.items():
        trials[name] = trial(name, "of-the-config", options, type=name)
        trials[name].entries[0]["destination"] = AT.get(name, place(name))

    def change(of: config.Config) -> None:
        of["mounts"].clear()
        config.add_namespace(of, "network")

    return Trials(workshop, trials, change)


@decides("config.posix-platform-mounts.type")
@pytest.mark.parametrize(
    "type", [pytest.param(name, marks=[needs("mqueue")] if name == "mqueue" else []) for name in FILE_SYSTEMS]
)
def test_the_file_system_of_the_type_is_mounted(shared: Shared, type: str) -> None:
    mount = shared(file_systems)[type].mount(AT.get(type, place(type)))
    assert (mount.type, mount.source) == (type, "of-the-config")


@decides("config.posix-platform-mounts.type")
@needs("root")
def test_cgroups_can_be_mounted(container: Maker) -> None:
    """On v1 each hierarchy is below, where the runtime has a tmpfs for them."""
    box = container()
    config.add_mount(box.config, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    seen = box.report()
    types = {mount.type for mount in seen.mounts() if mount.target.startswith("/sys/fs/cgroup")}
    assert ("cgroup2" if cgroup.version() == 2 else "cgroup") in types


@decides("config.posix-platform-mounts.type-unknown")
def test_a_type_that_the_kernel_has_not_is_refused(container: Maker) -> None:
    box = container()
    config.add_mount(box.config, "/mnt", "no-such-file-system", "none")
    box.create(expect="error")
    box.gone()
