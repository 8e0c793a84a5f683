"""Headers as tarfile, an independent reader, understands them."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.host.layers import tar

NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and not name.endswith(b"/") and not name.startswith(b"/")
)


def read(*members: tar.Member) -> list[tarfile.TarInfo]:
    data = b"".join(tar.header(member) for member in members) + tar.END
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as opened:
        return opened.getmembers()


def test_a_plain_member_is_one_block() -> None:
    member = tar.Member(b"etc/hosts", tar.REGULAR, mode=0o644, mtime=1_700_000_000_000_000_000)
    assert len(tar.header(member)) == tar.BLOCK
    (found,) = read(member)
    assert (found.name, found.mode, found.mtime, found.uid, found.size) == ("etc/hosts", 0o644, 1_700_000_000, 0, 0)
    assert found.isreg()
    assert found.pax_headers == {}


@given(NAMES, NAMES)
def test_any_name_and_target_survive(name: bytes, link: bytes) -> None:
    member = tar.Member(name, tar.SYMLINK)
    member.link = link
    (found,) = read(member)
    assert found.name.encode("utf-8", "surrogateescape") == name
    assert found.linkname.encode("utf-8", "surrogateescape") == link


@given(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2), st.integers(0, 2**62))
def test_any_owner_and_size_survive(uid: int, gid: int, size: int) -> None:
    member = tar.Member(b"a", tar.REGULAR)
    member.uid, member.gid, member.size = uid, gid, size
    found = tarfile.TarFile.open(fileobj=io.BytesIO(tar.header(member) + tar.END), mode="r:", ignore_zeros=False).next()
    assert found is not None
    assert (found.uid, found.gid, found.size) == (uid, gid, size)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (1, "0.000000001"),
        (1_500_000_000_123_456_789, "1500000000.123456789"),
        (-1, "-0.000000001"),
        (-1_500_000_000, "-1.500000000"),
        (-2_000_000_000, "-2"),
        (2**34 * 1_000_000_000, "17179869184"),
    ],
)
def test_times_that_are_no_whole_seconds_after_1970_are_written_out(time: int, text: str) -> None:
    (found,) = read(tar.Member(b"a", tar.REGULAR, mtime=time))
    assert found.pax_headers["mtime"] == text


@given(st.dictionaries(st.from_regex(r"(user|trusted)\.[a-z\n ]{1,60}", fullmatch=True), st.binary(max_size=300)))
def test_extended_attributes_may_hold_any_bytes(xattrs: dict[str, bytes]) -> None:
    member = tar.Member(b"a", tar.REGULAR)
    member.xattrs = xattrs
    (found,) = read(member)
    assert {
        key.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
        for key, value in found.pax_headers.items()
    } == xattrs


@pytest.mark.parametrize("size", range(80, 110))
def test_the_length_of_a_record_counts_its_own_digits(size: int) -> None:
    member = tar.Member(b"a", tar.REGULAR)
    member.xattrs = {"user.x": b"v" * size}
    (found,) = read(member, tar.Member(b"b", tar.REGULAR))[:1]
    assert found.pax_headers["SCHILY.xattr.user.x"] == "v" * size


def test_devices_keep_their_numbers() -> None:
    member = tar.Member(b"null", tar.CHARACTER)
    member.device = (4095, 1048575)
    (found,) = read(member)
    assert (found.devmajor, found.devminor) == (4095, 1048575)
    assert found.ischr()


def test_a_long_directory_keeps_its_slash_out_of_the_name() -> None:
    (found,) = read(tar.Member(b"d" * 150 + b"/", tar.DIRECTORY))
    assert found.isdir()
    assert found.name == "d" * 150
