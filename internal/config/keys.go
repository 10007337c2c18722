package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/stanza"
)

// setter reads one key and its value into t. What it returns is reported at the
// value; what it says to s itself is not.
type setter[T any] func(s scope, t *T, e stanza.Entry) error

// keys is the table of what a stanza may hold.
type keys[T any] map[string]setter[T]

// repeated lists the keys that may stand more than once in a block. They are
// stanzas: a value can be set only once.
var repeated = []string{"listener", "audit", "storage", "backend", "ha_storage", "seal"}

// decode reads the entries of a block into t and reports, in s, what is wrong.
func (k keys[T]) decode(s scope, t *T, entries []stanza.Entry) {
	seen := make(map[string]int, len(entries)) // key → line
	for _, e := range entries {
		if e.Value.Shape == stanza.Null {
			continue
		}
		set, known := k[e.Key]
		if !known {
			s.warn(e.Line, e.Key, "unknown key; it is ignored", k.suggest(e.Key))
			continue
		}
		if line, twice := seen[e.Key]; twice && !slices.Contains(repeated, e.Key) {
			s.problem(e.Line, e.Key, fmt.Errorf("is set in line %d already", line))
			continue
		}
		seen[e.Key] = e.Line
		if err := set(s, t, e); err != nil {
			s.problem(e.Value.Line, e.Key, err)
		}
	}
}

// suggest returns a hint that names the known key next to key, or nothing if
// none is close: a mistyped tls_client_ca_file must not pass for a wish.
func (k keys[T]) suggest(key string) string {
	best, least := "", 3 // edits
	for _, known := range slices.Sorted(maps.Keys(k)) {
		if d := distance(key, known, least); d < least {
			best, least = known, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// distance returns how many bytes must be inserted, removed or replaced to make
// b of a (Levenshtein), or a number of at least bound.
func distance(a, b string, bound int) int {
	if len(a) > len(b)+bound || len(b) > len(a)+bound {
		return bound
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// as makes a setter of a reader of values and a place to put them.
func as[T, V any](read func(value) (V, error), at func(*T) *V) setter[T] {
	return func(_ scope, t *T, e stanza.Entry) error {
		got, err := read(value(e.Value))
		if err == nil {
			*at(t) = got
		}
		return err
	}
}

func text[T any](at func(*T) *string) setter[T]            { return as(value.plain, at) }
func flag[T any](at func(*T) *bool) setter[T]              { return as(value.bool, at) }
func count[T any](at func(*T) *int) setter[T]              { return as(value.count, at) }
func size[T any](at func(*T) *int64) setter[T]             { return as(value.bytes, at) }
func duration[T any](at func(*T) *time.Duration) setter[T] { return as(value.duration, at) }

// unless is flag for a field that says the opposite, so that its zero value is
// Vault's default.
func unless[T any](at func(*T) *bool) setter[T] {
	return as(func(v value) (bool, error) {
		b, err := v.bool()
		return !b, err
	}, at)
}

// choice is a setter of one of several words, in any case.
func choice[T, V any](at func(*T) *V, words map[string]V) setter[T] {
	return as(func(v value) (V, error) {
		s, err := v.plain()
		got, ok := words[strings.ToLower(s)]
		if err == nil && !ok {
			err = fmt.Errorf("expected %s", orList(slices.Sorted(maps.Keys(words))))
		}
		return got, err
	}, at)
}

// orList writes words as "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// accepted is a key of Vault's that coffer has no need of: what it asks for is
// so anyway.
func accepted[T any](scope, *T, stanza.Entry) error { return nil }

// ignored is a key of Vault's that has no effect here, which is said.
func ignored[T any](why string) setter[T] {
	return func(s scope, _ *T, e stanza.Entry) error {
		s.warn(e.Line, e.Key, "has no effect: "+why, "")
		return nil
	}
}

// inert is a key that is read as any other, so that a wrong value is found. That it
// has no effect is said where the value asks for one.
func inert[T, V any](read func(value) (V, error), at func(*T) *V, asks func(V) bool, why string) setter[T] {
	return func(s scope, t *T, e stanza.Entry) error {
		got, err := read(value(e.Value))
		if err != nil {
			return err
		}
		*at(t) = got
		if asks(got) {
			s.warn(e.Line, e.Key, "has no effect: "+why, "")
		}
		return nil
	}
}

// refused is a key of Vault's without which the server would not do what its
// operator relies on, unless it only repeats the default.
func refused[T any](why string) setter[T] {
	return func(_ scope, _ *T, e stanza.Entry) error {
		if off, err := value(e.Value).bool(); err == nil && !off {
			return nil
		}
		return complaint{text: "is not supported: " + why}
	}
}

// block reads a stanza without a label.
func block[T, U any](at func(*T) *U, k keys[U]) setter[T] {
	return func(s scope, t *T, e stanza.Entry) error {
		bodies, err := value(e.Value).objects()
		if err != nil {
			return err
		}
		for _, body := range bodies {
			k.decode(s.in(e.Key), at(t), body.Entries)
		}
		return nil
	}
}

// labelled is a block and the label before it, such as "tcp" of a listener.
type labelled struct {
	label string
	line  int
	body  value // an object
}

// stanzas returns the labelled blocks of v. A block may carry its label inside
// instead, as the key "type".
func (v value) stanzas() ([]labelled, error) {
	bodies, err := v.objects()
	if err != nil {
		return nil, err
	}
	var all []labelled
	for _, body := range bodies {
		if s, ok := body.labelledInside(); ok {
			all = append(all, s)
			continue
		}
		for _, e := range body.Entries {
			inner, err := value(e.Value).objects()
			if err != nil {
				return nil, complaint{text: "expected a block with a label", hint: `such as: listener "tcp" { … }`}
			}
			for _, one := range inner {
				all = append(all, labelled{e.Key, e.Line, one})
			}
		}
	}
	return all, nil
}

func (v value) labelledInside() (labelled, bool) {
	for i, e := range v.Entries {
		if label, err := value(e.Value).plain(); err == nil && e.Key == "type" {
			v.Entries = slices.Delete(slices.Clone(v.Entries), i, i+1)
			return labelled{label, e.Line, v}, true
		}
	}
	return labelled{}, false
}

// scope returns where the stanza is, inside s, as its key and label.
func (st labelled) scope(s scope, key string) scope {
	return s.in(fmt.Sprintf("%s %q", key, st.label))
}
