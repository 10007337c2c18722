package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// rekeying is a change of the root key under way. It is in memory only.
type rekeying struct {
	old               attempt // shares of the root key in use
	shares, threshold int     // of the new key
	verify            bool
	next              *nextKey // nil until the old shares are complete
}

// nextKey is a root key that has been shared out but is not in use yet: those who
// got a share must give it back first.
type nextKey struct {
	before, root secret.Bytes // the key in use, and the new one
	cfg          *config
	given        attempt // shares of the new key
}

// RekeyStatus is how far a change of the root key is. All but Required is zero
// if none is under way.
type RekeyStatus struct {
	Started      bool
	Nonce        string
	Shares       int // of the new key
	Threshold    int // of the new key
	Progress     int // old shares given
	Required     int // old shares needed
	Verification bool
	// VerificationNonce is set once the new shares are out and must be verified;
	// Verified then counts those that were given.
	VerificationNonce string
	Verified          int
}

// RekeyStatus returns how things stand.
func (k *Keeper) RekeyStatus(ctx context.Context) (RekeyStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return RekeyStatus{}, err
	}
	return k.rekeyStatusLocked(cfg), nil
}

func (k *Keeper) rekeyStatusLocked(cfg *config) RekeyStatus {
	r := k.rekey
	if r == nil {
		return RekeyStatus{Required: cfg.Keys.Threshold}
	}
	s := RekeyStatus{
		Started: true, Nonce: r.old.nonce, Shares: r.shares, Threshold: r.threshold,
		Progress: len(r.old.shares), Required: cfg.Keys.Threshold, Verification: r.verify,
	}
	if r.next != nil {
		s.Progress = s.Required // the old shares have all come, and are gone
		s.VerificationNonce, s.Verified = r.next.given.nonce, len(r.next.given.shares)
	}
	return s
}

// StartRekey begins to replace the root key by one with other shares. With verify
// the new shares must be given once before they count. The error has the cause
// ErrAttempt if a change is under way, and ErrWrongSeal if no people hold the
// root key.
func (k *Keeper) StartRekey(ctx context.Context, shares, threshold int, verify bool) (RekeyStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	switch {
	case err != nil:
		return RekeyStatus{}, err
	case cfg.Type != TypeShamir:
		return RekeyStatus{}, refuse(ErrWrongSeal, "the root key is held by a seal of type %q and has no shares", cfg.Type)
	case k.rekey != nil:
		return RekeyStatus{}, refuse(ErrAttempt, "rekey already in progress")
	}
	if err := checkShares("seal", shares, threshold); err != nil {
		return RekeyStatus{}, err
	}
	k.rekey = &rekeying{
		old: attempt{set: cfg.Keys.Set, nonce: newNonce()}, shares: shares, threshold: threshold, verify: verify,
	}
	return k.rekeyStatusLocked(cfg), nil
}

// CancelRekey ends the change that is under way, if one is. The root key in use
// stays.
func (k *Keeper) CancelRekey() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rekey = nil
}

// Rekey takes one share of the root key in use. With the last that is needed it
// returns the shares of the new one, which counts from here on or, if they must
// be verified, from the last call of VerifyRekey on.
func (k *Keeper) Rekey(ctx context.Context, nonce string, share []byte) (RekeyStatus, []secret.Bytes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return RekeyStatus{}, nil, err
	}
	if k.rekey == nil || k.rekey.next != nil {
		return RekeyStatus{}, nil, refuse(ErrAttempt, "no rekey in progress")
	}
	root, complete, err := gather(cfg.Keys, &k.rekey.old, nonce, share)
	if err == nil && complete {
		err = k.isHeld(ctx, cfg, root)
	}
	if k.rekey.old.nonce == "" { // its shares are void
		k.rekey = nil
	}
	if err != nil || !complete {
		return k.rekeyStatusLocked(cfg), nil, err
	}
	next := &nextKey{before: root, root: newKey()}
	keys, issued, err := split(next.root, k.rekey.shares, k.rekey.threshold)
	if err != nil {
		return RekeyStatus{}, nil, err
	}
	next.cfg = &config{Version: configVersion, Type: TypeShamir, Keys: keys}
	if k.rekey.verify {
		next.given = attempt{set: keys.Set, nonce: newNonce()}
		k.rekey.next = next
		return k.rekeyStatusLocked(cfg), issued, nil
	}
	status := k.rekeyStatusLocked(cfg)
	return status, issued, k.replaceLocked(ctx, next)
}

// VerifyRekey takes one share of the new root key, and says whether it was the
// last that was needed: the new key counts then.
func (k *Keeper) VerifyRekey(ctx context.Context, nonce string, share []byte) (s RekeyStatus, done bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return RekeyStatus{}, false, err
	}
	if k.rekey == nil || k.rekey.next == nil {
		return RekeyStatus{}, false, refuse(ErrAttempt, "no rekey verification in progress")
	}
	next := k.rekey.next
	root, complete, err := gather(next.cfg.Keys, &next.given, nonce, share)
	if err == nil && complete && !root.Equal(next.root) {
		err = wrongShares(nil)
	}
	if err != nil || !complete {
		return k.rekeyStatusLocked(cfg), false, err
	}
	status := k.rekeyStatusLocked(cfg)
	return status, true, k.replaceLocked(ctx, next)
}

// ResetVerification forgets the shares of the new key that were given.
func (k *Keeper) ResetVerification() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rekey != nil && k.rekey.next != nil {
		k.rekey.next.given.nonce, k.rekey.next.given.shares = newNonce(), nil
	}
}

// replaceLocked puts the new root key in the place of the old, in one commit.
func (k *Keeper) replaceLocked(ctx context.Context, next *nextKey) error {
	row, err := json.Marshal(next.cfg)
	if err != nil {
		return fmt.Errorf("encode the seal configuration: %w", err)
	}
	err = k.barrier.Rewrap(ctx, next.before, next.root, storage.Put(configKey, row))
	if errors.Is(err, storage.ErrUnknownOutcome) && k.stored(ctx, row) {
		err = nil
	}
	if err != nil {
		return err
	}
	k.rekey, k.proof = nil, attempt{}
	return nil
}
