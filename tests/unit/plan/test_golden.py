"""Whole plans against golden text.  A changed file is a decision to review; PYRUNC_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from pyrunc.plan import describe
from pyrunc.plan.create import create
from pyrunc.plan.ops import INIT, MAGIC
from pyrunc.plan.wire import encode
from pyrunc.spec import isolation
from pyrunc.spec.load import load_spec
from tests.unit.plan import hosts

if TYPE_CHECKING:
    from pyrunc.plan.builder import Plan
    from pyrunc.plan.facts import HostFacts

ROOT = Path(__file__).parents[3]
BUNDLES = sorted(path.parent.name for path in ROOT.glob("bundles/*/config.json"))
GOLDEN = ROOT / "tests" / "golden"


def plan(bundle: str, facts: HostFacts) -> Plan:
    spec = load_spec((ROOT / "bundles" / bundle / "config.json").read_bytes())
    return create(spec, facts, hosts.request(isolation=isolation.wanted(spec, {})))


def compare(found: str, golden: Path) -> None:
    if os.environ.get("PYRUNC_UPDATE_GOLDEN") == "1":
        golden.write_text(found)
    assert found == golden.read_text(), f"{golden} differs; PYRUNC_UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_plan_of_each_bundle_is_its_golden_plan(bundle: str) -> None:
    compare(describe.text(plan(bundle, hosts.root_v2())), ROOT / "bundles" / bundle / "plan.txt")


@pytest.mark.parametrize("bundle", ["hello", "cgroup", "devices"])
def test_on_cgroup_v1_the_plan_writes_the_files_of_v1(bundle: str) -> None:
    compare(describe.text(plan(bundle, hosts.root_v1())), GOLDEN / f"{bundle}.v1.txt")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_plan_writes_every_resource(version: str) -> None:
    spec = load_spec((ROOT / "bundles/minimal/config.json").read_bytes())
    spec["linux"]["resources"] = json.loads((GOLDEN / f"resources.{version}.json").read_text())
    facts = hosts.root_v1() if version == "v1" else hosts.root_v2()
    if version == "v1":
        for name in ("hugetlb", "net_cls", "net_prio", "rdma"):
            facts["cgroup"]["mounts"][name] = f"/sys/fs/cgroup/{name}"
    compare(describe.text(create(spec, facts, hosts.request())), GOLDEN / f"resources.{version}.txt")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_plan_for_systemd_has_the_properties_and_the_files(version: str) -> None:
    spec = load_spec((ROOT / "bundles/minimal/config.json").read_bytes())
    spec["linux"]["resources"] = json.loads((GOLDEN / f"resources.{version}.json").read_text())
    spec["linux"]["cgroupsPath"] = "machine-a.slice:libpod:golden"
    spec["annotations"] = {"org.systemd.property.TimeoutStopSec": "5"}
    facts = hosts.with_systemd(hosts.root_v1() if version == "v1" else hosts.root_v2())
    if version == "v1":
        for name in ("hugetlb", "net_cls", "net_prio", "rdma"):
            facts["cgroup"]["mounts"][name] = f"/sys/fs/cgroup/{name}"
    found = create(spec, facts, hosts.request(cgroup_manager="systemd"))
    compare(describe.text(found), GOLDEN / f"resources.systemd.{version}.txt")


def test_inside_a_user_namespace_sources_and_devices_are_opened_on_the_host_side() -> None:
    found = plan("userns", hosts.root_v2())
    stages = dict(zip((op.name for op in found.ops), describe.stages(found), strict=False))
    assert stages["open_tree"] == "host"
    assert "mknod" not in stages


@pytest.mark.parametrize("bundle", BUNDLES)
def test_every_plan_fits_the_wire_and_its_json_names_every_argument(bundle: str) -> None:
    found = plan(bundle, hosts.root_v2())
    assert encode(op for op in found.ops if op.name in INIT).startswith(MAGIC.to_bytes(4, "little"))
    for op, entry in zip(found.ops, describe.document(found)["ops"], strict=True):
        assert len(entry["arguments"]) == len(op.args)
        assert entry["op"] == op.name


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_plan_as_json_is_what_its_schema_says(bundle: str) -> None:
    schema = json.loads((ROOT / "schemas/plan.json").read_text())
    document = json.loads(json.dumps(describe.document(plan(bundle, hosts.root_v1()))))
    assert list(jsonschema.Draft4Validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize("bundle", BUNDLES)
def test_runtime_ops_stand_at_the_beginning_or_behind_a_sync(bundle: str) -> None:
    """Where else would Python get its turn?"""
    for facts in (hosts.root_v1(), hosts.root_v2()):
        names = [op.name for op in plan(bundle, facts).ops]
        kinds = ["init" if name in INIT else "runtime" for name in names]
        for index, kind in enumerate(kinds):
            if kind == "runtime" and "init" in kinds[:index]:
                assert kinds[index - 1] == "runtime" or names[index - 1] == "sync"
