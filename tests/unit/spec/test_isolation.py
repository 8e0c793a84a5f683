"""The io.pyrunc annotations and their flags: what is taken, what is refused, and that the schema says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec import isolation, load
from pyrunc.spec.isolation import COW, ROOTFS, TMP, WORKSPACE
from tests.unit.spec.support import BIND, ISOLATION, OTHER, annotated, config, said

REPOSITORY = Path(__file__).parents[3]
MAPPING = {"containerID": 0, "hostID": 1, "size": 1}
FIRST = len(config()["mounts"])
KNOWN = "there are io.pyrunc.tmp, io.pyrunc.workspace, io.pyrunc.rootfs, io.pyrunc.cow"
SIZES = "expected digits, the first from 1 to 9, with an optional k, m, g or %"


def complaints(document: dict[str, Any]) -> list[str]:
    """What load_spec says, ``annotations["io.pyrunc.X"]: text`` shortened to ``X: text``."""
    return [line.replace('annotations["io.pyrunc.', "", 1).replace('"]: ', ": ", 1) for line in said(document)]


ACCEPTED = [
    {"tmp": "private"},
    {"tmp": "private,size=64m"},
    {"tmp": "private,size=1048576", "rootfs": "ephemeral,size=10%"},
    {"rootfs": "ephemeral"},
    {"workspace": "/work"},
    {"workspace": "/work,size=2G"},
    {"workspace": "cwd"},
    {"workspace": "cwd,size=1K"},
    {"workspace": "//a/./b c/é:d..e/"},
    {"workspace": "/procedure"},
    {"workspace": "/tmp/work", "tmp": "private"},
    {"workspace": "/tmp"},
    {"workspace": "/data/work", "cow": "/data"},
    {"cow": "/data"},
    {"cow": "/data/./:/etc/hosts"},
    {"tmp": f"private,size={'9' * 18}", "workspace": f"cwd,size={'9' * 9}g"},
]


@pytest.mark.parametrize("annotations", ACCEPTED, ids=str)
def test_what_makes_sense_is_accepted(annotations: dict[str, str]) -> None:
    assert said(annotated(annotations, BIND, OTHER)) == []


MALFORMED = {
    ("tpm", "private"): f"tpm: unknown (did you mean io.pyrunc.tmp?); {KNOWN}",
    ("private-tmp", "private"): f"private-tmp: unknown (did you mean io.pyrunc.tmp?); {KNOWN}",
    ("Workspace", "cwd"): f"Workspace: unknown (did you mean io.pyrunc.workspace?); {KNOWN}",
    ("version", "1"): f"version: unknown; {KNOWN}",
    ("", "1"): f": unknown; {KNOWN}",
    ("tmp", ""): 'tmp: expected private[,size=SIZE], got ""',
    ("tmp", "true"): 'tmp: expected private[,size=SIZE], got "true"',
    ("tmp", "Private"): 'tmp: expected private[,size=SIZE], got "Private"',
    ("tmp", "private "): 'tmp: expected private[,size=SIZE], got "private "',
    ("tmp", "private\n"): 'tmp: expected private[,size=SIZE], got "private\\n"',
    ("tmp", "size=1m"): 'tmp: expected private[,size=SIZE], got "size=1m"',
    ("rootfs", "private"): 'rootfs: expected ephemeral[,size=SIZE], got "private"',
    ("tmp", "private,"): 'tmp: expected size=SIZE, got ""',
    ("tmp", "private,size"): 'tmp: expected size=SIZE, got "size"',
    ("tmp", "private,mode=700"): 'tmp: expected size=SIZE, got "mode=700"',
    ("tmp", "private, size=1m"): 'tmp: expected size=SIZE, got " size=1m"',
    ("tmp", "private,size="): f'tmp: "" is no size; {SIZES}',
    ("tmp", "private,size=m"): f'tmp: "m" is no size; {SIZES}',
    ("tmp", "private,size=0"): f'tmp: "0" is no size; {SIZES}',
    ("tmp", "private,size=064m"): f'tmp: "064m" is no size; {SIZES}',
    ("tmp", "private,size=64mb"): f'tmp: "64mb" is no size; {SIZES}',
    ("tmp", "private,size=64\u212a"): f'tmp: "64\u212a" is no size; {SIZES}',
    ("tmp", "private,size=٣m"): f'tmp: "٣m" is no size; {SIZES}',
    ("tmp", "private,size=-1"): f'tmp: "-1" is no size; {SIZES}',
    ("tmp", "private,size=1t"): f'tmp: "1t" is no size; {SIZES}',
    ("tmp", "private,size=1m,size=2m"): f'tmp: "1m,size=2m" is no size; {SIZES}',
    ("tmp", f"private,size={'9' * 10}g"): f'tmp: "{"9" * 10}g" is too large a size',
    ("tmp", "private,size=1000%"): 'tmp: "1000%" is too large a size',
    ("workspace", ""): 'workspace: "" is neither cwd nor an absolute path',
    ("workspace", "work"): 'workspace: "work" is neither cwd nor an absolute path',
    ("workspace", "CWD"): 'workspace: "CWD" is neither cwd nor an absolute path',
    ("workspace", "/"): 'workspace: "/" is the container\'s root directory',
    ("workspace", "//.//."): 'workspace: "//.//." is the container\'s root directory',
    ("workspace", "/a/../b"): 'workspace: "/a/../b" contains ..',
    ("workspace", "/.."): 'workspace: "/.." contains ..',
    ("workspace", "/proc"): 'workspace: "/proc" is in /proc, where everything is the kernel\'s',
    ("workspace", "/./proc//self"): 'workspace: "/./proc//self" is in /proc, where everything is the kernel\'s',
    ("workspace", "/sys/fs"): 'workspace: "/sys/fs" is in /sys, where everything is the kernel\'s',
    ("workspace", "/a,size=1x"): f'workspace: "1x" is no size; {SIZES}',
    ("workspace", "/a,b"): 'workspace: expected size=SIZE, got "b"',
    ("cow", ""): 'cow: expected DEST[:DEST...], got ""',
    ("cow", "data"): 'cow: "data" is not an absolute path',
    ("cow", "/data:"): 'cow: "" is not an absolute path',
    ("cow", "/"): 'cow: "/" is the container\'s root directory',
    ("cow", "/data/../data"): 'cow: "/data/../data" contains ..',
    ("cow", "/sys"): 'cow: "/sys" is in /sys, where everything is the kernel\'s',
}


@pytest.mark.parametrize(("key", "value"), MALFORMED, ids=repr)
def test_a_malformed_annotation_is_refused_by_name(key: str, value: str) -> None:
    document = annotated({key: value}, BIND)
    assert complaints(document) == [MALFORMED[key, value]]
    assert not ISOLATION.is_valid(document["annotations"])


CONFLICTS: list[tuple[dict[str, str], tuple[dict[str, Any], ...], str, list[str]]] = [
    ({"workspace": "cwd"}, (), "/", ['workspace: cwd means process.cwd, but "/" is the container\'s root directory']),
    ({"workspace": "cwd"}, (), "/a/..", ['workspace: cwd means process.cwd, but "/a/.." contains ..']),
    (
        {"workspace": "cwd"},
        (),
        "/sys/x",
        ['workspace: cwd means process.cwd, but "/sys/x" is in /sys, where everything is the kernel\'s'],
    ),
    ({"workspace": "cwd"}, (), "work", ['process.cwd: "work" is not an absolute path']),
    (
        {"workspace": "/tmp/,size=1m", "tmp": "private"},
        (),
        "/",
        ['workspace: "/tmp" is private by annotations["io.pyrunc.tmp"] already'],
    ),
    (
        {"workspace": "cwd", "tmp": "private"},
        (),
        "/tmp/.",
        ['workspace: "/tmp" is private by annotations["io.pyrunc.tmp"] already'],
    ),
    (
        {"workspace": "/data/", "cow": "//data"},
        (BIND,),
        "/",
        ['workspace: "/data" is copy-on-write by annotations["io.pyrunc.cow"] already'],
    ),
    ({"cow": "/data"}, (), "/", ['cow: "/data" is not the destination of a bind mount; there is none']),
    (
        {"cow": "/data/sub"},
        (BIND, OTHER),
        "/",
        ['cow: "/data/sub" is not the destination of a bind mount; those are at "/data", "/etc/hosts"'],
    ),
    (
        {"cow": "/dev/shm"},
        (),
        "/",
        ['cow: "/dev/shm" is the destination of mounts[3], which is no bind mount'],
    ),
    ({"cow": "/data:/data/."}, (BIND,), "/", ['cow: "/data" is there twice']),
    (
        {"cow": "/data"},
        (BIND, {"destination": "data", "type": "tmpfs"}),
        "/",
        [f'cow: "/data" is the destination of mounts[{FIRST + 1}], which is no bind mount'],
    ),
    (
        {"cow": "/data"},
        ({**BIND, "options": ["bind", "idmap=uids=0-1-1;gids=0-1-1"]},),
        "/",
        [f'cow: "/data" is the destination of mounts[{FIRST}], which is id-mapped, and so cannot be copy-on-write'],
    ),
    (
        {"cow": "/data"},
        ({**BIND, "uidMappings": [MAPPING], "gidMappings": [MAPPING]},),
        "/",
        [f'cow: "/data" is the destination of mounts[{FIRST}], which is id-mapped, and so cannot be copy-on-write'],
    ),
    (
        {"cow": "/data"},
        ({**BIND, "options": ["bind", "copy-symlink"]},),
        "/",
        [f'cow: "/data" is the destination of mounts[{FIRST}], whose copy-symlink excludes copy-on-write'],
    ),
]


@pytest.mark.parametrize(("annotations", "mounts", "cwd", "lines"), CONFLICTS, ids=lambda part: str(part)[:60])
def test_what_the_rest_of_the_config_does_not_allow_is_refused(
    annotations: dict[str, str], mounts: tuple[dict[str, Any], ...], cwd: str, lines: list[str]
) -> None:
    assert complaints(annotated(annotations, *mounts, cwd=cwd)) == lines


def test_a_size_that_was_cut_off_on_the_way_is_not_lost_silently() -> None:
    document = annotated({"workspace": "cwd"})
    document["annotations"]["size"] = "3m"
    quoted = "--annotation '\"io.pyrunc.workspace=cwd,size=3m\"'"
    line = f"annotations.size: cut from io.pyrunc.workspace at its comma; podman takes it in quotes: {quoted}"
    assert said(document) == [line]
    document["annotations"]["io.pyrunc.workspace"] = "cwd,size=3m"
    assert said(document) == []
    assert said(config({"annotations": {"size": "3m"}})) == []


def test_what_only_changes_a_mount_is_none() -> None:
    changes = [
        {"destination": "/data", "type": "bind", "source": "/x", "options": ["remount", "ro"]},
        {"destination": "/data", "options": ["rprivate"]},
    ]
    assert said(annotated({"cow": "/data"}, BIND, *changes)) == []
    assert "is not the destination of a bind mount" in complaints(annotated({"cow": "/data"}, *changes))[0]


def test_the_mount_on_top_is_the_one_that_is_copied() -> None:
    hidden = {"destination": "/data", "type": "tmpfs"}
    assert said(annotated({"cow": "/data"}, hidden, BIND)) == []


def test_every_violation_is_said_at_once() -> None:
    wrong = {"tmp": "no,size=0", "workspace": "work,mode=7", "cow": "/data:x:/e:/data", "rotfs": "x"}
    assert complaints(annotated(wrong, BIND)) == [
        'tmp: expected private[,size=SIZE], got "no,size=0"',
        f'tmp: "0" is no size; {SIZES}',
        'workspace: "work" is neither cwd nor an absolute path',
        'workspace: expected size=SIZE, got "mode=7"',
        'cow: "x" is not an absolute path',
        'cow: "/e" is not the destination of a bind mount; those are at "/data"',
        'cow: "/data" is there twice',
        f"rotfs: unknown (did you mean io.pyrunc.rootfs?); {KNOWN}",
    ]


def test_what_is_malformed_elsewhere_does_not_hide_a_malformed_annotation() -> None:
    document = annotated({"tmp": "no", "cow": "/data"})
    document["mounts"].append(5)
    assert [line.partition(":")[0] for line in said(document)] == [
        f"mounts[{FIRST}]",
        'annotations["io.pyrunc.tmp"]',
    ]


def test_annotations_of_others_are_theirs() -> None:
    document = config({"annotations": {"io.pyruncx": "x", "io.pyrunc": "y", "a.io.pyrunc.tmp": "z", "IO.PYRUNC.": ""}})
    assert said(document) == []
    assert ISOLATION.is_valid(document["annotations"])


def test_a_config_without_such_annotations_does_not_load_the_module() -> None:
    data = json.dumps(config({"annotations": {"io.podman.x": "1", "io.pyrunc": "2"}}))
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        f"from pyrunc.spec import load; load.load_spec({data.encode()!r})\n"
        "print('pyrunc.spec.isolation' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_reading_gives_places_sizes_and_normal_paths() -> None:
    annotations = {
        TMP: "private,size=64M",
        WORKSPACE: "//work/.,size=10%",
        ROOTFS: "ephemeral",
        COW: "/data/:/etc//hosts",
        "other": "x",
    }
    assert isolation.read(annotations, {}) == {
        "tmp": {"where": 'annotations["io.pyrunc.tmp"]', "size": "64m"},
        "workspace": {"where": 'annotations["io.pyrunc.workspace"]', "size": "10%", "path": "/work"},
        "rootfs": {"where": 'annotations["io.pyrunc.rootfs"]', "size": ""},
        "cow": {"where": 'annotations["io.pyrunc.cow"]', "destinations": ("/data", "/etc/hosts")},
    }
    assert isolation.read({WORKSPACE: "cwd,size=5"}, {})["workspace"]["path"] == "cwd"
    assert isolation.read({"other": "x"}, {}) == {}


def test_an_annotation_wins_over_the_flag_of_its_kind() -> None:
    flags = {TMP: "private,size=1m", WORKSPACE: "/a"}
    assert isolation.read({TMP: "private,size=2m"}, flags) == {
        "tmp": {"where": 'annotations["io.pyrunc.tmp"]', "size": "2m"},
        "workspace": {"where": "--workspace", "size": "", "path": "/a"},
    }


def test_what_the_flags_ask_for_must_suit_the_config() -> None:
    spec = load.load_value(annotated({"tmp": "private"}, BIND, cwd="/tmp"))
    flags = {WORKSPACE: "cwd", COW: "/data:/e", ROOTFS: "ephemeral,size=x"}
    with pytest.raises(SpecError) as caught:
        isolation.wanted(spec, flags)
    assert str(caught.value).split("\n") == [
        f'--ephemeral-rootfs: "x" is no size; {SIZES}',
        '--workspace: "/tmp" is private by annotations["io.pyrunc.tmp"] already',
        '--cow: "/e" is not the destination of a bind mount; those are at "/data"',
    ]
    assert isolation.wanted(spec, {COW: "/data", TMP: "malformed"}) == {
        "tmp": {"where": 'annotations["io.pyrunc.tmp"]', "size": ""},
        "cow": {"where": "--cow", "destinations": ("/data",)},
    }
    assert isolation.wanted(spec, {}).keys() == {"tmp"}
