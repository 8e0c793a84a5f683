"""Log records: their two shapes, where they go, and what a broken log does not break."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli.log import Log, render

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def log(path: Path | str = "", form: str = "text", *, debug: bool = False) -> Log:
    return Log({"log": str(path) or None, "log-format": form, "debug": debug})


def test_a_text_record_is_shaped_like_logrus() -> None:
    assert re.fullmatch(
        rf'time="{TIME}" level=error msg="no such \\"thing\\""\n', render("text", "error", 'no such "thing"')
    )
    assert re.fullmatch(
        rf'time="{TIME}" level=debug msg=done status=0\n', render("text", "debug", "done", {"status": 0})
    )


def test_a_json_record_is_one_object_on_one_line_with_an_rfc_3339_time() -> None:
    text = render("json", "error", "first\nsecond")
    assert text.count("\n") == 1
    record = json.loads(text)
    assert list(record) == ["level", "msg", "time"]
    assert record["level"] == "error"
    assert record["msg"] == "first\nsecond"
    assert datetime.fromisoformat(record["time"]).tzinfo is not None


@given(st.text(st.characters()))
def test_any_message_makes_valid_records(message: str) -> None:
    """Also with the surrogates that stand for bytes of file names that are not UTF-8."""
    line = render("json", "error", message).encode()
    assert line.count(b"\n") == 1
    assert json.loads(line)["msg"] == message
    assert render("text", "error", message).encode().count(b"\n") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_with_a_log_file_the_error_goes_there_and_to_stderr(
    form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log(tmp_path / "log", form).error("it broke")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "pyrunc: it broke\n")
    text = (tmp_path / "log").read_text()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert ('"msg":"it broke"' if form == "json" else 'msg="it broke"') in text


def test_without_a_log_file_the_error_goes_to_stderr_in_the_format_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log().error("it broke\ntwice")
    log(form="json").error("it broke")
    first, second, third = capfd.readouterr().err.splitlines()
    assert (first, second) == ("pyrunc: it broke", "pyrunc: twice")
    assert json.loads(third)["msg"] == "it broke"


def test_a_warning_goes_to_the_log_file_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log(tmp_path / "log", "json").warning("odd")
    assert json.loads((tmp_path / "log").read_text())["level"] == "warning"
    log().warning("odd")
    assert capfd.readouterr().err == "pyrunc: warning: odd\n"


def test_records_are_appended(tmp_path: Path) -> None:
    for message in ("first", "second"):
        log(tmp_path / "log", "json").error(message)
    assert [json.loads(line)["msg"] for line in (tmp_path / "log").read_text().splitlines()] == [
        "first",
        "second",
    ]


def test_a_log_that_cannot_be_written_never_hides_the_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "absent" / "log"
    log(path).error("it broke")
    assert capfd.readouterr().err == (
        f"pyrunc: warning: cannot write the log {path}: no such file or directory\npyrunc: it broke\n"
    )


def test_debug_records_carry_their_context_and_need_the_option(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log(tmp_path / "log", "json").debug("step", number=1)
    assert not (tmp_path / "log").exists()
    log(tmp_path / "log", "json", debug=True).debug("step", number=1)
    record = json.loads((tmp_path / "log").read_text())
    assert (record["level"], record["msg"], record["number"]) == ("debug", "step", "1")
    log(debug=True).debug("step")
    assert re.fullmatch(rf'time="{TIME}" level=debug msg=step pid=\d+\n', capfd.readouterr().err)


def test_an_error_is_reported_without_any_library() -> None:
    code = (
        "import sys; from pyrunc.cli.log import Log;"
        "Log({'log': '/dev/null', 'log-format': 'json', 'debug': False}).error('x');"
        "print('structlog' in sys.modules, 'json' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert done.stderr == "pyrunc: x\n"
