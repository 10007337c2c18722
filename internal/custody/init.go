package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal/shamir"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// Params says how keys are shared out. Without a seal, Shares and Threshold are
// required and the others must be zero; with one it is the other way round, and
// without RecoveryShares there is no recovery key.
type Params struct {
	Shares            int
	Threshold         int
	RecoveryShares    int
	RecoveryThreshold int
}

// Result is what people must keep. It is nowhere else.
type Result struct {
	Keys         []secret.Bytes // shares of the root key, see Keeper.Unseal
	RecoveryKeys []secret.Bytes // shares of the recovery key
}

// Init makes a root key and the barrier's keyring, which it leaves sealed, and
// shares the key out. Everything is stored in one commit, together with what
// first writes, the first content of the store; it may be nil. Init returns an
// error with the cause ErrInitialized, and does nothing, if that was done before,
// or if the store has any data.
func (k *Keeper) Init(ctx context.Context, p Params, first func(tx *storage.Tx) error) (Result, error) {
	if err := k.check(p); err != nil {
		return Result{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.untouched(ctx); err != nil {
		return Result{}, err
	}
	root := newKey()
	cfg, result, err := k.share(ctx, p, root)
	if err != nil {
		return Result{}, err
	}
	row, err := configForm.Encode(cfg)
	if err != nil {
		return Result{}, err
	}
	err = k.barrier.Initialize(ctx, root, first, storage.Put(configKey, row))
	if errors.Is(err, storage.ErrUnknownOutcome) && k.stored(ctx, row) {
		err = nil
	}
	if err != nil {
		return Result{}, initError(err)
	}
	return result, nil
}

// untouched returns an error unless the store is as good as new.
func (k *Keeper) untouched(ctx context.Context) error {
	_, err := k.load(ctx)
	switch {
	case err == nil:
		return initError(barrier.ErrInitialized)
	case errors.Is(err, ErrUninitialized):
		return nil
	case errors.Is(err, ErrIncomplete), errors.Is(err, ErrConfig):
		return refuse(errors.Join(ErrInitialized, err), "coffer is already initialized; besides, %s", err)
	}
	return err
}

// stored says whether the configuration is row: its set id or wrapped key is
// random, so that no other Init has written the same.
func (k *Keeper) stored(ctx context.Context, row []byte) bool {
	snap, err := k.inner.Snapshot(ctx)
	if err != nil {
		return false
	}
	defer snap.Close()
	e, err := snap.Get(ctx, configKey)
	return err == nil && string(e.Value) == string(row)
}

func initError(err error) error {
	switch {
	case errors.Is(err, barrier.ErrInitialized), errors.Is(err, barrier.ErrOrphaned):
		return refuse(errors.Join(ErrInitialized, err), "coffer is already initialized")
	case errors.Is(err, storage.ErrUnknownOutcome):
		return &logical.Error{
			Kind: logical.ErrUpstream,
			Text: "the storage did not confirm the initialization",
			Hint: "if this server now says that it is initialized, its keys are lost: empty its storage and begin again",
			Err:  err,
		}
	}
	return err
}

// check validates p, with the texts that Vault's clients know.
func (k *Keeper) check(p Params) error {
	if k.auto == nil {
		if p.RecoveryShares != 0 || p.RecoveryThreshold != 0 {
			return logical.Invalid("parameters recovery_shares,recovery_threshold not applicable to seal type %s", TypeShamir)
		}
		return checkShares("seal", p.Shares, p.Threshold)
	}
	if p.Shares != 0 || p.Threshold != 0 {
		return logical.Invalid("parameters secret_shares,secret_threshold not applicable to seal type %s", k.auto.Type())
	}
	if p.RecoveryShares == 0 && p.RecoveryThreshold == 0 {
		return nil
	}
	return checkShares("recovery", p.RecoveryShares, p.RecoveryThreshold)
}

func checkShares(what string, shares, threshold int) error {
	problem := ""
	switch {
	case shares < 1:
		problem = "shares must be at least one"
	case threshold < 1:
		problem = "threshold must be at least one"
	case shares > 1 && threshold == 1:
		problem = "threshold must be greater than one for multiple shares"
	case shares > shamir.MaxShares:
		problem = "shares must be less than 256"
	case threshold > shamir.MaxShares:
		problem = "threshold must be less than 256"
	case threshold > shares:
		problem = "threshold cannot be larger than shares"
	default:
		return nil
	}
	return logical.Invalid("invalid %s configuration: %s", what, problem)
}

// share splits or wraps root, and returns what to store and what to hand out.
func (k *Keeper) share(ctx context.Context, p Params, root secret.Bytes) (*config, Result, error) {
	if k.auto == nil {
		keys, shares, err := split(root, p.Shares, p.Threshold)
		return &config{Type: TypeShamir, Keys: keys}, Result{Keys: shares}, err
	}
	cfg := &config{Type: k.auto.Type()}
	var result Result
	var err error
	if cfg.Root, err = k.wrap(ctx, root); err != nil || p.RecoveryShares == 0 {
		return cfg, result, err
	}
	recovery := newKey()
	if cfg.Recovery, err = k.wrap(ctx, recovery); err != nil {
		return nil, Result{}, err
	}
	cfg.Keys, result.RecoveryKeys, err = split(recovery, p.RecoveryShares, p.RecoveryThreshold)
	return cfg, result, err
}

// wrap has the seal wrap key, and makes sure that it can undo that: a key that
// only seems to be kept is noticed now and not at the next start.
func (k *Keeper) wrap(ctx context.Context, key secret.Bytes) ([]byte, error) {
	blob, err := k.auto.Wrap(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("wrap a key: %w", err)
	}
	back, err := k.auto.Unwrap(ctx, blob)
	if err != nil {
		return nil, fmt.Errorf("unwrap a key again: %w", err)
	}
	if !back.Equal(key) {
		return nil, fmt.Errorf("custody: the seal gives another key back: %w", ErrWrongSeal)
	}
	return blob, nil
}

// split returns the shares of key as people hold them.
func split(key secret.Bytes, shares, threshold int) (keySet, []secret.Bytes, error) {
	raw, err := shamir.Split(key, shares, threshold)
	if err != nil {
		return keySet{}, nil, err
	}
	set := newSetID()
	issued := make([]secret.Bytes, len(raw))
	for i := range raw {
		issued[i] = issue(raw[i], set)
	}
	return keySet{Shares: shares, Threshold: threshold, Set: set}, issued, nil
}
