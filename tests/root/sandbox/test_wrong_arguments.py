"""Arguments that make no sense: each is named, and nothing was made or has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pyrunc

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.mark.parametrize(
    ("argv", "wishes", "text"),
    [
        ([], {}, "argv="),
        ("true", {}, "argv="),
        (["true", 1], {}, r"argv\[1\]="),
        (["true"], {"timeout": -1}, "timeout=-1"),
        (["true"], {"max_output": "lots"}, 'max_output="lots"'),
        (["true"], {"cwd": "relative"}, "cwd="),
        (["true"], {"env": {"A=B": "1"}}, r'env\["A=B"\]'),
        (["true"], {"input": 5}, "input=5"),
    ],
)
def test_a_wrong_argument_is_named(box: Sandbox, argv: Any, wishes: dict[str, Any], text: str) -> None:
    with pytest.raises(pyrunc.UsageError, match=text):
        box.run(argv, **wishes)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"encoding": "nope"}, "encoding="),
        ({"encoding": 5}, "encoding="),
        ({"errors": "nope"}, "errors="),
        ({"on_stdout": 5}, "on_stdout="),
        ({"input": "\ud800"}, "input="),
        ({"timeout": 1e10}, "timeout="),
    ],
)
def test_a_wrong_argument_of_a_run_is_named_before_anything_runs(
    box: Sandbox, wishes: dict[str, Any], said: str
) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        box.run(["touch", "/tmp/ran"], **wishes)
    assert str(error.value).startswith(said)
    assert box.run(["ls", "/tmp"]).stdout == b""


def test_what_is_no_argument_at_all_is_a_type_error(box: Sandbox, root: Path) -> None:
    with pytest.raises(TypeError, match=r"run\(\) got an unexpected keyword argument 'timout'"):
        box.run(["true"], timout=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Sandbox\(\) got an unexpected keyword argument 'memroy'"):
        pyrunc.Sandbox(root=root, memroy="1g")


def test_every_wrong_argument_of_a_box_is_named_and_nothing_is_made(sandboxes: Sandboxes) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        sandboxes(memory="lots", pids=0, workspace="relative")
    assert all(name in str(error.value) for name in ('memory="lots"', "pids=0", "workspace="))
    assert sandboxes.containers() == []
