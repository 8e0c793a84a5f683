"""The features document says what the tables say, and no more than the schema of the config allows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import pyrunc
from pyrunc.cli import lean
from pyrunc.host import seccomp
from pyrunc.plan import capabilities, identity, kernel, mount_options, security
from pyrunc.plan.criu.dump import CONFIG_ANNOTATION
from pyrunc.plan.systemd import asked
from pyrunc.runtime import features
from pyrunc.spec import isolation
from pyrunc.spec.load import load_spec
from pyrunc.spec.unimplemented import NOT_IMPLEMENTED

CONFIG = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [{"type": "mount"}]},
}

SCHEMAS = Path(pyrunc.__path__[0]).parent / "schemas"


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Any:
    assert lean.main(["features"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return json.loads(out)


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text())


def test_the_document_is_valid(printed: Any) -> None:
    jsonschema.validate(printed, schema("features.json"))
    assert printed == features.document()


def test_every_list_is_a_table(printed: Any) -> None:
    linux = printed["linux"]
    assert set(printed["mountOptions"]) == mount_options.NAMES
    assert set(linux["namespaces"]) == kernel.NAMESPACES.keys()
    assert set(linux["capabilities"]) == capabilities.CAPS.keys()
    assert set(linux["seccomp"]["actions"]) == seccomp.ACTIONS.keys()
    assert set(linux["seccomp"]["operators"]) == seccomp.OPERATORS.keys()
    assert set(linux["seccomp"]["archs"]) == seccomp.ARCHITECTURES.keys()
    assert set(linux["seccomp"]["knownFlags"]) == set(kernel.SECCOMP_FLAGS)
    assert set(linux["memoryPolicy"]["modes"]) == kernel.MEMORY_POLICIES.keys()
    assert set(linux["memoryPolicy"]["flags"]) == kernel.MEMORY_POLICY_FLAGS.keys()


def test_what_the_config_may_say_is_what_is_listed(printed: Any) -> None:
    definitions = schema("config.json")["definitions"]
    policy = definitions["MemoryPolicy"]["properties"]
    assert printed["hooks"] == list(definitions["Hooks"]["properties"])
    assert set(printed["linux"]["namespaces"]) == set(definitions["Namespace"]["properties"]["type"]["enum"])
    assert set(printed["linux"]["memoryPolicy"]["modes"]) == set(policy["mode"]["enum"])
    assert set(printed["linux"]["memoryPolicy"]["flags"]) == set(policy["flags"]["items"]["enum"])


def test_what_is_refused_is_not_listed(printed: Any) -> None:
    linux = printed["linux"]
    assert linux["intelRdt"]["enabled"] == ("linux.intelRdt" not in NOT_IMPLEMENTED)
    assert linux["cgroup"]["rdma"] == ("linux.resources.rdma" not in NOT_IMPLEMENTED)


def test_the_annotations_of_config_json_are_listed_with_their_syntax(printed: Any) -> None:
    about = {"io.pyrunc.version", "io.pyrunc.commit", "org.opencontainers.runc.checkpoint.enabled"}
    assert (
        printed["annotations"].keys()
        == about | isolation.KEYS.keys()
        == about | schema("isolation.json")["properties"].keys()
    )
    for key, (_, form) in isolation.KEYS.items():
        assert printed["annotations"][key] == form


def test_an_annotation_that_the_runtime_obeys_is_unsafe_to_take_from_an_image(printed: Any) -> None:
    unsafe = printed["potentiallyUnsafeConfigAnnotations"]
    exact = [name for name in unsafe if not name.endswith(".")]
    prefixes = tuple(name for name in unsafe if name.endswith("."))
    assert prefixes == (isolation.PREFIX, asked.PREFIX)
    assert all(key.startswith(prefixes) for key in isolation.KEYS)
    assert set(exact) == {identity.KEEP_GROUPS, security.SECCOMP_RECEIVER, CONFIG_ANNOTATION}


@pytest.mark.parametrize("bound", ["ociVersionMin", "ociVersionMax"])
def test_both_ends_of_the_range_of_versions_are_accepted(bound: str, printed: Any) -> None:
    load_spec(json.dumps({**CONFIG, "ociVersion": printed[bound]}).encode())


def test_what_cri_asks_for_is_there(printed: Any) -> None:
    assert "rro" in printed["mountOptions"]
    assert "user" in printed["linux"]["namespaces"]
    assert printed["linux"]["mountExtensions"]["idmap"]["enabled"] is True


@pytest.mark.needs("runc")
def test_nothing_of_runcs_is_missing(printed: Any) -> None:
    runc = json.loads(subprocess.run(["runc", "features"], capture_output=True, check=True).stdout)
    assert set(runc["hooks"]) <= set(printed["hooks"])
    assert set(runc["mountOptions"]) <= set(printed["mountOptions"])
    assert {name for name, had in runc["linux"]["cgroup"].items() if had} <= printed["linux"]["cgroup"].keys()
    assert all(printed["linux"]["cgroup"][name] for name, had in runc["linux"]["cgroup"].items() if had)
    for name in ("namespaces", "capabilities"):
        assert set(runc["linux"][name]) <= set(printed["linux"][name])
    for name in ("actions", "operators", "archs", "knownFlags"):
        assert set(runc["linux"]["seccomp"].get(name, ())) <= set(printed["linux"]["seccomp"][name])
