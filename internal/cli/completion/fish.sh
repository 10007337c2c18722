# Completion of NAME for fish.
function __NAME_candidates
    set -l words (commandline -opc) (commandline -ct)
    PROGRAM __complete -- $words[2..] 2>/dev/null
end
complete -c NAME -f -a '(__NAME_candidates)'
