// Package redact removes known secret values from bytes on their way out: logs,
// the output of a program, error reports. It looks for the values as they are
// and in the encodings in which values leak: base64 in all three alignments,
// percent-encoding, JSON, shell, Go, Python and HTML escapes, hexadecimal. Values
// of several lines are looked for line by line, too.
//
// A [Redactor] holds the values. They are replaced as a whole with
// [Redactor.Set], also while others write; what was replaced is still removed,
// since a program may go on to print it. Bytes pass through [Redactor.Writer], a
// log through [Redactor.Handler], requests through [Redactor.AccessLog].
//
// What is removed is exact: every byte that is part of an occurrence of a value
// goes, wherever the writes are cut, and every other byte stays, in order.
// Occurrences that overlap are replaced by one marker.
//
// What it cannot see: values that the program splits over lines of its own
// making, compresses, encrypts, hashes, draws, or encodes in another way, or
// twice; and values that are too short or too common to be removed without
// harm, of which Set warns. It is a net below a program that takes care, not a
// substitute for one.
//
// Start reading at [Redactor] and [Redactor.Set].
package redact

import (
	"sync"
	"sync/atomic"
	"time"
)

// Marker is what stands in place of a value. [WithNames] adds its name.
const Marker = "[redacted]"

// Redactor knows values and removes them. Its methods are safe for concurrent
// use. It owns nothing that must be closed.
type Redactor struct {
	names bool
	keep  time.Duration // how long replaced values are removed; negative: for ever

	current atomic.Pointer[matcher]

	mu     sync.Mutex // guards the fields below; held while a matcher is built
	values []Value    // as last set, above the floor
	old    []former   // oldest first; none of them in values
}

// former is a value that was replaced.
type former struct {
	Value
	until time.Time // zero: for ever
}

// Option changes what [New] returns.
type Option func(*Redactor)

// WithNames puts the name of the value into the marker: [redacted:DB_PASSWORD].
// A name tells a reader what stood there; use names that may be known. Of
// occurrences that overlap it is the name of the first, and of those that begin
// at one place, of the longest.
func WithNames() Option { return func(r *Redactor) { r.names = true } }

// WithPrevious says how long values that [Redactor.Set] replaced are removed
// still. The default is for ever. They cost memory and search time as the
// current ones do, so a program that runs for months with credentials that live
// for minutes wants a bound, well above the time for which it may print an old
// value. They are dropped by the first call of Set after that time.
func WithPrevious(d time.Duration) Option { return func(r *Redactor) { r.keep = max(d, 0) } }

// New returns a Redactor that knows no value yet.
func New(opts ...Option) *Redactor {
	r := &Redactor{keep: -1}
	for _, o := range opts {
		o(r)
	}
	r.current.Store(newMatcher(nil, r.names))
	return r
}

// Set makes values the ones to remove, in place of those of the last call, which
// become previous ones: see [WithPrevious]. It returns a warning for each value
// that is not removed, because it is too short or too common.
//
// It builds what is needed for the search, which takes some 50 µs a value, and
// puts it in place at once: every write that begins after Set has returned uses
// it. Bytes that were passed on before cannot be called back, so an occurrence
// whose beginning left before the value was known is not recognised. Know a
// value before the program does.
func (r *Redactor) Set(values ...Value) []Warning {
	var warnings []Warning
	kept := make([]Value, 0, len(values))
	for _, v := range values {
		if reason := v.floor(); reason != "" {
			warnings = append(warnings, Warning{Name: v.name, Reason: reason})
			continue
		}
		kept = append(kept, v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(kept, time.Now())
	r.values = kept
	all := make([]Value, 0, len(r.values)+len(r.old))
	all = append(all, r.values...)
	for _, f := range r.old {
		all = append(all, f.Value)
	}
	r.current.Store(newMatcher(all, r.names))
	return warnings
}

// retire turns the values that next no longer has into former ones, and forgets
// those whose time is over. The caller holds r.mu.
func (r *Redactor) retire(next []Value, now time.Time) {
	current := make(map[string]bool, len(next))
	for _, v := range next {
		current[string(v.reveal())] = true
	}
	var until time.Time
	if r.keep > 0 {
		until = now.Add(r.keep)
	}
	var old []former
	add := func(f former) {
		if text := string(f.reveal()); !current[text] {
			current[text] = true // once is enough
			old = append(old, f)
		}
	}
	if r.keep != 0 {
		for _, v := range r.values {
			add(former{v, until})
		}
	}
	for _, f := range r.old {
		if f.until.IsZero() || f.until.After(now) {
			add(f)
		}
	}
	r.old = old
}

// Bytes returns p without the values. It returns p itself if there are none in
// it, and never changes it.
func (r *Redactor) Bytes(p []byte) []byte {
	m := r.current.Load()
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.matches = m.find(s.matches[:0], p)
	if len(s.matches) == 0 {
		return p
	}
	out, _ := m.replace(make([]byte, 0, len(p)), p, s.matches, 0, len(p))
	return out
}

// String returns text without the values.
func (r *Redactor) String(text string) string {
	p := []byte(text)
	clean := r.Bytes(p)
	if len(p) == 0 || &clean[0] == &p[0] {
		return text
	}
	return string(clean)
}

// Contains says whether there is a value in p.
func (r *Redactor) Contains(p []byte) bool {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.matches = r.current.Load().find(s.matches[:0], p)
	return len(s.matches) > 0
}

// scratch is memory of a search that the next one can use.
type scratch struct{ matches []match }

var scratches = sync.Pool{New: func() any { return new(scratch) }}
