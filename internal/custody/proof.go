package custody

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal/shamir"
	"github.com/cofferhq/coffer/internal/secret"
)

// ErrAttempt says that an attempt of this kind is under way already, or that
// none is, or that the share was meant for another.
var ErrAttempt = errors.New("custody: not this attempt")

// Proof is how far people are with proving, on an unsealed server, that together
// they hold the root key or the recovery key.
type Proof struct {
	Started  bool
	Nonce    string // UUID of the attempt; empty if there is none
	Progress int    // different shares given
	Required int    // shares needed
}

// Proof returns how things stand.
func (k *Keeper) Proof(ctx context.Context) (Proof, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return Proof{}, err
	}
	return proofOf(cfg, &k.proof), nil
}

func proofOf(cfg *config, a *attempt) Proof {
	return Proof{Started: a.nonce != "", Nonce: a.nonce, Progress: len(a.shares), Required: cfg.Keys.Threshold}
}

// StartProof begins an attempt. The error has the cause ErrAttempt if one is
// under way, or if there are no shares that anyone could hold.
func (k *Keeper) StartProof(ctx context.Context) (Proof, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	switch {
	case err != nil:
		return Proof{}, err
	case k.proof.nonce != "":
		return Proof{}, refuse(ErrAttempt, "root generation already in progress")
	case cfg.Keys.Threshold == 0:
		return Proof{}, errNoRecoveryKey()
	}
	k.proof = attempt{set: cfg.Keys.Set, nonce: newNonce()}
	return proofOf(cfg, &k.proof), nil
}

// CancelProof ends the attempt that is under way, if one is.
func (k *Keeper) CancelProof() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.proof = attempt{}
}

// Prove takes one share and says whether it was the last that was needed; the
// attempt has ended then. The error has the cause ErrAttempt or ErrShare; in the
// second case, if it was all of them together that were wrong, the attempt begins
// anew.
func (k *Keeper) Prove(ctx context.Context, nonce string, share []byte) (p Proof, proven bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return Proof{}, false, err
	}
	key, complete, err := gather(cfg.Keys, &k.proof, nonce, share)
	if err != nil || !complete {
		return proofOf(cfg, &k.proof), false, err
	}
	if err := k.isHeld(ctx, cfg, key); err != nil {
		return Proof{}, false, err
	}
	p = Proof{Nonce: nonce, Progress: cfg.Keys.Threshold, Required: cfg.Keys.Threshold, Started: true}
	k.proof = attempt{}
	return p, true, nil
}

// openConfigLocked is load for what only an unsealed server does.
func (k *Keeper) openConfigLocked(ctx context.Context) (*config, error) {
	if k.barrier.Sealed() {
		return nil, logical.ErrSealed
	}
	return k.load(ctx)
}

// gather adds a share of keys to an attempt. With the last that is needed it
// returns the key, and forgets the shares.
func gather(keys keySet, a *attempt, nonce string, share []byte) (key secret.Bytes, complete bool, err error) {
	switch {
	case a.nonce == "" || a.set != keys.Set: // rekeyed meanwhile
		*a = attempt{}
		return secret.Bytes{}, false, refuse(ErrAttempt, "no such operation is in progress")
	case nonce != a.nonce:
		return secret.Bytes{}, false, refuse(ErrAttempt, "incorrect nonce supplied; nonce for this operation is %q", a.nonce)
	}
	raw, err := accept(share, keys.Set)
	if err != nil {
		return secret.Bytes{}, false, err
	}
	if err := a.add(raw); err != nil || len(a.shares) < keys.Threshold {
		return secret.Bytes{}, false, err
	}
	shares := a.shares
	a.shares = nil
	if key, err = shamir.Combine(shares); err != nil {
		return secret.Bytes{}, false, wrongShares(err)
	}
	return key, true, nil
}

func wrongShares(err error) error {
	return refuse(errors.Join(ErrShare, err), "invalid unseal key: the keys are not this server's; the progress was reset")
}

// isHeld returns an error with the cause ErrShare unless key is the one that
// people hold shares of.
func (k *Keeper) isHeld(ctx context.Context, cfg *config, key secret.Bytes) error {
	if cfg.Type == TypeShamir {
		err := k.barrier.Unseal(ctx, key) // an open barrier only reads its keyring again
		if errors.Is(err, barrier.ErrWrongKey) {
			return wrongShares(err)
		}
		return err
	}
	recovery, err := k.auto.Unwrap(ctx, cfg.Recovery)
	if err != nil {
		return err
	}
	if !recovery.Equal(key) {
		return wrongShares(nil)
	}
	return nil
}
