"""What a sandbox has changed, for a program that keeps all of it in memory: as much as it is ready for."""

from __future__ import annotations

import heapq
import os

from pyrunc.errors import HostError
from pyrunc.host.layers import overlay
from pyrunc.host.layers.changes import changes
from pyrunc.runtime import diff
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.host.layers.changes import Change
    from pyrunc.sandbox.holder import Holder

#: Bytes of one path: 16 times what a system call takes (PATH_MAX), and what only a chain of relative ones can make.
PATH_LIMIT = 16 * 4096
#: Bytes of all paths together.
TOTAL_LIMIT = 64 << 20

_CLI = f"`pyrunc diff` tells them one at a time, but for paths of more than {overlay.PATH_LIMIT} bytes"


def changed(holder: Holder, max_entries: int) -> list[Change]:
    """Every change, sorted; HostError that names the limit when there are more, or their paths are longer."""
    id = holder.record.id
    state = diff.load(Record(holder.record.directory.rpartition("/")[0], id))
    count = total = 0
    found: list[list[Change]] = []
    for index, layer in enumerate(state["layers"]):
        found.append([])
        with diff.walk(state, layer, by_path=True, mount=holder.layers.get(index, -1)) as walk:
            for change in changes(walk):
                count += 1
                length = len(os.fsencode(change.path))
                total += length
                if count > max_entries:
                    raise HostError(f"more than {max_entries} changes", where=id, hint=f"raise max_entries; {_CLI}")
                if length > PATH_LIMIT:
                    raise HostError(f"a changed path has more than {PATH_LIMIT} bytes", where=id, hint=_CLI)
                if total > TOTAL_LIMIT:
                    raise HostError(f"changed paths have more than {TOTAL_LIMIT} bytes together", where=id, hint=_CLI)
                found[-1].append(change)
    if len(found) == 1:
        return found[0]
    return list(heapq.merge(*found, key=lambda change: change.path))
