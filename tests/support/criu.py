"""A CRIU that does nothing, but speaks as the real one does: for what must hold wherever CRIU itself does not work.

``write`` makes the program.  It answers VERSION with ``version``, FEATURE_CHECK with ``features``; anything else it
refuses with ``log`` in its log, or with ``dies`` does not answer.  What it was asked is in ``asked`` beside it, a line
of JSON each.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import json, socket, sys
sys.path.insert(0, {checkout!r})
from pyrunc.plan.criu import protobuf, rpc
peer = socket.socket(fileno=int(sys.argv[2]))
asked = peer.recv(1 << 16)
number = asked[1]
with open({asked!r}, "a") as file:
    file.write(json.dumps([number, sys.argv[1:]]) + "\\n")
answer = {{"type": number, "success": True}}
if number == rpc.VERSION:
    answer["version"] = {{"major_number": {major}, "minor_number": {minor}}}
elif number == rpc.FEATURE_CHECK:
    answer["features"] = dict.fromkeys({features}, True)
elif {dies}:
    sys.exit(1)
else:
    answer["success"] = False
    answer["cr_errno"] = 3
    with open({log_file!r}, "w") as file:
        file.write({log!r})
peer.send(protobuf.encode(rpc.RESPONSE, answer))
"""


def write(
    folder: Path,
    *,
    log_file: Path,
    log: str = "",
    version: tuple[int, int] = (3, 17),
    features: tuple[str, ...] = (),
    dies: bool = False,
) -> Path:
    """The program, as the only one in a folder that can be PATH."""
    folder.mkdir()
    program = folder / "criu"
    text = PROGRAM.format(
        python=os.path.realpath(sys.executable) if sys.prefix == sys.base_prefix else sys.executable,
        checkout=str(Path(__file__).parents[2]),
        asked=str(folder / "asked"),
        major=version[0],
        minor=version[1],
        features=features,
        dies=dies,
        log_file=str(log_file),
        log=log,
    )
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def asked(program: Path) -> list[Any]:
    """[type of the request, arguments] of each call."""
    return [json.loads(line) for line in (program.parent / "asked").read_text().splitlines()]
