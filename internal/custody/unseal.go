package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/seal/shamir"
	"github.com/cofferhq/coffer/internal/secret"
)

// attempt is what was given since the last unsealing, failure or reset. It is in
// memory only: a restart begins a new one.
type attempt struct {
	set    setID
	nonce  string         // UUID; empty: nothing was given
	shares []secret.Bytes // of different points, without set and checksum
}

// Unseal takes one share of the root key, and opens the barrier with the last
// that is needed. A share that was given before changes nothing. If the barrier
// is open already, share is not looked at.
//
// The error has the cause ErrShare if share is malformed, or of another set, or
// if all of them together are wrong. In the last case, which only a forger of
// checksums can bring about, the attempt ends and the next share begins another.
func (k *Keeper) Unseal(ctx context.Context, share []byte) (Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.load(ctx)
	if err != nil {
		return Status{}, err
	}
	if !k.barrier.Sealed() {
		return k.statusLocked(cfg), nil
	}
	if cfg.Type != TypeShamir {
		return Status{}, refuse(ErrWrongSeal, "this server is unsealed by its seal of type %q; recovery keys cannot unseal it", cfg.Type)
	}
	raw, err := accept(share, cfg.Keys.Set)
	if err != nil {
		return Status{}, err
	}
	if k.attempt.nonce == "" || k.attempt.set != cfg.Keys.Set {
		k.attempt = attempt{set: cfg.Keys.Set, nonce: newNonce()}
	}
	if err := k.attempt.add(raw); err != nil {
		return Status{}, err
	}
	if len(k.attempt.shares) >= cfg.Keys.Threshold {
		if err := k.openLocked(ctx); err != nil {
			return Status{}, err
		}
	}
	return k.statusLocked(cfg), nil
}

// ResetUnseal forgets the shares that were given.
func (k *Keeper) ResetUnseal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempt = attempt{}
}

// add adds raw unless it is there.
func (a *attempt) add(raw secret.Bytes) error {
	for _, known := range a.shares {
		switch {
		case known.Equal(raw):
			return nil
		case point(known) == point(raw):
			return refuse(ErrShare, "invalid unseal key: it has the number of another that was given; one of them is wrong")
		}
	}
	a.shares = append(a.shares, raw)
	return nil
}

// point returns the number of a share, see [shamir.Split].
func point(raw secret.Bytes) byte { return raw.Reveal()[rawShareBytes-1] }

// openLocked ends the attempt by opening the barrier.
func (k *Keeper) openLocked(ctx context.Context) error {
	shares := k.attempt.shares
	k.attempt = attempt{}
	root, err := shamir.Combine(shares)
	if err == nil {
		err = k.barrier.Unseal(ctx, root)
	}
	if errors.Is(err, barrier.ErrWrongKey) || errors.Is(err, shamir.ErrShares) {
		return refuse(errors.Join(ErrShare, err), "invalid unseal key: the keys do not open this server; the progress was reset")
	}
	return unopened(err)
}

// newNonce returns a random UUID (RFC 9562 §5.4), as Vault's nonces are.
func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
