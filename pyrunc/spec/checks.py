"""The rules of a config, in the order in which they are applied.

Only the tables and what runs them live here; most rules are in the files beside.  A rule reads a config that
has the right shape, at least in the places that its row names: where that is broken, the rule is left out.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import jsontext, linux_checks, mount_checks, paths, process_checks, unimplemented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator
    from typing import Any

    from pyrunc.spec.types import Process, Spec

OCI_VERSION = "1.3.0"
#: Annotations of crun's that ask for something which would be missed (crun(1)).
_OF_CRUN = ("run.oci.systemd.subgroup", "run.oci.delegate-cgroup", "run.oci.hooks.stdout", "run.oci.hooks.stderr")


def check_oci_version(spec: Spec) -> Iterator[Violation]:
    version = spec["ociVersion"]
    front, plus, build = version.partition("+")
    front, minus, before = front.partition("-")
    numbers = front.split(".")
    shown = jsontext.dumps(version)
    if (
        len(numbers) != 3
        or not all(_is_number(number) for number in numbers)
        or (plus and not _are_words(build))
        or (minus and not _are_words(before))
    ):
        yield Violation("ociVersion", f"{shown} is not a version like {OCI_VERSION}")
    elif numbers[0] != "1":
        yield Violation("ociVersion", f"{shown} is not supported, only 1.x (pyrunc implements {OCI_VERSION})")


def _are_words(text: str) -> bool:
    """What semver.org lets stand behind - and +."""
    return all(word.isascii() and word.replace("-", "a").isalnum() for word in text.split("."))


def check_annotations(spec: Spec) -> Iterator[Violation]:
    if "" in spec.get("annotations", {}):
        yield Violation("annotations", "a key must not be empty")


def check_resources(spec: Spec) -> Iterator[Violation]:
    resources = spec.get("linux", {}).get("resources", {})
    if resources.keys() - {"devices", "pids"}:
        from pyrunc.spec import resource_checks

        yield from resource_checks.violations(resources)


def check_isolation_syntax(spec: Spec) -> Iterator[Violation]:
    annotations = spec.get("annotations", {})
    if _isolated(annotations):
        from pyrunc.spec import isolation

        yield from isolation.syntax(annotations)


def check_isolation_conflicts(spec: Spec) -> Iterator[Violation]:
    annotations = spec.get("annotations", {})
    if _isolated(annotations):
        from pyrunc.spec import isolation

        yield from isolation.conflicts(annotations, spec)


def _isolated(annotations: Iterable[str]) -> bool:
    """Nearly all configs have no such annotation, and do without the module that reads them."""
    return "io.pyrunc." in " ".join(annotations)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0")


#: (places that the rule reads, below the process; the rule)
PROCESS: tuple[tuple[tuple[str, ...], Callable[[Process, str], Iterator[Violation]]], ...] = (
    (("cwd",), process_checks.check_cwd),
    (("rlimits",), process_checks.check_rlimits),
    (("scheduler",), process_checks.check_scheduler),
    (("execCPUAffinity",), process_checks.check_exec_cpu_affinity),
)

#: The same, of rules that read nothing but linux.resources.
RESOURCES: tuple[tuple[tuple[str, ...], Callable[[Any], Iterator[Violation]]], ...] = (
    (("linux.resources.devices",), mount_checks.check_device_rules),
    (("linux.resources",), check_resources),
)

#: (places that the rule reads; the rule)
SPEC: tuple[tuple[tuple[str, ...], Callable[[Any], Iterator[Violation]]], ...] = (
    (("ociVersion",), check_oci_version),
    ((), unimplemented.check_platforms),
    ((), unimplemented.check_implemented),
    (("linux.namespaces",), linux_checks.check_namespaces),
    (("hostname", "domainname", "linux.namespaces"), linux_checks.check_uts),
    (("linux.uidMappings", "linux.gidMappings", "linux.namespaces"), linux_checks.check_id_mappings),
    (("linux.timeOffsets", "linux.namespaces"), linux_checks.check_time_offsets),
    (("linux.netDevices", "linux.namespaces"), linux_checks.check_net_devices),
    (("linux.sysctl", "linux.namespaces"), linux_checks.check_sysctl),
    (("mounts", "linux.namespaces"), mount_checks.check_mounts),
    (("linux.maskedPaths", "linux.readonlyPaths"), mount_checks.check_masks),
    (("linux.devices",), mount_checks.check_devices),
    *RESOURCES,
    (("linux.cgroupsPath",), mount_checks.check_cgroups_path),
    (("linux.seccomp", "annotations"), linux_checks.check_seccomp),
    (("linux.memoryPolicy",), linux_checks.check_memory_policy),
    (("hooks",), process_checks.check_hooks),
    (("annotations",), check_annotations),
    (("annotations",), check_isolation_syntax),
    (("annotations", "mounts", "process.cwd"), check_isolation_conflicts),
)


def check_spec(spec: Any, broken: Iterable[str] = ()) -> list[Violation]:
    """Apply all rules; those that read a place in ``broken`` are left out."""
    found: list[Violation] = []
    for places, rule in SPEC:
        if not broken or _whole(places, broken):
            found.extend(rule(spec))
    for places, check in PROCESS:
        if not broken or _whole([f"process.{place}" for place in places], broken):
            found.extend(check(spec["process"], "process"))
    return found


def check_process(process: Any, broken: Iterable[str] = ()) -> list[Violation]:
    """The same for the process of exec."""
    found: list[Violation] = []
    for places, rule in PROCESS:
        if not broken or _whole(places, broken):
            found.extend(rule(process, ""))
    return found


def check_resources_alone(document: Any, broken: Iterable[str] = ()) -> list[Violation]:
    """The same for linux.resources, in a document that has nothing else."""
    found: list[Violation] = []
    for places, rule in RESOURCES:
        if not broken or _whole(places, broken):
            found.extend(rule(document))
    return found


def _whole(places: Iterable[str], broken: Iterable[str]) -> bool:
    from pyrunc.spec import paths

    return not any(paths.overlap(place, hole) for place in places for hole in broken)


def check_characters(document: object) -> Iterator[Violation]:
    """No string that the kernel could not take: a NUL would cut it, a lone surrogate has no UTF-8."""
    from pyrunc.spec import paths

    for path, text in paths.strings(document):
        if "\0" in text:
            yield Violation(path, "contains a NUL character")
        elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            yield Violation(path, "contains half of a surrogate pair")


def warnings(spec: Spec, capabilities: Container[str]) -> list[Violation]:
    """What is wrong with a valid config, but tolerated as runc does; ``capabilities`` are the known names."""
    found = process_warnings(spec["process"], "process", capabilities)
    for index, mount in enumerate(spec.get("mounts", ())):
        if not mount["destination"].startswith("/"):
            shown = jsontext.dumps(mount["destination"])
            found.append(Violation(f"mounts[{index}].destination", f"{shown} is relative, / is assumed"))
    annotations = spec.get("annotations") or {}
    for key in _OF_CRUN:
        if key in annotations:
            found.append(Violation(paths.join("annotations", key), "is an annotation of crun's and has no effect here"))
    return found


def process_warnings(process: Process, path: str, capabilities: Container[str]) -> list[Violation]:
    """The same for a process alone; ``path`` is "process", or "" for exec."""
    sets: dict[str, list[str]] = process.get("capabilities", {})  # type: ignore[assignment]
    found: list[Violation] = []
    for kind in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        for index, name in enumerate(sets.get(kind, ())):
            if name not in capabilities:
                where = process_checks.below(path, f"capabilities.{kind}[{index}]")
                found.append(Violation(where, f"{jsontext.dumps(name)} is unknown and left out"))
    return found
