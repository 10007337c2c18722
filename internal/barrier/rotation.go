package barrier

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Limits of a [Rotation], which are Vault's.
const (
	// MinRotationOperations and MaxRotationOperations bound the encryptions.
	// AES-GCM with random 96-bit nonces can bear the larger (SP 800-38D §8.3).
	MinRotationOperations = 1_000_000
	MaxRotationOperations = 3_865_470_566
	// MinRotationInterval is the least age.
	MinRotationInterval = 24 * time.Hour
)

// Rotation says when the data key is rotated without anybody asking for it. It is
// the stored record, too.
type Rotation struct {
	MaxOperations int64         `json:"ops"`            // encryptions that end a term
	Interval      time.Duration `json:"age,omitempty"`  // age that ends a term; zero: none does
	Enabled       bool          `json:"auto,omitempty"` // zero: the key is rotated by hand only
}

var rotationForm = storage.Form[Rotation]{Name: "record of the key rotation", Version: 1}

// DefaultRotation is Vault's default.
func DefaultRotation() Rotation {
	return Rotation{MaxOperations: MaxRotationOperations, Enabled: true}
}

// Check returns an error of kind [logical.ErrInvalid] if r is outside the limits.
func (r Rotation) Check() error {
	switch {
	case r.Interval != 0 && r.Interval < MinRotationInterval:
		return logical.Invalid("interval must be greater or equal to %s", MinRotationInterval)
	case r.MaxOperations < MinRotationOperations || r.MaxOperations > MaxRotationOperations:
		return logical.Invalid("max_operations must be in the range [%d,%d]", MinRotationOperations, MaxRotationOperations)
	}
	return nil
}

// Due says whether the newest term, whose key has encrypted n values, has to end
// at now, and why.
func (r Rotation) Due(newest Term, n uint64, now time.Time) (reason string, due bool) {
	switch {
	case !r.Enabled:
		return "", false
	case r.Interval > 0 && !now.Before(newest.Created.Add(r.Interval)):
		return "age", true
	case n >= uint64(r.MaxOperations):
		return "encryptions", true
	}
	return "", false
}

func rotationKey() string { return storage.Plain("barrier") + storage.Plain("rotation") }

// ReadRotation returns what is stored in tx, or an error of kind
// [storage.ErrNotFound] if nothing was stored yet.
func ReadRotation(ctx context.Context, tx *storage.Tx) (Rotation, error) {
	e, err := tx.Get(ctx, rotationKey())
	if err != nil {
		return Rotation{}, err
	}
	var r Rotation
	err = rotationForm.Decode(e.Value, &r)
	return r, err
}

// Put stores r in tx.
func (r Rotation) Put(tx *storage.Tx) error {
	value, err := rotationForm.Encode(&r)
	if err != nil {
		return err
	}
	tx.Put(rotationKey(), value)
	return nil
}

// Rotate begins a new term: what is written from here on is encrypted with a new
// data key. What was written before stays as it is, and readable. It returns
// [storage.ErrConflict] if another node was faster.
func (b *Barrier) Rotate(ctx context.Context) error { return b.rotate(ctx, anyTerm) }

// RotateFrom is [Barrier.Rotate] if term is the newest one. If it is not, or
// ceases to be just now, the term that a rotation should have begun has begun.
func (b *Barrier) RotateFrom(ctx context.Context, term int) error {
	err := b.rotate(ctx, term)
	if errors.Is(err, storage.ErrConflict) {
		return nil
	}
	return err
}

const anyTerm = 0

func (b *Barrier) rotate(ctx context.Context, from int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	current, err := b.unsealed()
	if err != nil {
		return err
	}
	stored, rev, err := b.load(ctx, current.root) // another node may have rotated
	if err != nil {
		return err
	}
	if from != anyTerm && from != stored.term() {
		b.useLocked(stored)
		return nil
	}
	ring, err := stored.ring.rotated(b.now())
	if err != nil {
		return err
	}
	return b.replaceLocked(ctx, rev, ring, current.root, nil)
}
