"""How a failed command ends: the message, the last line, the exit status."""

from __future__ import annotations

import pytest

from pyrunc.cli import failure, lean, verbs
from pyrunc.cli.output import ReaderGone
from pyrunc.errors import HostError, OpFailed, SpecError, StateError, Violation


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> object:
    """Make every verb raise one error."""

    def arrange(error: BaseException) -> None:
        def fail(_line: lean.Line) -> int:
            raise error

        monkeypatch.setattr(verbs, "VERBS", dict.fromkeys(verbs.VERBS, fail))

    return arrange


ERRORS = {
    "pyrunc: a: container does not exist\n": StateError("container does not exist", where="a"),
    "pyrunc: mounts[3]: /srv: source does not exist (make it)\n": OpFailed(
        "/srv: source does not exist", op="open", errno=2, where="mounts[3]", hint="make it"
    ),
    "pyrunc: process.args: required, but missing\npyrunc: root.path: is empty\n": SpecError(
        [Violation("process.args", "required, but missing"), Violation("root.path", "is empty")]
    ),
    "pyrunc: /x: permission denied\n": PermissionError(13, "Permission denied", "/x"),
    "pyrunc: /x -> /y: invalid cross-device link\n": OSError(18, "Invalid cross-device link", "/x", None, "/y"),
    "pyrunc: too many open files\n": OSError(24, "Too many open files"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_is_told_in_its_own_words_and_the_status_is_1(
    text: str, raising: object, capfd: pytest.CaptureFixture[str]
) -> None:
    raising(ERRORS[text])  # type: ignore[operator]
    assert lean.main(["state", "a"]) == 1
    assert capfd.readouterr() == ("", text)


def test_execs_own_failure_is_255(raising: object, capfd: pytest.CaptureFixture[str]) -> None:
    raising(StateError("container does not exist", where="a"))  # type: ignore[operator]
    assert lean.main(["exec", "a", "true"]) == 255
    assert capfd.readouterr().err == "pyrunc: exec failed: a: container does not exist\n"


def test_a_wrong_command_line_of_exec_is_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["exec"]) == 1
    assert capfd.readouterr().err.endswith('\npyrunc: "exec" requires a minimum of 1 argument(s)\n')


def test_an_unknown_command_is_3(capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["bogus"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err == (
        "Usage: pyrunc [global options] COMMAND [options] [arguments]\nTry 'pyrunc --help'.\n"
        "pyrunc: No help topic for 'bogus': unknown command\n"
    )


def test_a_reader_that_left_is_no_news(raising: object, capfd: pytest.CaptureFixture[str]) -> None:
    raising(ReaderGone("nobody reads standard output"))  # type: ignore[operator]
    assert lean.main(["list"]) == 1
    assert capfd.readouterr().err == ""


def test_an_interrupt_is_told_without_a_traceback(raising: object, capfd: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt())  # type: ignore[operator]
    assert lean.main(["state", "a"]) == 130
    assert capfd.readouterr().err == "pyrunc: interrupted\n"


def crash(*words: str) -> int:
    try:
        raise TypeError("two\nlines")
    except TypeError as error:
        return failure.crashed(type(error), error, error.__traceback__, list(words))


def test_a_defect_is_one_line_and_a_traceback_only_with_debug(capfd: pytest.CaptureFixture[str]) -> None:
    assert crash("state", "a") == 1
    assert capfd.readouterr().err == (
        "pyrunc: internal error: TypeError: two lines (please report this; --debug shows where)\n"
    )
    assert crash("--debug", "exec", "a", "true") == 255
    err = capfd.readouterr().err
    assert "Traceback" in err.splitlines()[0]
    assert err.splitlines()[-1] == "pyrunc: internal error: TypeError: two lines"
    assert crash("--bogus") == 1


def test_debug_shows_where_an_error_was_raised(raising: object, capfd: pytest.CaptureFixture[str]) -> None:
    raising(HostError("it broke"))  # type: ignore[operator]
    assert lean.main(["--debug", "state", "a"]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert "msg=command" in lines[0]
    assert "msg=traceback" in lines[1]
    assert lines[-1] == "pyrunc: it broke"


def test_two_cgroup_managers_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["--systemd-cgroup", "--cgroup-manager=disabled", "state", "a"]) == 1
    expected = "--systemd-cgroup and --cgroup-manager=disabled contradict one another: give one of them"
    assert capfd.readouterr().err == f"pyrunc: {expected}\n"
