"""config#valid-values, config#specification-version, glossary#json: what no config may hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conformance.config import ABSENT
from conformance.marks import decides
from conformance.support.refusal import accepted, texts_accepted

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop


@decides("config.specification-version.oci-version-required")
def test_a_config_says_its_version(workshop: Workshop) -> None:
    assert accepted(workshop, {"ociVersion": ABSENT}, at="create") == []


@decides("config.specification-version.oci-version-semver")
def test_the_version_of_a_config_is_semantic(workshop: Workshop) -> None:
    wrong = ["1", "1.0", "v1.0.0", "1.0.0.0", "one", "", "1.0.0-", "01.0.0"]
    assert accepted(workshop, *({"ociVersion": each} for each in wrong), at="create") == []


@decides("config.specification-version.oci-version-major")
def test_a_config_of_another_major_version_is_refused(workshop: Workshop) -> None:
    assert accepted(workshop, {"ociVersion": "2.0.0"}, {"ociVersion": "99.1.0"}, at="create") == []


@decides("config.specification-version.oci-version-older")
@pytest.mark.parametrize("version", ["1.0.0", "1.0.2", "1.1.0", "1.2.1", "1.2.0-rc.1"])
def test_a_config_of_the_same_major_version_is_accepted(container: Maker, version: str) -> None:
    box = container("echo", "it runs")
    box.config["ociVersion"] = version
    box.run()
    assert box.output() == "it runs\n"


@decides("config.valid-values.not-json")
@pytest.mark.parametrize("how", ["empty", "cut short", "a list", "a text behind it", "a comma too many"])
def test_what_is_no_json_object_is_refused(workshop: Workshop, how: str) -> None:
    good = json.dumps(workshop.config())
    wrong = {
        "empty": "",
        "cut short": good[:-1],
        "a list": f"[{good}]",
        "a text behind it": f"{good} x",
        "a comma too many": good[:-1] + ",}",
    }
    assert texts_accepted(workshop, wrong[how].encode()) == []


@decides("glossary.json.utf-8")
def test_what_is_no_utf_8_is_refused(workshop: Workshop) -> None:
    config = workshop.config()
    config["annotations"] = {"key": "MARK"}
    assert texts_accepted(workshop, json.dumps(config).encode().replace(b"MARK", b"a\xffb")) == []


@decides("glossary.json.utf-8-kept")
@pytest.mark.parametrize("escaped", [False, True], ids=["as it is", "escaped"])
def test_texts_of_every_script_arrive(container: Maker, escaped: bool) -> None:
    words = ["naïve", "ελληνικά", "日本語", "עברית", "🐋"]
    box = container("report", *(f"read={word}" for word in words))
    box.config["process"]["env"] += [f"WORD{number}={word}" for number, word in enumerate(words)]
    box.config["annotations"] = {f"org.example.{word}": word for word in words}
    box.bundle.write()
    box.bundle.write_text(json.dumps(box.config, ensure_ascii=escaped))
    box.create_again()
    assert box.state()["annotations"] == box.config["annotations"]
    box.start()
    box.wait()
    seen = box.seen()
    assert seen["args"] == box.config["process"]["args"]
    assert set(seen["env"]) >= set(box.config["process"]["env"])


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(each) for each in value] if isinstance(value, list) else value


@decides("glossary.json.order")
def test_the_order_of_keys_has_no_meaning(container: Maker) -> None:
    reports = []
    for backwards in (False, True):
        box = container("report")
        box.config["hostname"] = "conformance.example"
        box.config["process"]["user"]["umask"] = 0o27
        if backwards:
            box.bundle.config = reversed_keys(box.config)
        box.run()
        reports.append(box.seen())
    first, second = reports
    for name in ("args", "cwd", "hostname", "umask", "uid", "gid", "capabilities", "rlimits"):
        assert first[name] == second[name], name
    assert [each.target for each in first.mounts()] == [each.target for each in second.mounts()]


LIMIT = {"type": "RLIMIT_NOFILE", "soft": 500, "hard": 600}


def limits(soft: object) -> list[dict[str, object]]:
    return [LIMIT | {"soft": soft}]


NO_STRINGS: tuple[Any, ...] = (1, ["/mnt"], {})

#: Claim -> path and values of another type.
WRONG: dict[str, list[tuple[str, list[Any]]]] = {
    "string": [
        ("process.cwd", [1, ["/"], {}]),
        ("root.path", [1, ["rootfs"]]),
        ("hostname", [1, ["name"], {}]),
        ("mounts", [[{"destination": value, "type": "tmpfs", "source": "x"}] for value in NO_STRINGS]),
    ],
    "number": [
        ("process.user.uid", ["0", [0], 0.5, True]),
        ("process.rlimits", [limits("500"), limits([500]), limits(500.5)]),
        ("linux.resources.memory.limit", ["1000000", [1], 0.5]),
    ],
    "boolean": [
        ("root.readonly", ["true", 1, "yes"]),
        ("process.terminal", ["false", 0]),
        ("process.noNewPrivileges", ["true", 1]),
    ],
    "list": [
        ("process.args", ["/probe", {"0": "/probe"}]),
        ("mounts", ["", {"destination": "/mnt"}]),
        ("process.env", ["PATH=/", {"PATH": "/"}]),
        ("linux.maskedPaths", ["/proc/kcore", {"path": "/proc/kcore"}]),
    ],
    "object": [("process", [[], "probe"]), ("root", [["rootfs"], "rootfs"]), ("linux.resources", [[], "x"])],
    "range-32-bit": [("process.user.uid", [-1, 2**32, 2**70]), ("process.user.gid", [-1, 2**32, 2**70])],
    "range-64-bit": [
        ("process.rlimits", [limits(2**64), limits(-1)]),
        ("linux.resources.memory.limit", [2**64, 2**63, -(2**63) - 1]),
    ],
}


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        pytest.param(claim, path, marks=decides(f"config.valid-values.{claim}"))
        for claim, places in WRONG.items()
        for path, _ in places
    ],
)
def test_a_value_of_another_type_or_range_is_refused(workshop: Workshop, claim: str, path: str) -> None:
    values = dict(WRONG[claim])[path]
    assert accepted(workshop, *({path: value} for value in values)) == []
