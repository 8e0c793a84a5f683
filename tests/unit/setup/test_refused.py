"""``pyrunc setup``: what it refuses, and then changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.setup.configurations import PLUGIN
from tests.unit.setup.conftest import System

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("engine", "text", "message"),
    [
        ("docker", '{"debug": tru}', "line 1 column 11"),
        ("docker", "[]", "daemon.json: is no JSON object"),
        ("docker", '{"runtimes": []}', "daemon.json: runtimes is no object"),
        ("docker", '{"runtimes": {},\n"runtimes": {}}', "daemon.json:2: has 'runtimes' twice"),
        ("docker", '{"runtimes": {"pyrunc": 1}}', "runtimes.pyrunc is no object"),
        ("docker", '{"runtimes": {"pyrunc": {"runtimeType": "x"}}}', "is a shim, x"),
        ("containerd", "version = 2\nx = \n", "config.toml:2: is no valid TOML: Invalid value"),
        ("containerd", "version = 9\n", "version 9 is unknown"),
        ("containerd", "version = 2\nplugins = {}\n", "cannot be extended by"),
        ("containerd", f'version = 2\n[plugins."{PLUGIN}".containerd.runtimes.pyrunc]\n', "setup did not write"),
        ("podman", "[engine]\nruntime = 'x'\n", "cannot be extended by [engine]"),
        ("crio", "[crio", "50-pyrunc.conf:1: is no valid TOML"),
    ],
)
def test_a_configuration_that_cannot_be_extended_is_refused(
    system: System, engine: str, text: str, message: str
) -> None:
    system.write(engine, text)
    assert message in system.refused(engine)


def test_bytes_that_are_no_text_are_refused_with_their_line(system: System) -> None:
    system.write("docker", "").write_bytes(b"{\n\xff}")
    assert "daemon.json:2: is not UTF-8: byte 0xff" in system.refused("docker")


def test_an_imported_file_that_would_replace_the_section_is_named(system: System) -> None:
    system.write("containerd", 'version = 2\nimports = ["conf.d/*.toml"]\n')
    more = system.path / "etc/containerd/conf.d/a.toml"
    more.parent.mkdir()
    more.write_text(f'version = 2\n[plugins."{PLUGIN}".registry]\n')
    assert "change that file: --config /etc/containerd/conf.d/a.toml" in system.refused("containerd")
    before = system.files()
    system.done("containerd", "--config", "/etc/containerd/conf.d/a.toml")
    assert "BinaryName" in more.read_text()
    system.done("containerd", "--config", "/etc/containerd/conf.d/a.toml", "--remove")
    assert system.files() == before


@pytest.mark.parametrize("gone", [0, -2])
def test_a_mark_without_its_other_half_is_refused(system: System, gone: int) -> None:
    system.write("containerd", "version = 2\n")
    system.done("containerd")
    lines = system.file("containerd").read_text().split("\n")
    marks = [number for number, line in enumerate(lines) if line.startswith(("# >>>", "# <<<"))]
    del lines[marks[0 if gone == 0 else -1]]
    system.write("containerd", "\n".join(lines))
    assert "has lost its other half" in system.refused("containerd")
    assert "has lost its other half" in system.refused("containerd", "--remove")


def test_a_line_that_belongs_to_our_table_is_not_given_to_another(system: System) -> None:
    system.write("containerd", "version = 2\n[grpc]\n")
    system.done("containerd")
    system.write("containerd", system.file("containerd").read_text() + 'address = "/x"\n')
    assert "belongs to pyrunc's table" in system.refused("containerd", "--remove")


def test_a_record_that_somebody_else_wrote_is_refused(system: System) -> None:
    system.write("docker", "{}")
    record = system.file("docker").with_name("daemon.json.before-pyrunc")
    record.write_text('{"written": 1}')
    assert "was not written by pyrunc setup" in system.refused("docker", "--remove")


def test_links_that_lead_nowhere_or_out_of_the_sysroot_are_refused(system: System, tmp_path: Path) -> None:
    path = system.write("docker", "{}")
    path.unlink()
    path.symlink_to("absent.json")
    assert "is a symbolic link to" in system.refused("docker")
    path.unlink()
    (tmp_path / "outside.json").write_text("{}")
    path.symlink_to(tmp_path / "outside.json")
    assert "leads out of --sysroot" in system.refused("docker")
    assert (tmp_path / "outside.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("options", "runtime", "message"),
    [
        (["--user"], "/usr/bin/pyrunc", "--user and --sysroot contradict"),
        (["--remove", "--default"], "/usr/bin/pyrunc", "--remove takes everything out"),
        (["--config", "relative"], "/usr/bin/pyrunc", "is not absolute"),
        (["--config="], "/usr/bin/pyrunc", "--config: must not be empty"),
        ([], "bin/pyrunc", "--runtime: 'bin/pyrunc' is not an absolute path"),
        ([], "/usr/bin/absent", "No such file"),
        ([], "/usr/bin", "is no program"),
        ([], "/usr/bin/pyr\nunc", "characters that cannot be written"),
    ],
)
def test_options_that_make_no_sense_are_refused(system: System, options: list[str], runtime: str, message: str) -> None:
    status, out, err = system.setup("containerd", *options, runtime=runtime)
    assert (status, out) == (1, "")
    assert message in err


def test_an_unknown_engine_is_refused_with_those_that_are_known(system: System) -> None:
    assert "'nerdctl' is no engine that pyrunc knows (choose podman, containerd, docker, crio)" in system.refused(
        "nerdctl"
    )
