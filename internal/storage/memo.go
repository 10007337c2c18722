package storage

import (
	"context"

	"github.com/maypok86/otter/v2"
)

// Memo remembers what entries decode to, so that rows which are read all the
// time are decrypted and parsed once. An entry's key and revision say all about
// its content: what is remembered cannot be out of date, only be of no use any
// more. It is safe for concurrent use, and bounded.
type Memo[T any] struct {
	known *otter.Cache[string, memorized[T]] // key in the store → the newest that was decoded
	keep  func(T) bool
}

type memorized[T any] struct {
	value T
	rev   Revision
	bytes int // of the entry's value
}

// NewMemo returns an empty Memo of entries whose values have at most maxBytes
// bytes together; what they decode to may be a few times as large. Keep says
// what may be remembered, which secrets may not; nil: all of it.
func NewMemo[T any](maxBytes int, keep func(T) bool) *Memo[T] {
	return &Memo[T]{keep: keep, known: bounded(maxBytes, func(_ string, m memorized[T]) int { return m.bytes })}
}

// bounded returns an empty cache of at most maxBytes bytes, as size has them. It
// has no goroutines of its own.
func bounded[V any](maxBytes int, size func(key string, v V) int) *otter.Cache[string, V] {
	return otter.Must(&otter.Options[string, V]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(key string, v V) uint32 { return uint32(size(key, v)) },
		Executor:      func(fn func()) { fn() },
	})
}

// Peek returns what decode makes of the entry at key, or ErrNotFound. As with
// [Tx.Peek] the commit does not depend on it; [Part.Expect] with the revision
// makes it so. The value is shared: nobody may change it. Decode must not keep
// the entry's value unless it owns it.
func (m *Memo[T]) Peek(ctx context.Context, p Part, key string, decode func(Entry) (T, error)) (T, Revision, error) {
	full := p.prefix + key
	var none T
	if _, written := p.tx.writes[full]; !written {
		rev, err := p.stat(ctx, full)
		if err != nil {
			return none, 0, err
		}
		if known, ok := m.known.GetIfPresent(full); ok && known.rev == rev {
			return known.value, rev, nil
		}
	}
	e, err := p.Peek(ctx, key)
	if err != nil {
		return none, 0, err
	}
	size := len(e.Value)
	value, err := decode(e)
	if err == nil && e.Revision > 0 && (m.keep == nil || m.keep(value)) {
		m.known.Set(full, memorized[T]{value: value, rev: e.Revision, bytes: size})
	}
	return value, e.Revision, err
}

// Forget empties the Memo.
func (m *Memo[T]) Forget() { m.known.InvalidateAll() }

func (p Part) stat(ctx context.Context, full string) (Revision, error) {
	snap, err := p.tx.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	return snap.Stat(ctx, full)
}

// Expect is [Tx.Expect].
func (p Part) Expect(key string, rev Revision) { p.tx.Expect(p.prefix+key, rev) }
