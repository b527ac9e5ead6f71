# Bash completion for df2redis. Verbs and options are asked of the program itself (df2redis help VERB), so that what is
# offered is always what this version takes; only the words that some options take are listed here, and
# tests/packaging/completion compares those with what the program accepts.

# "--option ARGUMENT" of a verb, one a line; without a verb those of the first screen.
_df2redis_options()
{
    "$1" help ${2:+"$2"} 2>/dev/null |
        sed -n 's/^ \{2,6\}\(-[a-z], \)\{0,1\}\(--[a-z][a-z-]*\)\( [^ ]\{1,\}\)\{0,1\}\(  .*\)\{0,1\}$/\2\3/p'
}

_df2redis_short_options()
{
    "$1" help ${2:+"$2"} 2>/dev/null | sed -n 's/^ \{2\}\(-[a-z]\), \(--[a-z-]*\).*/\1 \2/p'
}

_df2redis_verbs()
{
    "$1" help 2>/dev/null | sed -n 's/^  df2redis \([a-z]\{1,\}\).*/\1/p'
    echo version
}

# Runs that are configured, and runs that have left their state.
_df2redis_names()
{
    local path
    for path in /etc/df2redis/*.conf; do
        [[ -e $path ]] && path=${path##*/} && echo "${path%.conf}"
    done
    for path in /var/lib/df2redis/*/ ~/.local/state/df2redis/*/; do
        [[ -d $path ]] && path=${path%/} && echo "${path##*/}"
    done
}

# The words that --$1 takes, whose argument the help calls $2; fails where there are none to list.
_df2redis_words()
{
    case $1 in
    on-conflict) echo overwrite skip stop ;;
    on-full-resync) echo flush keep stop prune ;;
    on-spool-full) echo end-session block ;;
    log-level) echo error warning info debug ;;
    log-format) echo text json ;;
    source) echo redis:// rediss:// ;;
    target) echo redis:// rediss:// unix:// null: ;;
    name) _df2redis_names ;;
    user) compgen -u ;;
    *)
        [[ $2 == *\|* && $2 != *[A-Z]* ]] || return 1
        echo "${2//|/ }"
        ;;
    esac
}

_df2redis()
{
    local program=${COMP_WORDS[0]/#\~/$HOME} cur=$2 prev=${COMP_WORDS[COMP_CWORD - 1]}
    local verbs verb='' word options option='' argument='' i
    COMPREPLY=()
    verbs=" $(_df2redis_verbs "$program" | tr '\n' ' ')"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $verbs == *" $word "* ]] && verb=$word && break
    done

    # Bash takes "=" for a word of its own.
    [[ $cur == = ]] && cur=''
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    [[ $2 == = ]] && prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $prev == -? ]]; then
        prev=$(_df2redis_short_options "$program" "${verb:-replicate}" | sed -n "s/^$prev //p")
    fi
    options=$(_df2redis_options "$program" "${verb:-replicate}")
    while read -r option argument; do
        [[ $option == "$prev" ]] && break
        option='' argument=''
    done <<<"$options"

    if [[ -n $argument ]]; then
        if word=$(_df2redis_words "${option#--}" "$argument"); then
            mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
            [[ ${COMPREPLY[0]-} == *: || ${COMPREPLY[0]-} == *// ]] && compopt -o nospace 2>/dev/null
            declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
        elif [[ $argument == FILE ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        elif [[ $argument == DIR ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        fi
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options//$'\n'/ } --help" -- "$cur" | grep '^--')
    elif [[ -z $verb || ($verb == help && $prev == help) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
    fi
}

complete -F _df2redis df2redis
