package storage

import (
	"context"

	"github.com/maypok86/otter/v2"
)

// Listings remembers what was made of the names below a key, so that a folder of
// many names is not opened, sorted and written anew each time. It is safe for
// concurrent use, and bounded.
type Listings[T any] struct {
	known *otter.Cache[string, listing[T]] // prefix in the store → the newest listing
}

type listing[T any] struct {
	value T
	rev   Revision // as ChangedBelow has it
	bytes int      // of the names
}

// NewListings returns an empty Listings of at most maxBytes bytes of names.
func NewListings[T any](maxBytes int) *Listings[T] {
	return &Listings[T]{known: bounded(maxBytes, func(prefix string, l listing[T]) int { return len(prefix) + l.bytes })}
}

// Of returns what derive makes of the names directly below prefix, as
// [Part.Children] has them. It does not see what the transaction has written. The
// value is shared: nobody may change it.
func (l *Listings[T]) Of(ctx context.Context, p Part, prefix string, derive func(names []string) (T, error)) (T, error) {
	full := p.prefix + prefix
	var none T
	snap, err := p.tx.snapshot(ctx)
	if err != nil {
		return none, err
	}
	rev, err := snap.ChangedBelow(ctx, full)
	if err != nil {
		return none, err
	}
	if known, ok := l.known.GetIfPresent(full); ok && known.rev == rev {
		return known.value, nil
	}
	names, err := p.Children(ctx, prefix)
	if err != nil {
		return none, err
	}
	bytes := 0
	for _, name := range names {
		bytes += len(name)
	}
	value, err := derive(names)
	if err == nil {
		l.known.Set(full, listing[T]{value: value, rev: rev, bytes: bytes})
	}
	return value, err
}
