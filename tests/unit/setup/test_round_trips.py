"""For any configuration: setting up says what it should and nothing else, and removing it gives the bytes back."""

from __future__ import annotations

import json
import string
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrunc.doctor import engines
from pyrunc.errors import HostError, UsageError
from pyrunc.setup import containerd, crio, docker, json_text, podman, toml
from pyrunc.setup.wish import Wish

if TYPE_CHECKING:
    from types import ModuleType

WHERE = "/nowhere/file"
RUNTIME = '/opt/a "quoted" \\ ä/pyrunc'

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
keys = st.sampled_from(["runtimes", "pyrunc", "path", "default-runtime", "debug", "ä"]) | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
runtimes = st.dictionaries(st.sampled_from(["runc", "pyrunc", "kata"]), st.fixed_dictionaries({"path": st.text()}))
documents = st.builds(
    lambda data, more: {**data, **more},
    st.dictionaries(keys.filter(lambda key: key != "runtimes"), values, max_size=5),
    st.just({}) | st.builds(lambda value: {"runtimes": value}, runtimes),
)
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,", " : ")]),
        "ensure_ascii": st.booleans(),
    }
)
around = st.text(" \t\r\n", max_size=3)


@given(documents, layouts, around, around, st.booleans())
@example({"default-runtime": None}, {}, "", "", True)
@settings(max_examples=150)
def test_daemon_json(data: dict[str, Any], layout: dict[str, Any], before: str, behind: str, default: bool) -> None:
    text = before + json.dumps(data, **layout) + behind
    wish = Wish(RUNTIME, default=default)
    result = docker.within(text, WHERE, wish)
    expected = {**data, "runtimes": {**data.get("runtimes", {})}}
    expected["runtimes"]["pyrunc"] = {**expected["runtimes"].get("pyrunc", {}), "path": RUNTIME}
    if default:
        expected["default-runtime"] = "pyrunc"
    assert json.loads(result) == expected
    assert [key for key in json.loads(result) if key in data] == list(data)
    record = docker.record(text, result)
    assert docker.without(result, WHERE, record) == text
    # edited since, by one space: only our part goes
    rest = docker.without(result + " ", WHERE, record)
    assert rest is not None
    assert json.loads(rest) == data
    assert docker.within(docker.without(result, WHERE, record), WHERE, wish) == result


@given(documents, layouts, st.data())
@settings(max_examples=100)
def test_members_of_json(data: dict[str, Any], layout: dict[str, Any], draw: st.DataObject) -> None:
    text = json.dumps(data, **layout)
    key = draw.draw(st.sampled_from([*data, "new"]))
    value = draw.draw(values)
    assert json.loads(json_text.put(text, (key,), value)) == {**data, key: value}
    if key in data:
        assert json.loads(json_text.drop(text, (key,))) == {name: one for name, one in data.items() if name != key}


words = st.text(string.ascii_letters, min_size=1, max_size=3)
comments = st.builds(
    "{}# {}".format, st.sampled_from(["", "  "]), st.text(string.printable.replace("\n", "").strip(), max_size=9)
)
lines = st.builds(
    "{} = {}".format, words, st.sampled_from(["1", '"x"', "'''\n[crio]\n'''", "[\n1,\n]", "{a.b = 1}", '"""\n"""'])
)
HEADERS = [
    "[plugins]",
    '[plugins."io.containerd.grpc.v1.cri"]',
    ' [plugins."io.containerd.grpc.v1.cri".containerd] # here',
    '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]',
    "[crio.runtime]",
    "[crio.runtime.runtimes.runc]",
    "[[list]]",
]
headers = st.builds("[{}]".format, words) | st.sampled_from(HEADERS)
defaults = st.sampled_from(
    ['default_runtime_name = "runc"', "  default_runtime = 'x' # why", 'default_runtime_name="kata"']
)
texts = st.builds(
    lambda parts, newline, end: newline.join(["version = 2", *parts]) + end,
    st.lists(comments | lines | headers | defaults | st.just(""), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\n\n", "\r\n"]),
)


def _round_trip(engine: ModuleType, text: str, default: bool) -> None:
    try:
        data = toml.parse(text, WHERE)
        result = engine.within(text, WHERE, Wish(RUNTIME, default=default))
    except HostError:
        return  # not TOML, or closed to more
    assert engine.without(result, WHERE, None) == text
    again = toml.parse(result, WHERE)
    for name, value in data.items():
        if name not in ("plugins", "crio"):
            assert again[name] == value
    # what another line at either end makes of it
    assert engine.without("# first\n" + result, WHERE, None) == "# first\n" + text
    assert engine.within(engine.without(result, WHERE, None), WHERE, Wish(RUNTIME, default=default)) == result


@given(texts, st.booleans())
@settings(max_examples=150)
def test_containerds_config(text: str, default: bool) -> None:
    _round_trip(containerd, text, default)


@given(texts, st.booleans())
@settings(max_examples=100)
def test_crios_drop_in(text: str, default: bool) -> None:
    _round_trip(crio, text, default)


def written(value: Any) -> str:
    """A value as TOML; tables are inline ones."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml.quoted(key)} = {written(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(written, value)) + "]" if isinstance(value, list) else json.dumps(value)


KEYS = ["plugins", "containerd", "runtimes", "runc", "pyrunc", "options", "BinaryName", "SystemdCgroup", "imports"]
KEYS += ["default_runtime_name", "disabled_plugins", "version", "io.containerd.grpc.v1.cri", "cri", "engine", "runtime"]
KEYS += ["runtime_supports_json", "runtime_supports_nocgroup", "cgroup_manager", "crio", "runtime_path", "path"]
KEYS += ["exec-opts", "default-runtime"]
simple = st.booleans() | st.integers(0, 3) | st.sampled_from(["", "/", "pyrunc", "/bin/true", "systemd"])
odd = st.recursive(
    simple, lambda one: st.lists(one, max_size=2) | st.dictionaries(st.sampled_from(KEYS), one, max_size=4)
)


@given(st.dictionaries(st.sampled_from(KEYS), odd, max_size=4))
@settings(max_examples=150)
def test_values_of_other_types_than_an_engine_would_take(data: dict[str, Any]) -> None:
    """They are refused or passed over, by setup and by the doctor, and nothing falls over them."""
    text = "".join(f"{toml.quoted(key)} = {written(value)}\n" for key, value in data.items())
    for engine, config in ((containerd, text), (crio, text), (podman, text), (docker, json.dumps(data))):
        for default in (False, True):
            try:
                result = engine.within(config, WHERE, Wish(RUNTIME, default=default, sysroot="/nowhere"))
                engine.without(result, WHERE, None)
            except (HostError, UsageError):
                continue
    with tempfile.TemporaryDirectory() as place:
        for name in (containerd.FILE, docker.FILE, podman.FILE, crio.FILE.removeprefix("/etc/")):
            file = Path(place, "etc", name)
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(data) if name == docker.FILE else text)
        for _, read, _ in engines.ENGINES.values():
            try:
                known = read(Wish("", sysroot=place))
            except (HostError, UsageError):
                continue
            assert all(isinstance(one, str) for one in known.runtimes)
