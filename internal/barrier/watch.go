package barrier

import (
	"context"
	"iter"
	"strings"

	"github.com/cofferhq/coffer/internal/storage"
)

// Watch implements [storage.Store] with two differences: prefix is of whole
// segments, and deletions may be vague.
//
// The store below deletes a key without a trace of the names in it. The key of a
// deletion is therefore cut off before its first name that prefix does not
// give away: it is then the beginning of the key that is gone, and of others
// that are not. Whoever keeps copies has one rule for all deletions: drop every
// key that begins with the operation's, and read again what is needed. Keys
// without names, and so all tables of plain ids, are told in full. Deletions
// come first in a commit, so that what it puts is not dropped again, and one
// cut-off key stands for any number of deletions of the commit.
//
// The sealing of the barrier ends a Watch with [logical.ErrSealed].
func (b *Barrier) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return func(yield func(storage.Commit, error) bool) {
		k, err := b.unsealed()
		if err != nil {
			yield(storage.Commit{}, err)
			return
		}
		hidden, err := k.hide(prefix)
		if err != nil {
			yield(storage.Commit{}, err)
			return
		}
		w := watcher{barrier: b, prefix: prefix, hidden: hidden}
		for c, err := range b.inner.Watch(ctx, hidden, rev) {
			if err == nil {
				c, err = w.open(ctx, c)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// watcher is what one Watch knows: its prefix, and the hidden form of it.
type watcher struct {
	barrier *Barrier
	prefix  string
	hidden  string
}

// open returns c, a commit of the store below, as the barrier's user knows it.
func (w *watcher) open(ctx context.Context, c storage.Commit) (storage.Commit, error) {
	if _, err := w.barrier.unsealed(); err != nil { // progress too, or a Watch outlives Seal
		return storage.Commit{}, err
	}
	if len(c.Ops) == 0 {
		return c, nil
	}
	ops, err := w.deletions(c.Ops)
	if err != nil {
		return storage.Commit{}, err
	}
	for _, op := range c.Ops {
		if op.Gone {
			continue
		}
		e, err := w.barrier.openRevealed(ctx, storage.Entry{Key: op.Key, Value: op.Value})
		if err != nil {
			return storage.Commit{}, err
		}
		ops = append(ops, storage.Put(e.Key, e.Value))
	}
	return storage.Commit{Revision: c.Revision, Ops: ops}, nil
}

// deletions returns what can be told of the deletions among ops, each key once.
func (w *watcher) deletions(ops []storage.Op) ([]storage.Op, error) {
	told := make([]storage.Op, 0, len(ops))
	seen := make(map[string]bool)
	for _, op := range ops {
		if !op.Gone {
			continue
		}
		key, err := w.known(op.Key)
		if err != nil {
			return nil, err
		}
		if !seen[key] {
			seen[key] = true
			told = append(told, storage.Delete(key))
		}
	}
	return told, nil
}

// known returns the part of a hidden key that can be told: the prefix, and what
// follows up to the first name.
func (w *watcher) known(hidden string) (string, error) {
	rest := strings.TrimPrefix(hidden, w.hidden)
	end := 0
	for end < len(rest) {
		seg, _, isName, err := cutHidden(rest[end:])
		if err != nil {
			return "", err
		}
		if isName {
			break
		}
		end += len(seg)
	}
	return w.prefix + rest[:end], nil
}
