"""The compiled validator and jsonschema: two readings of one schema that must agree, and never fall over."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.spec import _compiled, compile_schemas, load, paths, template
from tests.unit.spec.support import DEFAULT, refusal

if TYPE_CHECKING:
    from collections.abc import Collection

REPOSITORY = Path(__file__).parents[3]
SCHEMAS = REPOSITORY / "schemas"
SCHEMA = json.loads((SCHEMAS / "config.json").read_text())
VALIDATOR = jsonschema.Draft4Validator(SCHEMA)

SEED: dict[str, Any] = copy.deepcopy(DEFAULT)
SEED["process"] |= {
    "scheduler": {"policy": "SCHED_RR", "priority": 1, "flags": ["SCHED_FLAG_RECLAIM"]},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
    "execCPUAffinity": {"initial": "0-1"},
    "consoleSize": {"height": 1, "width": 2},
}
SEED["hooks"] = {"prestart": [{"path": "/x", "args": ["x"], "env": ["A=b"], "timeout": 1}], "poststop": []}
SEED["annotations"] = {"a.b": "c"}
SEED["linux"] |= {
    "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 5, "hostID": 5, "size": 1}],
    "namespaces": [{"type": kind} for kind in ("pid", "mount", "user", "uts", "time", "network", "ipc")],
    "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
    "devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 2, "fileMode": 438}],
    "netDevices": {"eth0": {"name": "lan"}},
    "cgroupsPath": "/a/b",
    "sysctl": {"net.core.somaxconn": "5"},
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
    "personality": {"domain": "LINUX32", "flags": []},
    "rootfsPropagation": "slave",
    "seccomp": {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": "/s",
        "syscalls": [
            {
                "names": ["a", "write"],
                "action": "SCMP_ACT_TRACE",
                "errnoRet": 3,
                "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}],
            }
        ],
    },
    "resources": {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": 1, "swappiness": 5},
        "cpu": {"shares": 1, "quota": -1, "cpus": "0"},
        "pids": {"limit": 1},
        "blockIO": {"weight": 10, "weightDevice": [{"major": 1, "minor": 1, "weight": 1}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "network": {"classID": 1, "priorities": [{"name": "a", "priority": 1}]},
        "rdma": {"a": {"hcaHandles": 1}},
        "unified": {"a": "b"},
    },
}

JSON: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 600)
    | st.sampled_from([2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63) - 1, 1.0, 0.5])
    | st.sampled_from(["", "x", "/x", "0-3", "..", "a\0b", "\ud800", "SCMP_ACT_NOTIFY", "SCHED_FIFO", "mount", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "path", "names", "é"]), inner),
    max_leaves=6,
)


def places(value: object) -> list[tuple[str | int, ...]]:
    found: list[tuple[str | int, ...]] = [()]
    if isinstance(value, dict):
        found += [(key, *rest) for key, item in value.items() for rest in places(item)]
    elif isinstance(value, list):
        found += [(index, *rest) for index, item in enumerate(value) for rest in places(item)]
    return found


PLACES = [place for place in places(SEED) if place]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The seed with up to four places replaced by any JSON, or taken out."""
    document: Any = copy.deepcopy(SEED)
    for _ in range(draw(st.integers(0, 4))):
        *parents, last = draw(st.sampled_from(PLACES))
        target = document
        for key in parents:
            target = target[key] if key in keys(target) else None
        if last not in keys(target):
            continue  # an earlier mutation took it away
        if isinstance(target, dict) and draw(st.booleans()):
            del target[last]
        else:
            target[last] = draw(JSON)
    return document


def keys(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.keys()
    return range(len(value)) if isinstance(value, list) else ()


def compiled_takes(document: object) -> bool:
    try:
        _compiled.validate_config(document)
    except _compiled.Refused:
        return False
    return True


def test_the_seed_has_the_right_shape() -> None:
    assert compiled_takes(SEED)


@settings(max_examples=2000)
@given(mutated())
def test_the_compiled_validator_and_jsonschema_agree(document: Any) -> None:
    assert compiled_takes(document) == VALIDATOR.is_valid(document)


@settings(max_examples=500)
@given(mutated())
def test_any_config_is_taken_or_refused_in_document_order(document: Any) -> None:
    error = refusal(json.dumps(document).encode())
    if error is None:
        assert compiled_takes(document)
        return
    assert error.violations
    known = paths.places(document)
    order = [paths.place(known, violation.path) for violation in error.violations]
    assert order == sorted(order)
    for violation in error.violations:
        assert violation.reason
        assert "\n" not in str(violation)


@settings(max_examples=300)
@given(JSON)
def test_any_process_is_taken_or_refused(value: object) -> None:
    for document in (value, {"args": ["x"], "cwd": "/", "rlimits": value, "scheduler": value}):
        error = refusal(json.dumps(document).encode(), load.load_process)
        assert error is None or error.violations


@pytest.mark.parametrize("name", ["config.json", "process.json", "state.json", "features.json"])
def test_the_schemas_are_valid_schemas(name: str) -> None:
    jsonschema.Draft4Validator.check_schema(json.loads((SCHEMAS / name).read_text()))


def test_the_compiled_validator_is_that_of_the_schema(tmp_path: Path) -> None:
    compile_schemas.compile_all(SCHEMAS, tmp_path / "out.py")
    assert (tmp_path / "out.py").read_text() == Path(str(_compiled.__file__)).read_text()


def test_the_compiled_validator_imports_nothing(tmp_path: Path) -> None:
    compile_schemas.compile_all(SCHEMAS, tmp_path / "out.py")
    program = "import sys; before = set(sys.modules); import out; print(sorted(set(sys.modules) - before))"
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True)
    assert done.stdout == "['out']\n"


def test_the_build_script_runs_from_any_directory(tmp_path: Path) -> None:
    script = REPOSITORY / "pyrunc/spec/compile_schemas.py"
    subprocess.run([sys.executable, str(script), "out.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "out.py").read_text() == Path(str(_compiled.__file__)).read_text()


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"pattern": "x", "type": "string"}, "do not know"),
        ({"minimum": 1}, "needs type integer"),
        ({"type": "object", "properties": {}, "additionalProperties": {}}, "keeps no set of keys"),
    ],
)
def test_a_schema_with_other_keywords_is_not_compiled(schema: dict[str, Any], reason: str, tmp_path: Path) -> None:
    bad = copy.deepcopy(SCHEMA)
    bad["definitions"]["User"]["properties"]["uid"] = schema
    (tmp_path / "config.json").write_text(json.dumps(bad))
    (tmp_path / "process.json").write_text((SCHEMAS / "process.json").read_text())
    with pytest.raises(ValueError, match=reason):
        compile_schemas.compile_all(tmp_path, tmp_path / "out.py")


def test_a_valid_config_is_loaded_without_a_heavy_library() -> None:
    data = json.dumps(template.default(rootless=False, uid=0, gid=0))
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); before = set(sys.modules)\n"
        f"from pyrunc.spec import load; load.load_spec({data.encode()!r})\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('pyrunc')))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "__future__ _json\n"


def test_a_wrong_shape_without_jsonschema_tells_the_caller_to_try_again() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from pyrunc.spec import load\n"
        "try: load.load_spec(b'{}')\n"
        "except ModuleNotFoundError as error: print(error.name)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "jsonschema\n"
