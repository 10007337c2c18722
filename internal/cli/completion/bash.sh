# Completion of NAME for bash.
_NAME() {
    local line=${COMP_LINE:0:COMP_POINT} words candidate value
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current=${words[${#words[@]}-1]} keep=""
    # Bash replaces only what follows the last of its word breaks.
    local breaks="" break
    for break in = : @; do
        [[ $COMP_WORDBREAKS == *"$break"* ]] && breaks+=$break
    done
    [[ -n $breaks ]] && keep=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        value=${candidate%%$'\t'*}
        COMPREPLY+=("${value#"$keep"}")
        [[ $value == *[/=] ]] && compopt -o nospace
    done < <(PROGRAM __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _NAME NAME
