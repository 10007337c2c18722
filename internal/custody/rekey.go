package custody

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// rekeying is a change of a held key under way. It is in memory only.
type rekeying struct {
	old               attempt // shares of the key in use
	shares, threshold int     // of the new key
	verify            bool
	next              *nextKey // nil until the old shares are complete
}

// nextKey is a key that has been shared out but is not in use yet: those who got
// a share may have to give it back first.
type nextKey struct {
	before, key secret.Bytes // the key in use, and the new one
	keys        keySet       // shares of the new one
	wrapped     []byte       // the new one, wrapped by the seal, if it is a recovery key
	given       attempt      // shares of the new key
}

// RekeyStatus is how far a change of a key is. All but Required is zero if none
// is under way.
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

// RekeyStatus returns how things stand. The error has the cause ErrWrongSeal if
// which is RecoveryKey and this server has none.
func (k *Keeper) RekeyStatus(ctx context.Context, which HeldKey) (RekeyStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err == nil && which == RecoveryKey {
		err = which.there(cfg)
	}
	if err != nil {
		return RekeyStatus{}, err
	}
	return k.rekeys[which].status(cfg), nil
}

func (r *rekeying) status(cfg *config) RekeyStatus {
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

// StartRekey begins to replace a key by one with other shares. With verify the
// new shares must be given once before they count. The error has the cause
// ErrAttempt if a change is under way or nobody holds shares of the key, and
// ErrWrongSeal if this server has no such key.
func (k *Keeper) StartRekey(ctx context.Context, which HeldKey, shares, threshold int, verify bool) (RekeyStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err == nil {
		err = which.held(cfg)
	}
	if err == nil && k.rekeys[which] != nil {
		err = refuse(ErrAttempt, "rekey already in progress")
	}
	if err == nil {
		err = checkShares(which.what(), shares, threshold)
	}
	if err != nil {
		return RekeyStatus{}, err
	}
	k.rekeys[which] = &rekeying{
		old: attempt{set: cfg.Keys.Set, nonce: newNonce()}, shares: shares, threshold: threshold, verify: verify,
	}
	return k.rekeys[which].status(cfg), nil
}

// CancelRekey ends the change that is under way, if one is. The key in use stays.
func (k *Keeper) CancelRekey(which HeldKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rekeys[which] = nil
}

// Rekey takes one share of the key in use. With the last that is needed it
// returns the shares of the new one, which counts from here on or, if they must
// be verified, from the last call of VerifyRekey on.
func (k *Keeper) Rekey(ctx context.Context, which HeldKey, nonce string, share []byte) (RekeyStatus, []secret.Bytes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return RekeyStatus{}, nil, err
	}
	r := k.rekeys[which]
	if r == nil || r.next != nil {
		return RekeyStatus{}, nil, refuse(ErrAttempt, "no rekey in progress")
	}
	key, complete, err := gather(cfg.Keys, &r.old, nonce, share)
	if err == nil && complete {
		err = k.isHeld(ctx, cfg, key)
	}
	if r.old.nonce == "" { // its shares are void
		k.rekeys[which], r = nil, nil
	}
	if err != nil || !complete {
		return r.status(cfg), nil, err
	}
	next, issued, err := k.makeNext(ctx, which, key, r)
	if err != nil {
		return RekeyStatus{}, nil, err
	}
	if r.verify {
		r.next = next
		return r.status(cfg), issued, nil
	}
	status := r.status(cfg)
	return status, issued, k.replaceLocked(ctx, which, cfg, next)
}

// makeNext makes the new key and its shares.
func (k *Keeper) makeNext(ctx context.Context, which HeldKey, before secret.Bytes, r *rekeying) (*nextKey, []secret.Bytes, error) {
	next := &nextKey{before: before, key: newKey()}
	var err error
	if which == RecoveryKey {
		if next.wrapped, err = k.wrap(ctx, next.key); err != nil {
			return nil, nil, err
		}
	}
	var issued []secret.Bytes
	next.keys, issued, err = split(next.key, r.shares, r.threshold)
	next.given = attempt{set: next.keys.Set, nonce: newNonce()}
	return next, issued, err
}

// VerifyRekey takes one share of the new key, and says whether it was the last
// that was needed: the new key counts then.
func (k *Keeper) VerifyRekey(ctx context.Context, which HeldKey, nonce string, share []byte) (s RekeyStatus, done bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.openConfigLocked(ctx)
	if err != nil {
		return RekeyStatus{}, false, err
	}
	r := k.rekeys[which]
	if r == nil || r.next == nil {
		return RekeyStatus{}, false, refuse(ErrAttempt, "no rekey verification in progress")
	}
	key, complete, err := gather(r.next.keys, &r.next.given, nonce, share)
	if err == nil && complete && !key.Equal(r.next.key) {
		err = wrongShares(nil)
	}
	if err != nil || !complete {
		return r.status(cfg), false, err
	}
	status := r.status(cfg)
	return status, true, k.replaceLocked(ctx, which, cfg, r.next)
}

// ResetVerification forgets the shares of the new key that were given.
func (k *Keeper) ResetVerification(which HeldKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.rekeys[which]; r != nil && r.next != nil {
		r.next.given.nonce, r.next.given.shares = newNonce(), nil
	}
}

// replaceLocked puts the new key in the place of the old, in one commit. cfg is
// the configuration as it was just read.
func (k *Keeper) replaceLocked(ctx context.Context, which HeldKey, cfg *config, next *nextKey) error {
	changed := *cfg
	changed.Keys = next.keys
	if which == RecoveryKey {
		changed.Recovery = next.wrapped
	}
	row, err := configForm.Encode(&changed)
	if err != nil {
		return err
	}
	if which == RootKey {
		err = k.barrier.Rewrap(ctx, next.before, next.key, storage.Put(configKey, row))
	} else {
		_, err = k.inner.Apply(ctx,
			[]storage.Cond{storage.At(configKey, cfg.rev)}, []storage.Op{storage.Put(configKey, row)})
	}
	if errors.Is(err, storage.ErrUnknownOutcome) && k.stored(ctx, row) {
		err = nil
	}
	if err != nil {
		return err
	}
	k.rekeys[which], k.proof = nil, attempt{}
	return nil
}
