"""The script for zsh: a function of compsys."""

from __future__ import annotations

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.completion import cases

SCRIPT = r"""#compdef pyrunc
# Completes command lines of pyrunc in zsh.  Made from pyrunc's table of commands; do not edit.

@OFFERS@

# _pyrunc_options TABLE: sets options
_pyrunc_options() {
    case $1 in
@OPTIONS@
        *) options=() ;;
    esac
}

# _pyrunc_offer KIND [WORD...]
_pyrunc_offer() {
    local kind=$1
    shift
    local -a ids
    (($#)) && compadd -- "$@"
    case $kind in
        files) _files ;;
        directories) _files -/ ;;
        programs) _command_names -e ;;
        ids)
            ids=(${(f)"$("$program" ${root:+--root=$root} list --quiet 2>/dev/null)"})
            compadd -- $ids
            ;;
        *) ((compstate[nmatches])) || _message 'no more to be known about it' ;;
    esac
}

_pyrunc() {
    emulate -L zsh
    setopt extended_glob
    local program=$words[1] current=$PREFIX table= root= pending= offer= word=
    local -i index number=0 over=0
    local -a options
    for word in "${(@)words[2,CURRENT-1]}"; do
        if [[ -n $pending ]]; then
            [[ $pending == /root ]] && root=${(Q)word}
            pending=
        elif ((!over)) && [[ $word == -- ]]; then
            over=1
        elif ((!over)) && [[ $word == -?* ]]; then
            word=${${word#-}#-}
            if [[ $word == *=* ]]; then
                [[ $table/${word%%=*} == /root ]] && root=${(Q)word#*=}
            else
                _pyrunc_value $table/$word
                [[ -n $offer ]] && pending=$table/$word
            fi
        elif [[ -z $table ]]; then
            table=$word
            over=0
        else
            number+=1
            case $table in @OTHERS@) over=1 ;; esac
        fi
    done
    root=${root/#\~\//$HOME/}
    if [[ -n $pending ]]; then
        _pyrunc_value $pending
    elif ((!over)) && [[ $current == -*=* ]]; then
        _pyrunc_value $table/${${${current%%=*}#-}#-}
        compset -P '*='
        [[ -n $offer ]] || offer='nothing true false'
    elif ((!over)) && [[ $current == -* ]]; then
        _pyrunc_options $table
        [[ $current == -[^-]* ]] && options=(${options/#--/-})
        _describe -o option options
        return
    elif [[ -z $table ]]; then
        options=(@COMMANDS@)
        _describe command options
        return
    else
        _pyrunc_argument $table/$number
    fi
    _pyrunc_offer ${=offer}
}

if [[ $funcstack[1] == _pyrunc ]]; then
    _pyrunc "$@"
else
    compdef _pyrunc pyrunc
fi
"""


def script() -> str:
    commands = [(name, row.help) for name, row in COMMANDS.items()] + [("help", "show help")]
    return (
        SCRIPT.replace("@OFFERS@", cases.posix_offers())
        .replace("@OPTIONS@", cases.options(cases.posix, lambda words: f"options=({_described(words)})"))
        .replace("@OTHERS@", " | ".join(cases.of_others()))
        .replace("@COMMANDS@", _described(commands))
    )


def _described(words: list[tuple[str, str]]) -> str:
    """``'word:what it is'``, as _describe takes it."""
    return " ".join(cases.quoted(f"{word}:{what}") for word, what in words)
