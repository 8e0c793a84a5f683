"""The tar format as image layers use it: POSIX.1-2017 pax, "pax Interchange Format" and "ustar Interchange Format".

Bytes of headers, nothing else.  Written here because the standard library's writer keeps every member in memory, and
cannot say an extended attribute whose bytes are not text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)

REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_EXTENDED = b"x"

_NAME_LIMIT = 100
_ID_LIMIT = 0o7777777
_NUMBER_LIMIT = 0o77777777777  # 8 GiB
_SECOND = 1_000_000_000
_ASCII = bytes(byte if byte < 0x80 else 0x3F for byte in range(256))

#: name mode uid gid size mtime chksum typeflag linkname magic+version uname+gname devmajor devminor prefix.  The
#: checksum counts itself as blanks; names of owners are the host's, which mean nothing in an image.
_BLOCK = (
    b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" + b" " * 8 + b"%b%bustar\x0000" + bytes(64) + b"%07o\0%07o\0" + bytes(167)
)


class Member:
    """One object: ``name`` and ``link`` are paths in the archive, ``mtime`` counts nanoseconds."""

    __slots__ = ("device", "gid", "kind", "link", "mode", "mtime", "name", "size", "uid", "xattrs")

    def __init__(self, name: bytes, kind: bytes, *, mode: int = 0, mtime: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.mtime = mtime
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.link = b""
        self.device = (0, 0)
        self.xattrs: Mapping[str, bytes] = {}


def header(member: Member) -> bytes:
    """The blocks that stand before the content of ``member``."""
    records = _records(member)
    block = _block(member, member.name, member.kind, member.size)
    if not records:
        return block
    # What the extended header itself is called matters to readers that do not know of it: they extract it as a file.
    name = b"PaxHeaders/" + member.name.rstrip(b"/").rpartition(b"/")[2]
    carrier = Member(name, _EXTENDED, mode=0o644, mtime=member.mtime)
    return _block(carrier, name, _EXTENDED, len(records)) + records + padding(len(records)) + block


def padding(size: int) -> bytes:
    """What follows a content of that many bytes, up to the next block."""
    return bytes(-size % BLOCK)


def _records(member: Member) -> bytes:
    """Whatever the fields of the old header cannot say."""
    found: list[tuple[bytes, bytes]] = []
    if _needs_record(member.name):
        found.append((b"path", member.name))
    if _needs_record(member.link):
        found.append((b"linkpath", member.link))
    found += [
        (key, b"%d" % number)
        for key, number, limit in (
            (b"uid", member.uid, _ID_LIMIT),
            (b"gid", member.gid, _ID_LIMIT),
            (b"size", member.size, _NUMBER_LIMIT),
        )
        if number > limit
    ]
    if member.mtime % _SECOND or not 0 <= member.mtime // _SECOND <= _NUMBER_LIMIT:
        found.append((b"mtime", _decimal(member.mtime)))
    found += [(b"SCHILY.xattr." + _bytes(name), member.xattrs[name]) for name in sorted(member.xattrs)]
    return b"".join(_record(key, value) for key, value in found)


def _needs_record(path: bytes) -> bool:
    return len(path) > _NAME_LIMIT or not path.isascii()


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE`` and a newline; the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _decimal(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), _SECOND)
    sign = b"-" if nanoseconds < 0 else b""
    return b"%s%d.%09d" % (sign, seconds, rest) if rest else b"%s%d" % (sign, seconds)


def _block(member: Member, name: bytes, kind: bytes, size: int) -> bytes:
    fields = _BLOCK % (
        _old(name),
        member.mode,
        min(member.uid, _ID_LIMIT),
        min(member.gid, _ID_LIMIT),
        min(size, _NUMBER_LIMIT),
        min(max(member.mtime // _SECOND, 0), _NUMBER_LIMIT),
        kind,
        _old(member.link),
        *member.device,
    )
    return b"%b%06o\0 %b" % (fields[:148], sum(fields), fields[156:])


def _old(path: bytes) -> bytes:
    """A path as the old field can hold it; where that is not all of it, a record says the rest."""
    return path[:_NAME_LIMIT].translate(_ASCII).ljust(_NAME_LIMIT, b"\0")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
