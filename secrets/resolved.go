package secrets

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Resolved is what templates stand for. No method but Value gives a secret.
type Resolved struct {
	values map[string]hidden
	reads  []Read
}

// Value returns what the template of that name stands for. It is absent if the
// template is one optional reference, alone, and there is no such secret; within
// a longer text such a reference is empty.
func (r *Resolved) Value(name string) (text string, ok bool) {
	value, ok := r.values[name]
	if !ok {
		return "", false
	}
	return value(), true
}

// equal says whether the values are the same.
func (r *Resolved) equal(other *Resolved) bool {
	return maps.EqualFunc(r.values, other.values, func(a, b hidden) bool { return a() == b() })
}

// Reads returns what was read to resolve the templates, ordered by namespace,
// path and version.
func (r *Resolved) Reads() []Read { return r.reads }

// Read tells of one answer of the server, without its values.
type Read struct {
	Namespace string // as the references name it
	Path      string // as it was asked, below /v1: "secret/data/db"
	Asked     int    // version; zero: the newest

	// Version is the one that was given; zero on anything but mounts of the
	// key-value engine, version 2.
	Version int

	// Lease of dynamic secrets; zero values if there is none. Some engines tell
	// with a duration alone when to read again.
	LeaseID   string
	Lease     time.Duration
	Renewable bool

	Names []string // of the templates that hold a value of it, in order
}

// Failure is one reference that could not be resolved.
type Failure struct {
	Name      string // of the template
	Reference Reference
	Err       error // of package client, or one that is ErrAbsent
}

// ResolveError tells of every reference that could not be resolved, by the names
// of the templates and in the order of their references. It holds no value, and
// no default.
type ResolveError struct{ Failures []Failure }

var _ error = (*ResolveError)(nil)

func (e *ResolveError) Error() string {
	var b strings.Builder
	if len(e.Failures) == 1 {
		b.WriteString("a reference cannot be resolved:")
	} else {
		fmt.Fprintf(&b, "%d references cannot be resolved:", len(e.Failures))
	}
	for _, f := range e.Failures {
		fmt.Fprintf(&b, "\n  %s: %s: %v", f.Name, f.Reference, f.Err)
	}
	return b.String()
}

// Unwrap returns the failures' errors.
func (e *ResolveError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}
