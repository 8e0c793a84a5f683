"""What a runtime says of itself with the optional verb ``features``."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from conformance import semver
from conformance.verdict import Broken, Unsupported
from conformance.workshop import Workshop

if TYPE_CHECKING:
    from conformance.installed import Installed


def document(installed: Installed) -> dict[str, Any] | None:
    """The document, None when there is no such verb; asked for once in each process.  Raises Broken."""
    found = asked(installed)
    if isinstance(found, Broken):
        raise found
    return found


@cache
def asked(installed: Installed) -> dict[str, Any] | Broken | None:
    """The document, or why there is none, which takes its time only once."""
    try:
        return read(installed)
    except Broken as error:
        return error


def read(installed: Installed) -> dict[str, Any] | None:
    with Workshop(installed) as workshop:
        outcome = workshop.runtime.features()
    if outcome.status:
        return None
    try:
        found = json.loads(outcome.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Broken(f"`{outcome.line}` prints no JSON object: {outcome.stdout[:500]}")
    return found


def told(installed: Installed) -> dict[str, Any]:
    """The document.  Raises Unsupported where there is none, and Broken."""
    found = document(installed)
    if found is None:
        raise Unsupported("there is no verb features")
    return found


def listed(found: dict[str, Any], path: str) -> list[str]:
    """The list at ``linux.namespaces``.  Raises Unsupported where nothing is listed."""
    place = lookup(found, path)
    if not place:
        raise Unsupported(f"features: {path} is {place!r}")
    assert isinstance(place, list)
    return place


def lookup(found: dict[str, Any], path: str) -> Any:
    """The value at ``linux.namespaces``, None when a part is absent."""
    place: Any = found
    for name in path.split("."):
        place = place.get(name) if isinstance(place, dict) else None
    return place


def demand(installed: Installed, path: str, *values: str) -> None:
    """Raise Unsupported where the runtime says that it has it not.

    Without ``values`` something at ``path`` must be true; with them, a list there must have each.  A runtime that does
    not say is taken to have it: the test will tell.
    """
    found = document(installed)
    if found is None:
        return
    place = lookup(found, path)
    if place is None and not _said(found, path):
        return
    if not values and not place:
        raise Unsupported(f"features: {path} is {place!r}")
    for value in values:
        if not isinstance(place, list) or value not in place:
            raise Unsupported(f"features: {path} does not have {value}")


def demand_version(installed: Installed, version: str) -> None:
    """Raise Unsupported where the runtime says that it knows no specification as new as ``version``."""
    newest = (document(installed) or {}).get("ociVersionMax")
    known, wanted = semver.parse(newest), semver.parse(version)
    if known and wanted and known < wanted:
        raise Unsupported(f"features: ociVersionMax is {newest}, and this came with {version}")


def _said(found: dict[str, Any], path: str) -> bool:
    """Is the parent of ``path`` there, so that its absence means something?"""
    parent, _, _ = path.rpartition(".")
    return isinstance(lookup(found, parent), dict) and bool(lookup(found, parent))
