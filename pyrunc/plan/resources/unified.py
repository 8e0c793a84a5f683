"""unified: files of cgroup2 by their names, written as they are.

runtime-spec config-linux.md "Unified".
"""

from __future__ import annotations

from pyrunc.plan.ops import Op
from pyrunc.spec.paths import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.resources import Writes


def v2(writes: Writes, files: Mapping[str, str]) -> None:
    directory = writes.cgroups.get("")
    if directory is None:
        writes.refuse("unified", "needs cgroup2, which is not mounted on this host")
        return
    for file, text in files.items():
        field = join("unified", file)
        controller, _, rest = file.partition(".")
        if controller in writes.cgroups:
            writes.refuse(field, f"{controller} is a controller of cgroup v1 on this host")
            continue
        # Every cgroup has the files of the core and of pressure stall information.
        if controller != "cgroup" and rest != "pressure":
            writes.need(controller, field)
        # The kernel takes one line at a time.  An empty write would not reach it at all.
        for line in [line for line in text.split("\n") if line] or ["\n"]:
            writes.ops.append(Op("cgroup_write", (f"{directory}/{file}", line), "linux.resources." + field))
