"""config-linux#seccomp and config-linux#the-container-process-state: SCMP_ACT_NOTIFY and who is told of it."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, needs, optional
from conformance.support.seccomp import DENIED, NUMBERS, Listener, Message, answer, call, policy, rule
from conformance.tests.test_seccomp import refused

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.container import Container
    from conformance.workshop import Maker, Workshop

pytestmark = [
    needs("seccomp", "known-calls"),
    optional("linux.seccomp.enabled"),
    optional("linux.seccomp.actions", "SCMP_ACT_NOTIFY"),
]

STATE = "config-linux.the-container-process-state"


def notify(path: Path, **more: Any) -> dict[str, Any]:
    return policy("SCMP_ACT_ALLOW", rule("SCMP_ACT_NOTIFY"), listenerPath=str(path), **more)


def told(workshop: Workshop, box: Container, **more: Any) -> Message:
    """What the listener of a running container was sent."""
    with Listener(workshop.folder / "listener") as listener:
        box.config["linux"]["seccomp"] = notify(listener.path, **more)
        box.running()
        message = listener.receive()
        message.fd()
        workshop.evidence.note("what the listener was sent", b"".join(message.texts).decode())
        for fd in message.fds:
            assert "seccomp" in os.readlink(f"/proc/self/fd/{fd}")
        return message


@decides("config-linux.seccomp.listener", f"{STATE}.json", "config-linux.seccomp.listener-once")
@decides("config-linux.seccomp.listener-closed", f"{STATE}.scm-rights", f"{STATE}.first-message", f"{STATE}.fds")
def test_the_listener_is_sent_one_state_with_descriptors(workshop: Workshop, container: Maker) -> None:
    """All of it is read up to the end of the connection, while the container runs."""
    message = told(workshop, container())
    state = message.state()
    assert state["fds"].count("seccompFd") == 1
    assert len(state["fds"]) == len(message.fds)
    assert message.counts[0] == len(message.fds)
    assert not any(message.counts[1:])


@decides(*(f"{STATE}.{claim}" for claim in ("oci-version", "pid", "state", "state-status", "metadata")))
def test_the_state_is_that_of_the_container(workshop: Workshop, container: Maker) -> None:
    box = container()
    box.config["annotations"] = {"org.example.key": "value"}
    found = told(workshop, box).state()
    assert re.fullmatch(r"\d+\.\d+\.\d+([-+].*)?", found["ociVersion"])
    assert found["pid"] == box.pid
    assert found.get("metadata", "") == ""
    state = found["state"]
    assert (state["id"], state["pid"]) == (box.id, box.pid)
    assert os.path.realpath(state["bundle"]) == str(box.bundle.path)
    assert state.get("annotations") == {"org.example.key": "value"}
    assert state["status"] in ("creating", "created")


@decides("config-linux.seccomp.listener-metadata")
def test_metadata_is_that_of_the_config(workshop: Workshop, container: Maker) -> None:
    text = 'an "opaque" string, {ä}\n'
    assert told(workshop, container(), listenerMetadata=text).state()["metadata"] == text


@decides("config-linux.seccomp.action-notify", "config-linux.seccomp.listener-fd")
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="plain"),
        pytest.param(
            ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            id="killable",
            marks=[
                decides("config-linux.seccomp.flag-wait-killable-recv"),
                optional("linux.seccomp.supportedFlags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
                needs("linux-5.19"),
            ],
        ),
    ],
)
def test_the_listener_answers_calls(workshop: Workshop, container: Maker, flags: list[str]) -> None:
    calls = [call("getpriority", 0, number) for number in (1, 2)]
    box = container("report", *("=".join(each) for each in calls))
    with Listener(workshop.folder / "listener") as listener:
        box.config["linux"]["seccomp"] = notify(listener.path, **({"flags": flags} if flags else {}))
        box.create()
        box.start()
        fd = listener.receive().fd()
        numbers = [answer(fd, value=42), answer(fd, error=DENIED)]
        box.wait()
    seen = box.seen()
    assert numbers == [NUMBERS["getpriority"]] * 2
    assert seen.answer(*calls[0]) == {"return": 42, "errno": 0}
    assert seen.errno(*calls[1]) == DENIED


@decides("config-linux.seccomp.listener-stream", "config-linux.seccomp.listener-error")
@pytest.mark.parametrize("what", ["datagram", "seqpacket", "file", "missing", "deaf"])
def test_a_listener_that_cannot_be_sent_to_is_an_error(workshop: Workshop, container: Maker, what: str) -> None:
    kind = {"datagram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}.get(what, socket.SOCK_STREAM)
    path = workshop.folder / "listener"
    with socket.socket(socket.AF_UNIX, kind) as made:
        if what == "file":
            path.write_text("")
        elif what != "missing":
            made.bind(str(path))
            if what == "seqpacket":
                made.listen()
        box = container()
        box.config["linux"]["seccomp"] = notify(path)
        refused(box)


@decides("config-linux.seccomp.listener-unused")
def test_without_notify_no_listener_is_looked_for(workshop: Workshop, container: Maker) -> None:
    box = container()
    absent = str(workshop.folder / "absent")
    box.config["linux"]["seccomp"] = policy("SCMP_ACT_ALLOW", rule(), listenerPath=absent)
    asked = call()
    assert box.report("=".join(asked)).errno(*asked) == DENIED


@decides("config-linux.seccomp.listener-metadata-alone")
@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"])
def test_metadata_without_a_listener_is_refused(container: Maker, action: str) -> None:
    box = container()
    box.config["linux"]["seccomp"] = policy("SCMP_ACT_ALLOW", rule(action), listenerMetadata="text")
    refused(box)
