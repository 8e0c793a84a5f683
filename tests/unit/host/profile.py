"""The engines' default seccomp profile, turned into linux.seccomp as an engine does for a plain container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path("/usr/share/containers/seccomp.json")


def default() -> dict[str, Any]:
    """linux.seccomp on x86-64 for a container without extra capabilities."""
    source = json.loads(PATH.read_text())
    rules = []
    for rule in source["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or "amd64" in excludes.get("arches", ()):
            continue
        if includes.get("arches") and not {"amd64", "x32", "x86"} & set(includes["arches"]):
            continue
        kept = {key: rule[key] for key in ("names", "action", "errnoRet") if rule.get(key) is not None}
        if rule.get("args"):
            kept["args"] = [{**one} for one in rule["args"]]
        rules.append(kept)
    return {
        "defaultAction": source["defaultAction"],
        "defaultErrnoRet": source["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }
