"""The script for fish: a function whose output is the candidates, each with what it is."""

from __future__ import annotations

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.completion import cases

SCRIPT = r"""# Completes command lines of pyrunc in fish.  Made from pyrunc's table of commands; do not edit.

# __pyrunc_value TABLE/OPTION: what stands for the option's value; nothing for a flag
function __pyrunc_value
    switch $argv[1]
@VALUES@
    end
end

# __pyrunc_argument COMMAND/NUMBER: what the argument is
function __pyrunc_argument
    switch $argv[1]
@ARGUMENTS@
        case '*'
            echo nothing
    end
end

# __pyrunc_options TABLE: names, each with what it is for
function __pyrunc_options
    switch $argv[1]
@OPTIONS@
    end
end

# __pyrunc_offer CURRENT KIND [WORD...]
function __pyrunc_offer --no-scope-shadowing
    test (count $argv) -gt 2; and printf '%s\n' $argv[3..-1]
    switch $argv[2]
        case files
            __fish_complete_path "$argv[1]"
        case directories
            __fish_complete_directories "$argv[1]"
        case programs
            complete -C "$argv[1]"
        case ids
            if test -n "$root"
                $program --root=$root list --quiet 2>/dev/null
            else
                $program list --quiet 2>/dev/null
            end
    end
end

function __pyrunc
    set -l line (commandline -opc)
    set -l current (commandline -ct)
    set -l program $line[1]
    set -l table ''
    set -l root ''
    set -l pending ''
    set -l number 0
    set -l over 0
    for word in $line[2..-1]
        if test -n "$pending"
            test "$pending" = /root; and set root $word
            set pending ''
        else if test $over = 0; and string match -q -- -- $word
            set over 1
        else if test $over = 0; and string match -q -- '-?*' $word
            set -l name (string replace -r -- '^--?' '' $word)
            if string match -q -- '*=*' $name
                test "$table" = ''; and string match -q -- 'root=*' $name
                and set root (string replace -r '^root=' '' $name)
            else if count (__pyrunc_value $table/$name) >/dev/null
                set pending $table/$name
            end
        else if test -z "$table"
            set table $word
            set over 0
        else
            set number (math $number + 1)
            contains -- $table @OTHERS@; and set over 1
        end
    end
    set root (string replace -r '^~/' "$HOME/" -- "$root")
    if test -n "$pending"
        __pyrunc_offer "$current" (__pyrunc_value $pending | string split ' ')
    else if test $over = 0; and string match -qr -- '^-.*=' "$current"
        set -l name (string replace -r -- '=.*' '' $current)
        set -l offer (__pyrunc_value $table/(string replace -r -- '^--?' '' $name) | string split ' ')
        test -n "$offer"; or set offer nothing true false
        __pyrunc_offer (string replace -r -- '^[^=]*=' '' $current) $offer | string replace -r -- '^' "$name="
    else if test $over = 0; and string match -q -- '-*' "$current"
        if string match -qr -- '^-[^-]' "$current"
            __pyrunc_options "$table" | string replace -r -- '^--' -
        else
            __pyrunc_options "$table"
        end
    else if test -z "$table"
        printf '%s\t%s\n' @COMMANDS@
    else
        __pyrunc_offer "$current" (__pyrunc_argument $table/$number | string split ' ')
    end
end

complete -c pyrunc -f -a '(__pyrunc)'
"""


def script() -> str:
    commands = [(name, row.help) for name, row in COMMANDS.items()] + [("help", "show help")]
    return (
        SCRIPT.replace("@VALUES@", cases.values(_branch, lambda offer: f"echo {_quoted(offer)}"))
        .replace("@ARGUMENTS@", cases.arguments(_branch, lambda offer: f"echo {_quoted(offer)}"))
        .replace("@OPTIONS@", cases.options(_branch, lambda words: f"printf '%s\\t%s\\n' {_described(words)}"))
        .replace("@OTHERS@", " ".join(cases.of_others()))
        .replace("@COMMANDS@", _described(commands))
    )


def _branch(patterns: list[str], command: str) -> str:
    return f"        case {' '.join(_quoted(pattern) for pattern in patterns)}\n            {command}"


def _described(words: list[tuple[str, str]]) -> str:
    return " ".join(f"{_quoted(word)} {_quoted(what)}" for word, what in words)


def _quoted(text: str) -> str:
    """One word; unlike in other shells a backslash escapes within quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
