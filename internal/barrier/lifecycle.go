package barrier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// Initialized says whether the store has a keyring. It returns ErrOrphaned if it
// has none but data.
func (b *Barrier) Initialized(ctx context.Context) (bool, error) {
	snap, err := b.inner.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	_, err = snap.Get(ctx, keyringKey)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return false, fmt.Errorf("read the keyring: %w", err)
	}
	for _, err := range snap.Range(ctx, dataPrefix, "") {
		if err != nil {
			return false, fmt.Errorf("look for data: %w", err)
		}
		return false, ErrOrphaned
	}
	return false, nil
}

// Initialize makes a keyring and seals it under root, which has [RootKeyBytes].
// It is stored in one commit together with extra, whose keys are made by
// [RawKey] and must not exist either, and with what first writes, which may be
// nil: the first content of the store. While first runs the barrier is open, so
// that what first calls can use its keys; the barrier is sealed afterwards.
// Initialize returns ErrInitialized if the store has any of these rows, and
// ErrOrphaned if it has data.
func (b *Barrier) Initialize(ctx context.Context, root secret.Bytes, first func(tx *storage.Tx) error, extra ...storage.Op) error {
	initialized, err := b.Initialized(ctx)
	if err != nil {
		return err
	}
	if initialized {
		return ErrInitialized
	}
	rootAEAD, err := newAEAD(root)
	if err != nil {
		return err
	}
	ring, err := newKeyring(b.now())
	if err != nil {
		return err
	}
	ops, err := keyringOps(ring, rootAEAD, extra)
	if err != nil {
		return err
	}
	err = b.found(ctx, ring, rootAEAD, ops, first)
	if errors.Is(err, storage.ErrConflict) {
		return ErrInitialized
	}
	return err
}

// found commits ops, which must all be new, and what first writes.
func (b *Barrier) found(ctx context.Context, ring *keyring, root tink.AEAD, ops []storage.Op, first func(tx *storage.Tx) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, err := newKeys(ring, root)
	if err != nil {
		return err
	}
	conds := make([]storage.Cond, len(ops))
	for i := range ops {
		conds[i] = storage.Absent(ops[i].Key)
	}
	if first == nil {
		_, err := b.inner.Apply(ctx, conds, ops)
		return err
	}
	b.keys.Store(k)
	defer b.keys.Store(nil)
	f := &founding{Barrier: b, keys: k, conds: conds, ops: ops}
	if _, err := storage.Update(ctx, f, first); err != nil || f.applied {
		return err
	}
	_, err = f.Apply(ctx, nil, nil) // first wrote nothing, so Update had nothing to commit
	return err
}

// founding is a barrier that has no keyring stored yet: the first commit brings
// it along.
type founding struct {
	*Barrier
	keys    *keys
	conds   []storage.Cond
	ops     []storage.Op
	applied bool // a commit was tried
}

// Apply implements [storage.Store]. A conflict can only be with another founder,
// so it is not tried again: it becomes ErrInitialized.
func (f *founding) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	hidden, err := f.keys.hideConds(conds)
	if err != nil {
		return 0, err
	}
	sealed, err := f.keys.sealOps(ops)
	if err != nil {
		return 0, err
	}
	f.applied = true
	rev, err := f.inner.Apply(ctx, append(hidden, f.conds...), append(sealed, f.ops...))
	if errors.Is(err, storage.ErrConflict) {
		return 0, ErrInitialized
	}
	return rev, err
}

// keyringOps is what stores ring together with extra.
func keyringOps(ring *keyring, root tink.AEAD, extra []storage.Op) ([]storage.Op, error) {
	record, err := ring.seal(root)
	if err != nil {
		return nil, err
	}
	ops := append([]storage.Op{storage.Put(keyringKey, record)}, extra...)
	for _, op := range extra {
		if !strings.HasPrefix(op.Key, rawPrefix) || op.Key == keyringKey {
			return nil, fmt.Errorf("barrier: not a raw row: %w", storage.ErrInvalid)
		}
	}
	return ops, nil
}

// Unseal opens the keyring with root. It returns ErrWrongKey if root is another
// one, and ErrUninitialized, ErrOrphaned, ErrDamaged or ErrVersion if there is
// no keyring to open. An unsealed barrier reads its keyring again.
func (b *Barrier) Unseal(ctx context.Context, root secret.Bytes) error {
	rootAEAD, err := rootAEAD(root)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, _, err := b.load(ctx, rootAEAD)
	if err != nil {
		return err
	}
	if b.closed.Load() {
		return storage.ErrClosed
	}
	b.useLocked(k)
	return nil
}

// rootAEAD is newAEAD for a key that somebody brought.
func rootAEAD(root secret.Bytes) (tink.AEAD, error) {
	if len(root.Reveal()) != RootKeyBytes {
		return nil, ErrWrongKey
	}
	return newAEAD(root)
}

// load reads the keyring and returns its keys and the entry's revision.
func (b *Barrier) load(ctx context.Context, root tink.AEAD) (*keys, storage.Revision, error) {
	e, err := b.readKeyring(ctx)
	if err != nil {
		return nil, 0, err
	}
	ring, err := openKeyring(e.Value, root)
	if err != nil {
		return nil, 0, err
	}
	k, err := newKeys(ring, root)
	return k, e.Revision, err
}

func (b *Barrier) readKeyring(ctx context.Context) (storage.Entry, error) {
	snap, err := b.inner.Snapshot(ctx)
	if err != nil {
		return storage.Entry{}, err
	}
	defer snap.Close()
	e, err := snap.Get(ctx, keyringKey)
	if !errors.Is(err, storage.ErrNotFound) {
		return e, err
	}
	if _, err := b.Initialized(ctx); err != nil {
		return storage.Entry{}, err
	}
	return storage.Entry{}, ErrUninitialized
}

// Rewrap seals the keyring under newRoot instead of oldRoot, in one commit
// together with extra, whose keys are made by [RawKey]. The data keys stay. It
// works on a sealed barrier too, which stays sealed. It returns ErrWrongKey if
// oldRoot is not the root key and storage.ErrConflict if the keyring was changed
// meanwhile.
//
// A copy of the store from before still opens with oldRoot.
func (b *Barrier) Rewrap(ctx context.Context, oldRoot, newRoot secret.Bytes, extra ...storage.Op) error {
	before, err := rootAEAD(oldRoot)
	if err != nil {
		return err
	}
	after, err := newAEAD(newRoot)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, rev, err := b.load(ctx, before)
	if err != nil {
		return err
	}
	return b.replaceLocked(ctx, rev, k.ring, after, extra)
}

// replaceLocked stores ring in place of the one of revision rev, and uses it if
// the barrier is unsealed. The keys are made first, so that no keyring is stored
// that does not work.
func (b *Barrier) replaceLocked(ctx context.Context, rev storage.Revision, ring *keyring, root tink.AEAD, extra []storage.Op) error {
	next, err := newKeys(ring, root)
	if err != nil {
		return err
	}
	ops, err := keyringOps(ring, root, extra)
	if err != nil {
		return err
	}
	if _, err := b.inner.Apply(ctx, []storage.Cond{storage.At(keyringKey, rev)}, ops); err != nil {
		return err
	}
	if !b.Sealed() {
		b.useLocked(next)
	}
	return nil
}

// useLocked makes next the keys in use. What was counted of their term stays.
func (b *Barrier) useLocked(next *keys) {
	if current := b.keys.Load(); current != nil && current.term() == next.term() {
		next.used = current.used
	}
	b.keys.Store(next)
}

// reload returns the keys as the store has them now, for data that the keys old
// do not open: another node may have rotated.
func (b *Barrier) reload(ctx context.Context, old *keys) (*keys, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	current, err := b.unsealed()
	if err != nil || current != old {
		return current, err
	}
	next, _, err := b.load(ctx, old.root)
	if err != nil {
		return nil, err
	}
	b.useLocked(next)
	return next, nil
}
