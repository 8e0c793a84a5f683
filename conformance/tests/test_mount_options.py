"""config#linux-mount-options: options that concern one mount, in the mount table and by what they do."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.marks import decides, needs, optional
from conformance.support import mounting
from conformance.support.trials import Trials, place, trial

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

#: On a tmpfs, which refuses what it does not know: option -> the options, those that the mount has then, and has not.
TMPFS = {
    "async": ("sync async", "", "sync"),
    "atime": ("noatime atime", "", "noatime"),
    "defaults": ("defaults", "rw", "nosuid nodev noexec sync"),
    "dev": ("nodev dev", "", "nodev"),
    "diratime": ("nodiratime diratime", "", "nodiratime"),
    "dirsync": ("dirsync", "dirsync", "sync"),
    "exec": ("noexec exec", "", "noexec"),
    "iversion": ("iversion", "rw", ""),
    "lazytime": ("lazytime", "lazytime", ""),
    "loud": ("silent loud", "rw", ""),
    "noatime": ("noatime", "noatime", "relatime"),
    "nodev": ("nodev", "nodev", "nosuid noexec ro"),
    "nodiratime": ("nodiratime", "nodiratime", "noatime"),
    "noexec": ("noexec", "noexec", "nosuid nodev ro"),
    "noiversion": ("iversion noiversion", "rw", ""),
    "nolazytime": ("lazytime nolazytime", "", "lazytime"),
    "norelatime": ("relatime norelatime", "rw", ""),
    "nostrictatime": ("strictatime nostrictatime", "relatime", ""),
    "nosuid": ("nosuid", "nosuid", "nodev noexec ro"),
    "ro": ("ro", "ro", "rw nosuid nodev noexec"),
    "rw": ("ro rw", "rw", "ro"),
    "silent": ("silent", "rw", ""),
    "strictatime": ("strictatime", "", "relatime noatime"),
    "suid": ("nosuid suid", "", "nosuid"),
    "sync": ("sync", "sync", ""),
    "nosymfollow": ("nosymfollow", "nosymfollow", ""),
    "symfollow": ("nosymfollow symfollow", "", "nosymfollow"),
}  # fmt: skip

#: On a bind mount, whose file system is as it was.
BIND = ("noatime", "nodev", "nodiratime", "noexec", "nosuid", "nosymfollow", "ro")

#: What a user namespace's root cannot change of a mount that comes from outside (mount_namespaces(7)).
LOCKED = frozenset({"noatime", "nodiratime", "strictatime"})

#: What a runtime should implement, and need not.
OPTIONAL = frozenset({"nosymfollow", "symfollow"})


def each(names: Iterable[str], of_root: Container[str] = ()) -> pytest.MarkDecorator:
    """A parameter ``option`` that decides the statement of its name; those in ``of_root`` need root."""

    def marks(name: str) -> list[pytest.MarkDecorator]:
        wanted = [optional("mountOptions", name)] if name in OPTIONAL else []
        wanted += [needs("root")] if name in of_root else []
        return [decides(f"config.linux-mount-options.{name}"), *wanted]

    return pytest.mark.parametrize("option", [pytest.param(name, marks=marks(name)) for name in names])


def on_tmpfs(workshop: Workshop) -> Trials:
    return Trials(workshop, {name: trial(name, name, given, type="tmpfs") for name, (given, _, _) in TMPFS.items()})


@each(TMPFS)
def test_a_tmpfs_has_the_option(shared: Shared, option: str) -> None:
    _, has, lacks = TMPFS[option]
    mount = shared(on_tmpfs).mount(option)
    assert (mount.type, mount.source) == ("tmpfs", option)
    # What is of one mount comes first: a file system that is read-only can be mounted "rw".
    options = mount.options | (mount.super_options - {"rw"})
    assert options >= set(has.split())
    assert not options & set(lacks.split())


def source(workshop: Workshop, name: str) -> Path:
    """A directory of the host's with a file, a link to it and the probe, to be bind-mounted."""
    made = workshop.directory(name)
    made.chmod(0o777)
    (made / "note").write_text("of the host")
    (made / "link").symlink_to("note")
    os.link(workshop.host_probe(), made / "probe")
    return made


def on_bind(workshop: Workshop) -> Trials:
    """With "none" as the mount that has no option of its own."""
    here = source(workshop, "source")
    trials = {name: trial(name, here, f"bind {name}") for name in BIND}
    return Trials(workshop, {**trials, "none": trial("none", here, "bind")})


@each(BIND, of_root=LOCKED)
def test_a_bind_mount_has_the_option(shared: Shared, option: str) -> None:
    trials = shared(on_bind)
    assert option in trials.mount(option).options
    assert option not in trials.mount("none").options


#: What is done in a bind mount with options, and how it ends.
DEEDS: dict[str, tuple[str, str, Any]] = {
    "exec": ("bind noexec exec", "execute={}/probe", {"status": 0}),
    "noexec": ("bind noexec", "execute={}/probe", {"errno": errno.EACCES}),
    "nosymfollow": ("bind nosymfollow", "open-read={}/link", {"errno": errno.ELOOP}),
    "symfollow": ("bind nosymfollow symfollow", "open-read={}/link", {"errno": 0}),
    "ro": ("bind ro", "create={}/made", {"errno": errno.EROFS}),
    "rw": ("bind ro rw", "create={}/made-too", {"errno": 0}),
}


def deeds(workshop: Workshop) -> tuple[Trials, Path]:
    here = source(workshop, "source")
    trials = {name: trial(name, here, given, asked) for name, (given, asked, _) in DEEDS.items()}
    return Trials(workshop, trials), here


@each(DEEDS)
def test_a_bind_mount_behaves_so(shared: Shared, option: str) -> None:
    _, asked, ends = DEEDS[option]
    trials, _ = shared(deeds)
    kind, _, value = asked.format(place(option)).partition("=")
    assert trials[option].answer(kind, value) == ends


@decides("config.linux-mount-options.ro")
def test_the_source_of_a_bind_mount_that_is_ro_stays_writable(workshop: Workshop, container: Maker) -> None:
    here = source(workshop, "source")
    box = container("report", "open-write=/mnt/note", "+", "wait")
    config.add_mount(box.config, "/mnt", "none", str(here), "bind", "ro")
    assert box.running().seen().errno("open-write", "/mnt/note") == errno.EROFS
    (here / "note").write_text("changed")


#: A device in the mount: what opening it ends with.
DEVICES = {"dev": ("nodev dev", 0), "nodev": ("nodev", errno.EACCES)}


def devices(workshop: Workshop) -> Trials:
    def able(of: config.Config) -> None:
        for names in of["process"]["capabilities"].values():
            names.append("CAP_MKNOD")

    asked = ("mknod={}/null", "open-read={}/null")
    trials = {name: trial(name, name, given, *asked, type="tmpfs") for name, (given, _) in DEVICES.items()}
    return Trials(workshop, trials, able)


@each(DEVICES)
@needs("root", "cap_mknod")
def test_a_device_can_be_opened_or_not(shared: Shared, option: str) -> None:
    seen = shared(devices)[option]
    assert seen.errno("mknod", f"{place(option)}/null") == 0
    assert seen.errno("open-read", f"{place(option)}/null") == DEVICES[option][1]


#: What reading a file does to its time of access: how old this is in seconds, and whether it changes.  With relatime it
#: changes only where it lies before the last change of the file (mount(8)), which was just now.
READING = {"noatime": (3600, False), "strictatime": (-3600, True)}


def readings(workshop: Workshop) -> tuple[Trials, dict[str, tuple[float, float]]]:
    """With the time of access of each file, before and after."""
    trials, before, folders = {}, {}, {}
    for name, (accessed, _) in READING.items():
        folders[name] = source(workshop, name)
        trials[name] = trial(name, folders[name], f"bind {name}", "read={}/note")
        os.utime(folders[name] / "note", (time.time() - accessed, time.time()))
        before[name] = (folders[name] / "note").stat().st_atime
    made = Trials(workshop, trials)
    return made, {name: (before[name], (folders[name] / "note").stat().st_atime) for name in READING}


@each(READING, of_root=LOCKED)
def test_reading_changes_the_time_of_access_or_not(shared: Shared, option: str) -> None:
    trials, times = shared(readings)
    assert trials[option].file(f"{place(option)}/note") == "of the host"
    before, after = times[option]
    assert (before != after) is READING[option][1]


@decides("config.linux-mount-options.relatime")
@needs("root")
def test_relatime_changes_what_the_source_of_a_bind_mount_has(workshop: Workshop, container: Maker) -> None:
    tree = mounting.Tree(workshop, flags=mounting.STRICTATIME)
    box = container()
    config.add_mount(box.config, "/mnt", "none", str(tree.top), "bind", "relatime")
    config.add_mount(box.config, "/tmp", "none", str(tree.top), "bind")
    seen = box.report()
    assert "relatime" in seen.mount("/mnt").options
    assert "relatime" not in seen.mount("/tmp").options


@decides("config.linux-mount-options.remount")
def test_remount_changes_the_mount_that_is_there(container: Maker) -> None:
    box = container()
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "nosuid")
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "remount", "ro")
    seen = box.report("create=/mnt/made")
    assert [mount.target for mount in seen.mounts()].count("/mnt") == 1
    assert seen.errno("create", "/mnt/made") == errno.EROFS


@pytest.mark.parametrize(
    "option", [pytest.param(name, marks=decides(f"config.linux-mount-options.{name}")) for name in ("mand", "nomand")]
)
def test_mandatory_locks_are_refused_or_no_other_option(container: Maker, option: str) -> None:
    """Linux has had none since 5.15, and still takes the option."""
    box = container("report")
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", option)
    if box.create(expect="any").status:
        box.gone()
        return
    box.start()
    mount = box.seen(box.wait()).mount("/mnt")
    assert mount.type == "tmpfs"
    assert mount.options - {"mand"} == {"rw", "relatime"}


@decides("config.linux-mount-options.tmpcopyup")
@optional("mountOptions", "tmpcopyup")
def test_tmpcopyup_copies_what_the_tmpfs_covers(container: Maker) -> None:
    box = container("report", "read=/data/note", "read=/data/inner/note", "create=/data/made")
    (box.rootfs / "data" / "inner").mkdir(parents=True)
    for folder in ("data", "data/inner"):
        (box.rootfs / folder / "note").write_text(folder)
    config.add_mount(box.config, "/data", "tmpfs", "tmpfs", "tmpcopyup")
    if box.create(expect="any").status:
        box.gone()
        return
    box.start()
    seen = box.seen(box.wait())
    assert seen.mount("/data").type == "tmpfs"
    assert (seen.file("/data/note"), seen.file("/data/inner/note")) == ("data", "data/inner")
    assert not (box.rootfs / "data" / "made").exists()


def for_tmpfs(workshop: Workshop) -> Trials:
    asked = ("stat={}", *(f"create={{}}/{number}" for number in range(25)))
    options = {"one": "size=64k", "several": "size=64k mode=710 nr_inodes=20"}
    return Trials(workshop, {name: trial(name, name, given, *asked, type="tmpfs") for name, given in options.items()})


@decides("config.linux-mount-options.unknown")
def test_an_option_of_the_file_system_is_handed_over(shared: Shared) -> None:
    assert "size=64k" in shared(for_tmpfs).mount("one").super_options


@decides("config.linux-mount-options.unknown-joined")
def test_all_options_of_the_file_system_are_handed_over(shared: Shared) -> None:
    seen = shared(for_tmpfs)["several"]
    made = [seen.errno("create", f"{place('several')}/{number}") for number in range(25)]
    assert "size=64k" in seen.mount(place("several")).super_options
    assert stat.S_IMODE(seen.answer("stat", place("several"))["mode"]) == 0o710
    # The root of a tmpfs takes one of its inodes.
    assert made == [0] * 19 + [errno.ENOSPC] * 6


@decides("config.linux-mount-options.unknown-refused")
@pytest.mark.parametrize("option", ["no-such-option", "size=none", "no-such-option=1"])
def test_an_option_that_the_file_system_refuses_is_refused(workshop: Workshop, container: Maker, option: str) -> None:
    box = container()
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "nosuid", option)
    box.create(expect="error")
    box.gone()
    workshop.nothing_left()
