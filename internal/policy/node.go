package policy

import "fmt"

// Bounds of a policy's text. They keep a hostile one from taking more than a
// moment and a few megabytes.
const (
	// MaxTextBytes is how long the text of a policy may be.
	MaxTextBytes = 1 << 20
	// maxDepth is how deep blocks and lists may stand in one another. A policy
	// needs five.
	maxDepth = 32
)

// shape says what a node is.
type shape uint8

const (
	scalar shape = iota // a text, a number, a boolean or null
	list
	object
)

// node is a part of a policy's text, whether it was HCL or JSON.
type node struct {
	shape   shape
	line    int     // from 1
	value   any     // of a scalar: string, json.Number, bool or nil
	items   []node  // of a list
	entries []entry // of an object, in the order of the text
}

// entry is one key of an object. In HCL a block with two labels is an entry in
// an entry, and keys may occur more than once.
type entry struct {
	key   string
	line  int
	value node
}

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
func (n *node) elements() []node {
	if n.shape == list {
		return n.items
	}
	return []node{*n}
}

// plain returns the node as encoding/json would decode it, with json.Number for
// numbers.
func (n *node) plain() any {
	switch n.shape {
	case list:
		values := make([]any, len(n.items))
		for i := range n.items {
			values[i] = n.items[i].plain()
		}
		return values
	case object:
		values := make(map[string]any, len(n.entries))
		for i := range n.entries {
			values[n.entries[i].key] = n.entries[i].value.plain()
		}
		return values
	}
	return n.value
}
