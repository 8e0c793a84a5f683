"""The script for bash: a function for ``complete -F``."""

from __future__ import annotations

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.completion import cases

SCRIPT = r"""# Completes command lines of pyrunc in bash.  Made from pyrunc's table of commands; do not edit.

@OFFERS@

# _pyrunc_options TABLE: sets options
_pyrunc_options() {
    case $1 in
@OPTIONS@
        *) options= ;;
    esac
}

# _pyrunc_offer KIND [WORD...]: fills COMPREPLY with what begins with $current
_pyrunc_offer() {
    local kind=$1
    shift
    local -a found=() words=()
    mapfile -t words < <(compgen -W "$*" -- "$current")
    case $kind in
        files) mapfile -t found < <(compgen -f -- "$current") ;;
        directories) mapfile -t found < <(compgen -d -- "$current") ;;
        programs) mapfile -t found < <(compgen -c -- "$current") ;;
        ids)
            # Not through compgen -W, which would expand what it is given.
            while IFS= read -r word; do
                [[ $word == "$current"* ]] && found+=("$word")
            done < <("$program" ${root:+--root="$root"} list --quiet 2>/dev/null)
            ;;
    esac
    case $kind in files | directories) compopt -o filenames 2>/dev/null ;; esac
    COMPREPLY+=("${words[@]/#/$prefix}" "${found[@]/#/$prefix}")
}

_pyrunc() {
    local program=${COMP_WORDS[0]} current= prefix= table= root= pending= options= offer= word= last=
    local -i index number=0 over=0
    local -a line=()
    # The shell splits at = and : what is one word to the program.
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index > 1)) && [[ $word == [=:]* || $last == *[=:] && $last == [=:]* ]]; then
            line[-1]+=$word
        else
            line+=("$word")
        fi
        last=$word
    done
    current=${line[-1]}
    unset 'line[-1]'
    for word in "${line[@]}"; do
        if [[ $pending ]]; then
            [[ $pending == /root ]] && root=$word
            pending=
        elif ((!over)) && [[ $word == -- ]]; then
            over=1
        elif ((!over)) && [[ $word == -?* ]]; then
            word=${word#-}
            word=${word#-}
            if [[ $word == *=* ]]; then
                [[ $table/${word%%=*} == /root ]] && root=${word#*=}
            else
                _pyrunc_value "$table/$word"
                [[ $offer ]] && pending=$table/$word
            fi
        elif [[ ! $table ]]; then
            table=$word
            over=0
        else
            number+=1
            case $table in @OTHERS@) over=1 ;; esac
        fi
    done
    root=${root/#\~\//$HOME/}
    COMPREPLY=()
    if [[ $pending ]]; then
        _pyrunc_value "$pending"
    elif ((!over)) && [[ $current == -*=* ]]; then
        word=${current%%=*}
        # What stands before a character that splits words is not replaced.
        [[ $COMP_WORDBREAKS == *=* ]] || prefix=$word=
        current=${current#*=}
        word=${word#-}
        _pyrunc_value "$table/${word#-}"
        [[ $offer ]] || offer='nothing true false'
    elif ((!over)) && [[ $current == -* ]]; then
        _pyrunc_options "$table"
        [[ $current == -[!-]* ]] && options=${options//--/-}
        offer="nothing $options"
    elif [[ ! $table ]]; then
        offer='nothing @COMMANDS@ help'
    else
        _pyrunc_argument "$table/$number"
    fi
    # shellcheck disable=SC2086  # a kind, and words
    _pyrunc_offer $offer
}

complete -F _pyrunc pyrunc
"""


def script() -> str:
    def names(words: list[tuple[str, str]]) -> str:
        return f"options={cases.quoted(' '.join(dict(words)))}"

    return (
        SCRIPT.replace("@OFFERS@", cases.posix_offers())
        .replace("@OPTIONS@", cases.options(cases.posix, names))
        .replace("@OTHERS@", " | ".join(cases.of_others()))
        .replace("@COMMANDS@", " ".join(COMMANDS))
    )
