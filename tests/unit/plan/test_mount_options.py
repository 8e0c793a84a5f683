"""Mount options become attributes, propagation and data as mount(8), runc and the kernel mean them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.plan import kernel as k
from pyrunc.plan import mount_options
from pyrunc.plan.mounts import parse_id_map
from pyrunc.spec.mount_checks import normal


@pytest.mark.parametrize(
    ("options", "attr_set", "attr_clear"),
    [
        (["ro"], k.MOUNT_ATTR_RDONLY, 0),
        (["ro", "rw"], 0, k.MOUNT_ATTR_RDONLY),
        (["rw", "ro"], k.MOUNT_ATTR_RDONLY, 0),
        (["nosuid", "nodev", "noexec"], 0xE, 0),
        (["nosuid", "suid"], 0, k.MOUNT_ATTR_NOSUID),
        (["noatime"], k.MOUNT_ATTR_NOATIME, k.MOUNT_ATTR__ATIME),
        (["noatime", "strictatime"], k.MOUNT_ATTR_STRICTATIME, k.MOUNT_ATTR__ATIME),
        (["noatime", "relatime"], 0, k.MOUNT_ATTR__ATIME),
        (["nosymfollow", "nodiratime"], k.MOUNT_ATTR_NOSYMFOLLOW | k.MOUNT_ATTR_NODIRATIME, 0),
    ],
)
def test_a_later_attribute_replaces_an_earlier_one(options: list[str], attr_set: int, attr_clear: int) -> None:
    found = mount_options.parse(options)
    assert (found.attr_set, found.attr_clear) == (attr_set, attr_clear)


def test_recursive_attributes_are_kept_apart() -> None:
    found = mount_options.parse(["ro", "rnoexec", "rrw"])
    assert (found.attr_set, found.attr_clear) == (k.MOUNT_ATTR_RDONLY, 0)
    assert (found.recursive_set, found.recursive_clear) == (k.MOUNT_ATTR_NOEXEC, k.MOUNT_ATTR_RDONLY)


def test_what_is_not_in_the_table_goes_to_the_file_system_with_its_place() -> None:
    found = mount_options.parse(["defaults", "mode=755", "nosuid", "size=1m", "xattr"])
    assert found.data == [(1, "mode=755"), (3, "size=1m"), (4, "xattr")]


def test_binds_and_extensions_are_recognised() -> None:
    found = mount_options.parse(["rbind", "rprivate", "tmpcopyup", "copy-symlink", "ridmap=uids=0-1-1;gids=0-1-1"])
    assert found.bind == k.MS_BIND | k.MS_REC
    assert found.propagation == [k.MS_PRIVATE | k.MS_REC]
    assert found.tmpcopyup
    assert found.copy_symlink
    assert found.idmap == (4, "ridmap=uids=0-1-1;gids=0-1-1")


@pytest.mark.parametrize(("name", "flag"), [("acl", k.MS_POSIXACL), ("iversion", k.MS_I_VERSION)])
def test_superblock_flags_without_a_name_for_fsconfig_ask_for_mount(name: str, flag: int) -> None:
    found = mount_options.parse([name])
    assert found.only_mount
    assert found.ms_flags == flag
    assert not mount_options.parse(["sync", "lazytime"]).only_mount


@given(st.lists(st.sampled_from(sorted(mount_options.ATTRIBUTES))))
def test_no_attribute_bit_is_both_set_and_cleared_except_the_access_time_field(options: list[str]) -> None:
    found = mount_options.parse(options)
    assert found.attr_set & found.attr_clear & ~k.MOUNT_ATTR__ATIME == 0
    # mount_setattr(2) wants the whole field cleared when any of it is set
    if found.attr_set & k.MOUNT_ATTR__ATIME:
        assert found.attr_clear & k.MOUNT_ATTR__ATIME == k.MOUNT_ATTR__ATIME


@given(st.lists(st.sampled_from(sorted(mount_options.NAMES))))
def test_every_known_name_is_taken_out_of_the_data(options: list[str]) -> None:
    assert mount_options.parse(options).data == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a/b", "/a/b"), ("a", "/a"), ("/a/./b//c/", "/a/b/c"), ("/../../x", "/x"), ("/a/../b", "/b"), ("", "/")],
)
def test_a_path_is_normalised_without_leaving_the_root(path: str, expected: str) -> None:
    assert normal(path) == expected


def test_id_maps_of_an_option_become_map_lines() -> None:
    uids, gids = parse_id_map("uids=0-1000-1#1-100000-10;gids=0-1000-1")
    assert uids == "0 1000 1\n1 100000 10\n"
    assert gids == "0 1000 1\n"


@pytest.mark.parametrize(
    "value", ["uids=0-1-1", "uids=0-1;gids=0-1-1", "uids=a-1-1;gids=0-1-1", "x=0-1-1;gids=0-1-1", ""]
)
def test_a_malformed_id_map_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"expected|is not"):
        parse_id_map(value)
