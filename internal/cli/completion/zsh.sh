#compdef NAME
# Completion of NAME for zsh.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_NAME() {
    local line value note
    local -a values notes open openNotes
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        note="$value"
        [[ $line == *$'\t'* ]] && note="$value  -- ${line#*$'\t'}"
        if [[ $value == *[/=] ]]; then
            open+=("$value") openNotes+=("$note")
        else
            values+=("$value") notes+=("$note")
        fi
    done < <(PROGRAM __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#values )) && compadd -l -d notes -a values
    (( $#open )) && compadd -l -S '' -d openNotes -a open
    (( $#values + $#open )) || _files
}
compdef _NAME NAME
