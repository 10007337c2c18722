package hook

import (
	"bytes"
	"strings"
)

// mark stands in every hook of ours, and in none of others.
const mark = "# coffer-hook"

func isOurs(script []byte) bool { return bytes.Contains(script, []byte("\n"+mark)) }

// A hook refuses if the scanner is gone: a check that silently does not happen is
// worse than none. What was there before is called first, with the same arguments
// and input, and its refusal is final.
const scriptHead = `#!/bin/sh
# coffer-hook 1: made by "coffer scan install-hook", and removed by it with -uninstall.
coffer=PROGRAM
[ -x "$coffer" ] || coffer=$(command -v coffer) || {
	echo >&2 "coffer is gone, so nothing was searched for secrets. Install it, or remove $0."
	exit 1
}
before="$(dirname "$0")/KIND.before-coffer"
`

const commitScript = scriptHead + `if [ -x "$before" ]; then
	"$before" "$@" || exit
fi
exec "$coffer" scan -staged
`

const pushScript = scriptHead + `refs=$(cat)
give() { [ -z "$refs" ] || printf '%s\n' "$refs"; }
if [ -x "$before" ]; then
	give | "$before" "$@" || exit
fi
give | "$coffer" scan -pre-push
`

func script(kind Kind, program string) []byte {
	text := commitScript
	if kind == PrePush {
		text = pushScript
	}
	quoted := "'" + strings.ReplaceAll(program, "'", `'\''`) + "'"
	return []byte(strings.NewReplacer("PROGRAM", quoted, "KIND", string(kind)).Replace(text))
}
