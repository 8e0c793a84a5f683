"""The output of diff, and what commit is handed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import lean, output
from pyrunc.runtime import diff


class Change:
    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path


CHANGES = [Change("A", "/a b"), Change("C", "/é"), Change("D", "/x\nA \\/etc\x1b[m\udcff\x9b"), Change("A", "/z")]


def test_a_diff_has_a_line_for_each_change_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(diff, "each", lambda *where, **_: iter(CHANGES if where == (str(tmp_path), "one") else ()))
    assert lean.main(["--root", str(tmp_path), "diff", "one"]) == 0
    text = "A /a b\nC /é\nD /x\\012A \\134/etc\\033[m\\377\\302\\233\nA /z\n"
    assert capfd.readouterr() == (text, "")


def test_a_diff_as_json_has_all_three_lists_and_every_byte(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(diff, "each", lambda *_, **__: iter(CHANGES))
    assert lean.main(["--root", str(tmp_path), "diff", "-f", "json", "one"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found == {"changed": ["/é"], "added": ["/a b", "/z"], "deleted": [CHANGES[2].path]}
    monkeypatch.setattr(diff, "each", lambda *_, **__: iter(()))
    assert lean.main(["--root", str(tmp_path), "diff", "--format=json", "one"]) == 0
    assert capfd.readouterr().out == '{"changed":[],"added":[],"deleted":[]}\n'


@given(st.text(st.characters(exclude_categories=()).filter(lambda one: not "\ud800" <= one < "\udc80"), max_size=8))
def test_a_shown_path_is_one_printable_line_with_every_byte(text: str) -> None:
    path = "".join(one for one in text if not "\udd00" <= one <= "\udfff" and one != "\0")
    line = output.shown(path)
    assert line.isprintable()
    data = re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), line.encode())
    assert data == path.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("dest", ["d", "d/", "/abs/d/", "-", "../d.tar"])
def test_the_destination_of_a_commit_is_taken_as_written(dest: str, called: dict[str, Any], tmp_path: Path) -> None:
    assert lean.main(["--root", str(tmp_path), "commit", "one", dest, "--layer", "/work/"]) == 0
    assert called["positional"] == (str(tmp_path), "one", dest)
    assert called["layer"] == "/work/"
    lean.main(["--root", str(tmp_path), "commit", "one", dest])
    assert called["layer"] is None
