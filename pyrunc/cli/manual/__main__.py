"""``python -m pyrunc.cli.manual DIRECTORY``: writes all pages into DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

from pyrunc.cli.manual import page

for name, text in page.pages().items():
    Path(sys.argv[1], name).write_text(text, encoding="utf-8")
