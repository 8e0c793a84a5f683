"""Real shells, asked what they would complete a line to."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[str, Path], list[str]]

#: Seconds; a shell that starts on a loaded machine takes long.
PATIENCE = 60


def environment(home: Path) -> dict[str, str]:
    """Where ``pyrunc`` is what the test has put into ``home``/bin."""
    return {
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "ZDOTDIR": str(home),
        "HITS": str(home / "hits"),
    }


BASH = r"""
source "$HOME/pyrunc.bash"
# As readline splits the line; the word at the cursor is the last one.
words=()
while IFS= read -r word; do words+=("$word"); done <"$HOME/words"
COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMP_LINE=$LINE COMP_POINT=${#LINE}
eval "$(complete -p pyrunc | sed -E 's/.*-F ([^ ]+) .*/function=\1/')"
"$function" pyrunc "${words[-1]}" "${words[-2]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(line: str, home: Path) -> list[str]:
    words = [piece for word in line.split(" ") for piece in re.findall("[=:]+|[^=:]+", word) or [""]]
    (home / "words").write_text("".join(f"{word}\n" for word in words))
    done = run("bash", "--norc", "--noprofile", "-c", BASH, env={**environment(home), "LINE": line}, cwd=home)
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


def fish(line: str, home: Path) -> list[str]:
    script = f"source $HOME/pyrunc.fish; complete -C {shlex.quote(line)}"
    done = run("fish", "--no-config", "-c", script, env=environment(home), cwd=home)
    assert done.stderr == ""
    return sorted(found.partition("\t")[0] for found in done.stdout.splitlines())


#: What zsh shows goes through compadd: this one notes it down. A line END says that a completion is over.
ZSHRC = r"""
PROMPT= RPROMPT= ; unsetopt prompt_cr prompt_sp beep
fpath=($HOME/functions $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a hits
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        builtin compadd -A hits "$@"
        ((${#hits})) && print -rl -- ${IPREFIX}${^hits} >>$HITS
    fi
    builtin compadd "$@"
}
note-end() { print END >>$HITS }
_before() { comppostfuncs=(note-end); return 1 }
zstyle ':completion:*' completer _before _complete
zle-line-init() { print READY >>$HITS }
zle -N zle-line-init
bindkey '^I' complete-word
"""


def zsh(line: str, home: Path) -> list[str]:
    (home / ".zshrc").write_text(ZSHRC)
    functions = home / "functions"
    functions.mkdir(exist_ok=True)
    (functions / "_pyrunc").write_text((home / "pyrunc.zsh").read_text())
    hits = home / "hits"
    hits.unlink(missing_ok=True)
    os.mkfifo(hits)
    reader = os.open(hits, os.O_RDWR | os.O_CLOEXEC)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve("/usr/bin/zsh", ["zsh", "-d", "-i"], environment(home))
    try:
        _until(reader, terminal, "READY")
        os.write(terminal, line.encode() + b"\t")
        return sorted(set(_until(reader, terminal, "END")))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
        os.close(reader)


def _until(reader: int, terminal: int, end: str) -> list[str]:
    """The lines before ``end``, while the terminal is read, so that it does not fill up."""
    said, shown = b"", b""
    deadline = time.monotonic() + PATIENCE
    while f"{end}\n".encode() not in said:
        ready, _, _ = select.select([reader, terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"zsh has not answered: {said!r}, {shown!r}"
        for fd in ready:
            data = os.read(fd, 65536)
            if fd == reader:
                said += data
            else:
                shown += data
    return [line for line in said.decode().partition(f"{end}\n")[0].splitlines() if line != "READY"]


SHELLS: dict[str, Ask] = {"bash": bash, "zsh": zsh, "fish": fish}
