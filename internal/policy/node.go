package policy

import (
	"fmt"

	"github.com/cofferhq/coffer/internal/stanza"
)

// MaxTextBytes is how long the text of a policy may be, so that a hostile one
// takes no more than a moment and a few megabytes.
const MaxTextBytes = 1 << 20

// lineError is a mistake in the text of a policy.
type lineError struct {
	line int // from 1; zero: unknown
	text string
}

func (e *lineError) Error() string {
	if e.line == 0 {
		return e.text
	}
	return fmt.Sprintf("line %d: %s", e.line, e.text)
}

func errorAt(line int, format string, args ...any) error {
	return &lineError{line, fmt.Sprintf(format, args...)}
}

// elements returns the items of a list, or the node itself: where a policy takes
// a list it takes one value as well.
func elements(n *stanza.Node) []stanza.Node {
	if n.Shape == stanza.List {
		return n.Items
	}
	return []stanza.Node{*n}
}

// plain returns the node as encoding/json would decode it, with json.Number for
// numbers.
func plain(n *stanza.Node) any {
	switch n.Shape {
	case stanza.List:
		values := make([]any, len(n.Items))
		for i := range n.Items {
			values[i] = plain(&n.Items[i])
		}
		return values
	case stanza.Object:
		values := make(map[string]any, len(n.Entries))
		for i := range n.Entries {
			values[n.Entries[i].Key] = plain(&n.Entries[i].Value)
		}
		return values
	}
	return n.Value
}
