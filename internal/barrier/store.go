package barrier

import (
	"context"
	"fmt"
	"iter"

	"github.com/cofferhq/coffer/internal/storage"
)

// Apply implements [storage.Store]. Ciphertexts are larger than what they hold:
// a commit close to the limits is refused with storage.ErrTooLarge.
func (b *Barrier) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	k, err := b.unsealed()
	if err != nil {
		return 0, err
	}
	if err := storage.Check(conds, ops); err != nil {
		return 0, err
	}
	hiddenConds, err := k.hideConds(conds)
	if err != nil {
		return 0, err
	}
	sealed, err := k.sealOps(ops)
	if err != nil {
		return 0, err
	}
	return b.inner.Apply(ctx, hiddenConds, sealed)
}

func (k *keys) hideConds(conds []storage.Cond) ([]storage.Cond, error) {
	hidden := make([]storage.Cond, len(conds))
	for i, c := range conds {
		key, err := k.hide(c.Key)
		if err != nil {
			return nil, err
		}
		hidden[i] = storage.Cond{Key: key, Revision: c.Revision}
	}
	return hidden, nil
}

func (k *keys) sealOps(ops []storage.Op) ([]storage.Op, error) {
	sealed, encrypted := make([]storage.Op, len(ops)), uint64(0)
	for i, op := range ops {
		key, err := k.hide(op.Key)
		if err != nil {
			return nil, err
		}
		if op.Gone {
			sealed[i] = storage.Delete(key)
			continue
		}
		value, err := k.sealEntry(key, op.Key, op.Value)
		if err != nil {
			return nil, fmt.Errorf("barrier: seal an entry: %w", err)
		}
		sealed[i] = storage.Put(key, value)
		encrypted++
	}
	k.used.Add(encrypted)
	return sealed, nil
}

// open is openEntry with newer keys if these do not do.
func (b *Barrier) open(ctx context.Context, hidden string, ciphertext []byte) (names, value []byte, err error) {
	k, err := b.unsealed()
	if err != nil {
		return nil, nil, err
	}
	names, value, err = k.openEntry(hidden, ciphertext)
	if err == nil || k.ring.has(ciphertext) {
		return names, value, err
	}
	if k, err = b.reload(ctx, k); err != nil {
		return nil, nil, err
	}
	return k.openEntry(hidden, ciphertext)
}

// Snapshot implements [storage.Store]. Once the barrier is sealed, what is left
// to read of the snapshot is [logical.ErrSealed].
func (b *Barrier) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	if _, err := b.unsealed(); err != nil {
		return nil, err
	}
	inner, err := b.inner.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{barrier: b, inner: inner}, nil
}

var _ storage.Snapshot = (*snapshot)(nil)

type snapshot struct {
	barrier *Barrier
	inner   storage.Snapshot
}

func (s *snapshot) Revision() storage.Revision { return s.inner.Revision() }

func (s *snapshot) Close() error { return s.inner.Close() }

// Get implements [storage.Snapshot]. It returns ErrDecrypt if the entry was
// changed or moved in the store below.
func (s *snapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	k, err := s.barrier.unsealed()
	if err != nil {
		return storage.Entry{}, err
	}
	hidden, err := k.hide(key)
	if err != nil {
		return storage.Entry{}, err
	}
	e, err := s.inner.Get(ctx, hidden)
	if err != nil {
		return storage.Entry{}, err
	}
	_, value, err := s.barrier.open(ctx, hidden, e.Value)
	if err != nil {
		return storage.Entry{}, err
	}
	return storage.Entry{Key: key, Value: value, Revision: e.Revision}, nil
}

// Stat implements [storage.Snapshot]. It does not find out whether the entry can
// be decrypted.
func (s *snapshot) Stat(ctx context.Context, key string) (storage.Revision, error) {
	k, err := s.barrier.unsealed()
	if err != nil {
		return 0, err
	}
	hidden, err := k.hide(key)
	if err != nil {
		return 0, err
	}
	return s.inner.Stat(ctx, hidden)
}

// ChangedBelow implements [storage.Snapshot]; prefix is of whole segments.
func (s *snapshot) ChangedBelow(ctx context.Context, prefix string) (storage.Revision, error) {
	k, err := s.barrier.unsealed()
	if err != nil {
		return 0, err
	}
	hidden, err := k.hide(prefix)
	if err != nil {
		return 0, err
	}
	return s.inner.ChangedBelow(ctx, hidden)
}

// Range implements [storage.Snapshot] with two differences: prefix is of whole
// segments, and the order is that of the hidden keys. It is the same at every
// call and consistent with after, so ranges can be taken up again, and keys below
// one prefix stay together; among siblings, orders and plain segments keep their
// order, names have a random one.
func (s *snapshot) Range(ctx context.Context, prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		hiddenPrefix, hiddenAfter, err := s.bounds(prefix, after)
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		for e, err := range s.inner.Range(ctx, hiddenPrefix, hiddenAfter) {
			if err == nil {
				e, err = s.barrier.openRevealed(ctx, e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *snapshot) bounds(prefix, after string) (hiddenPrefix, hiddenAfter string, err error) {
	k, err := s.barrier.unsealed()
	if err != nil {
		return "", "", err
	}
	if hiddenPrefix, err = k.hide(prefix); err != nil {
		return "", "", err
	}
	hiddenAfter, err = k.hideBound(after)
	return hiddenPrefix, hiddenAfter, err
}

// openRevealed returns e, an entry of the store below, as the barrier's user
// knows it.
func (b *Barrier) openRevealed(ctx context.Context, e storage.Entry) (storage.Entry, error) {
	names, value, err := b.open(ctx, e.Key, e.Value)
	if err != nil {
		return storage.Entry{}, err
	}
	key, err := reveal(e.Key, string(names))
	if err != nil {
		return storage.Entry{}, err
	}
	return storage.Entry{Key: key, Value: value, Revision: e.Revision}, nil
}
