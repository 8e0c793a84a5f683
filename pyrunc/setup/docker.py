"""docker: ``runtimes`` and ``default-runtime`` of daemon.json.

JSON has no comments to mark our part with, so what was there before is kept in a file beside daemon.json.  As long as
nobody has edited daemon.json since, a removal puts that back; else only our members are taken out.
"""

from __future__ import annotations

import hashlib
from typing import cast

from pyrunc.errors import HostError, PyruncError
from pyrunc.setup import json_text
from pyrunc.setup.toml import at
from pyrunc.setup.wish import NAME
from pyrunc.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    from pyrunc.setup.wish import Wish

    class Record(TypedDict):
        """What is kept beside daemon.json: its text before, None for no file, and the SHA-256 of what was written."""

        before: str | None
        written: str


FILE = "docker/daemon.json"
RECORD = ".before-pyrunc"

_ENTRY = ("runtimes", NAME)
_DEFAULT = "default-runtime"


def path(wish: Wish) -> str:
    return wish.file("/etc/" + FILE, FILE)


def without(text: str | None, where: str, record: str | None) -> str | None:
    if text is None:
        return None
    known = _record(record, where) if record is not None else None
    if known and known["written"] == _digest(text):
        return known["before"]
    data = parse(text, where)
    before = parse(known["before"], where) if known and known["before"] is not None else {}
    if at(data, *_ENTRY) is not None and known:
        text = _put_back(text, before, _ENTRY)
        if parse(text, where)["runtimes"] == {} and "runtimes" not in before:
            text = json_text.drop(text, _ENTRY[:1])
    if data.get(_DEFAULT) == NAME and known:
        text = _put_back(text, before, (_DEFAULT,))
    return None if known and known["before"] is None and parse(text, where) == {} else text


def _put_back(text: str, before: dict[str, Any], keys: tuple[str, ...]) -> str:
    inside = at(before, *keys[:-1])
    if isinstance(inside, dict) and keys[-1] in inside:  # null, too, was there
        return json_text.put(text, keys, inside[keys[-1]])
    return json_text.drop(text, keys)


def within(text: str | None, where: str, wish: Wish) -> str:
    result = text if text is not None and text.strip() else "{}\n"
    data = parse(result, where)
    entry = at(data, *_ENTRY)
    if entry is not None and not isinstance(entry, dict):
        raise HostError(f"runtimes.{NAME} is no object", where=where, hint="mend it first; nothing was changed")
    if entry and "runtimeType" in entry:
        raise HostError(
            f"runtimes.{NAME} is a shim, {entry['runtimeType']}, and has no path",
            where=where,
            hint="remove it by hand; nothing was changed",
        )
    expected = data | {"runtimes": {**data.get("runtimes", {}), NAME: {**(entry or {}), "path": wish.runtime}}}
    if at(entry, "path") != wish.runtime:
        result = json_text.put(result, (*_ENTRY, "path"), wish.runtime)
    if wish.default:
        expected |= {_DEFAULT: NAME}
        if data.get(_DEFAULT) != NAME:
            result = json_text.put(result, (_DEFAULT,), NAME)
    assert parse(result, where) == expected
    return result


def parse(text: str, where: str) -> dict[str, Any]:
    """The members of daemon.json; HostError where it is no JSON object, or has a member of ours twice."""
    try:
        data = jsontext.loads(text.encode(), where) if text.strip() else {}
    except PyruncError as error:
        raise HostError(f"{error.message} (nothing was changed)") from None
    if not isinstance(data, dict):
        raise HostError("is no JSON object", where=where, hint="mend it first; nothing was changed")
    if not isinstance(data.get("runtimes", {}), dict):
        raise HostError("runtimes is no object", where=where, hint="mend it first; nothing was changed")
    if data:
        _refuse_twice(text, where)
    return cast("dict[str, Any]", data)


def _refuse_twice(text: str, where: str) -> None:
    outer = json_text.members(text, text.index("{"))
    inner = [one for member in outer if member.name == "runtimes" for one in json_text.members(text, member.value)]
    for name, inside in (("runtimes", outer), (_DEFAULT, outer), (NAME, inner)):
        places = [member.start for member in inside if member.name == name]
        if len(places) > 1:
            line = text.count("\n", 0, places[1]) + 1
            raise HostError(f"has {name!r} twice", where=f"{where}:{line}", hint="mend it first; nothing was changed")


def record(before: str | None, after: str) -> str:
    """What is kept beside daemon.json: its text without pyrunc, and how to know whether ``after`` was edited."""
    return jsontext.dumps_pretty({"before": before, "written": _digest(after)}) + "\n"


def _record(text: str, where: str) -> Record:
    name = where + RECORD
    try:
        data = jsontext.loads(text.encode(), name)
    except PyruncError as error:
        raise HostError(error.message) from None
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("written"), str)
        or not isinstance(data.get("before", 0), str | None)
    ):
        raise HostError("was not written by pyrunc setup", where=name, hint="remove it, and pyrunc's entry by hand")
    return cast("Record", data)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reload(wish: Wish, before: str, after: str) -> str:
    """dockerd forgets nothing when it reloads: a member that is gone keeps its last value."""
    systemctl = "systemctl --user" if wish.home else "systemctl"
    if parse(before, "").keys() - parse(after, "").keys():
        return f"to make dockerd forget it: {systemctl} restart docker, which ends its containers but with live-restore"
    return f"to make dockerd read it, while its containers go on: {systemctl} reload docker"


def use(wish: Wish) -> list[str]:
    return [f"to use it: {'docker run' if wish.default else f'docker run --runtime {NAME}'} IMAGE"]
