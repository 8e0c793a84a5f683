"""Bad runtimes: scripts that do one thing wrong, and the rest as well as a runtime without containers can."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[3]

#: A runtime whose containers are processes of the host: enough of one for the harness, and for nobody else.
#: Each BEFORE_verb may be replaced by what goes wrong.
SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "fake version 1.2.3"; exit 0; fi
[ "$1" = --root ] && { root=$2; shift 2; }
verb=$1; shift
for id; do :; done
here=$root/$id
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
case $verb in
create)
    BEFORE_create
    [ -e "$here" ] && { echo "the id is in use" >&2; exit 1; }
    mkdir -p "$here" || exit 1
    mkfifo "$here/go"
    bundle=$2
    env -i "$(sed -n 's/.*"\\(CONFORMANCE=[^"]*\\)".*/\\1/p' "$bundle/config.json")" \\
        PROBE="$bundle/rootfs/probe" sh -c 'read x <"$0/go"; exec "$PROBE" wait' "$here" &
    echo "$!" >"$here/pid"
    printf %s "$!" >"$4"
    echo "$bundle" >"$here/bundle"
    AFTER_create
    ;;
start) BEFORE_start
    [ -d "$here" ] || exit 1
    echo >"$here/go"; touch "$here/started" ;;
state) BEFORE_state
    [ -d "$here" ] || { echo "no such container" >&2; exit 1; }
    status=created
    [ -e "$here/started" ] && status=running
    alive "$(cat "$here/pid")" || status=stopped
    printf '{"ociVersion": "1.0.2", "id": "%s", "pid": %s, "status": "%s", "bundle": "%s"}' \\
        "$id" "$(cat "$here/pid")" "$status" "$(cat "$here/bundle")" ;;
kill) BEFORE_kill
    kill "-$2" "$(cat "$root/$1/pid")" ;;
delete) BEFORE_delete
    [ -d "$here" ] || exit 1
    kill -9 "$(cat "$here/pid")" 2>/dev/null
    rm -r "$here" ;;
*) exit 1 ;;
esac
"""

HOOKS = ("BEFORE_create", "AFTER_create", "BEFORE_start", "BEFORE_state", "BEFORE_kill", "BEFORE_delete")


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str


def fake(path: Path, wrong: Mapping[str, str] | None = None) -> Path:
    """Write a runtime to ``path``; ``wrong`` are commands of the shell for HOOKS."""
    script = SCRIPT
    for hook in HOOKS:
        script = script.replace(hook, (wrong or {}).get(hook, ":"))
    path.write_text(script)
    path.chmod(0o755)
    return path


def conformance(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Ran:
    """``python -m conformance`` in a process of its own, one test after the other."""
    done = subprocess.run(
        [sys.executable, "-m", "conformance", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
