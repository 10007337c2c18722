package runner

import (
	"bytes"
	"maps"
	"slices"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

// values are what slots are filled with, and templates rendered to. They do not
// change: new values are others.
type values struct {
	// value returns nothing if the slot is to be absent.
	value    func(slot string) (string, bool)
	rendered []rendering // of the templates of files, in their order
}

// rendering is what a template of a file gave.
type rendering struct {
	name    string // of the template, for people
	content secret.Bytes
	secrets []secret.Bytes // that it may hold
}

func valuesOf(s secrets.Snapshot) values {
	return values{value: func(slot string) (string, bool) {
		v, ok := s.Lookup(slot)
		return v.Reveal(), ok
	}}
}

func noValues() values { return values{value: func(string) (string, bool) { return "", false }} }

// equal says whether the program would see no difference, in any of the slots.
func (v values) equal(w values, slots []string) bool {
	if v.value == nil || w.value == nil {
		return false
	}
	for _, slot := range slots {
		a, hasA := v.value(slot)
		b, hasB := w.value(slot)
		if a != b || hasA != hasB {
			return false
		}
	}
	return slices.EqualFunc(v.rendered, w.rendered, func(a, b rendering) bool {
		return bytes.Equal(a.content.Reveal(), b.content.Reveal())
	})
}

func sortedNames(templates map[string]secrets.Template) []string {
	return slices.Sorted(maps.Keys(templates))
}
