"""``python -m pyrunc.cli.completion DIRECTORY``: writes all scripts into DIRECTORY, under the names of SCRIPTS."""

from __future__ import annotations

import sys
from pathlib import Path

from pyrunc.cli.completion.shells import SCRIPTS

for shell, make in SCRIPTS.items():
    Path(sys.argv[1], shell).write_text(make(), encoding="utf-8")
