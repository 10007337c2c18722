// Package custody is about who holds the root key: people with shares of it, or a
// seal that needs nobody. It holds the ceremony of the first start and of
// unsealing. What the root key protects is the barrier's affair; HTTP and
// terminals are not known here.
//
// Start reading at [Keeper].
package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// TypeShamir is the type of a server that people unseal.
const TypeShamir = "shamir"

// Errors that come with a text for the caller, as the cause of a
// [logical.Error].
var (
	// ErrInitialized says that there is a root key already.
	ErrInitialized = errors.New("custody: already initialized")
	// ErrUninitialized says that there is no root key yet.
	ErrUninitialized = errors.New("custody: not initialized")
	// ErrIncomplete says that the store has data, but not all that is needed to
	// open it.
	ErrIncomplete = errors.New("custody: the store is incomplete")
	// ErrConfig says that the seal configuration is damaged, or of a newer
	// version of coffer.
	ErrConfig = errors.New("custody: unusable seal configuration")
	// ErrShare says that a share is malformed, of another set, or wrong.
	ErrShare = errors.New("custody: bad share")
	// ErrWrongSeal says that the seal is not the one that holds the root key.
	ErrWrongSeal = errors.New("custody: wrong seal")
)

// refuse returns an error for the caller with its cause.
func refuse(cause error, format string, args ...any) *logical.Error {
	e := logical.Invalid(format, args...)
	e.Err = cause
	return e
}

// Keeper guards the way to an unsealed barrier. It is safe for concurrent use.
type Keeper struct {
	inner   storage.Store
	barrier *barrier.Barrier
	auto    seal.Seal // nil: people unseal

	mu      sync.Mutex // guards the fields below; held by the one who unseals
	attempt attempt
	proof   attempt                // see Prove
	rekeys  [numHeldKeys]*rekeying // nil: none is under way
}

// New returns a Keeper of b, which stands on inner. auto may be nil: then people
// hold shares of the root key.
func New(inner storage.Store, b *barrier.Barrier, auto seal.Seal) *Keeper {
	return &Keeper{inner: inner, barrier: b, auto: auto}
}

// Status says how far a server is from answering.
type Status struct {
	Type         string // TypeShamir, or the seal's
	Initialized  bool
	Sealed       bool
	Threshold    int    // shares needed; with a seal, of the recovery key
	Shares       int    // shares that were made; with a seal, of the recovery key
	Progress     int    // different shares given in this attempt
	Nonce        string // of the attempt; empty if there is none
	RecoverySeal bool   // a seal holds the root key, people a recovery key
}

// Status returns how things stand. It returns an error if the store cannot be
// read or lacks what is needed to open it.
func (k *Keeper) Status(ctx context.Context) (Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.load(ctx)
	if errors.Is(err, ErrUninitialized) {
		return Status{Type: k.wantedType(), Sealed: true, RecoverySeal: k.auto != nil}, nil
	}
	if err != nil {
		return Status{}, err
	}
	return k.statusLocked(cfg), nil
}

func (k *Keeper) statusLocked(cfg *config) Status {
	s := Status{
		Type:         cfg.Type,
		Initialized:  true,
		Sealed:       k.barrier.Sealed(),
		Threshold:    cfg.Keys.Threshold,
		Shares:       cfg.Keys.Shares,
		RecoverySeal: cfg.Type != TypeShamir,
	}
	if s.Sealed && k.attempt.set == cfg.Keys.Set {
		s.Progress, s.Nonce = len(k.attempt.shares), k.attempt.nonce
	}
	return s
}

// wantedType is the type of the seal that the server is configured with.
func (k *Keeper) wantedType() string {
	if k.auto == nil {
		return TypeShamir
	}
	return k.auto.Type()
}

// Auto says whether a seal opens the barrier, not people.
func (k *Keeper) Auto() bool { return k.auto != nil }

// AutoUnseal opens the barrier with the seal. It does nothing if the barrier is
// open. It returns an error with the cause ErrUninitialized before Init,
// ErrWrongSeal if the seal is none, or not the one, that holds the root key, and
// what the seal returns.
func (k *Keeper) AutoUnseal(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, err := k.load(ctx)
	if err != nil {
		return err
	}
	if !k.barrier.Sealed() {
		return nil
	}
	if cfg.Type != k.wantedType() || k.auto == nil {
		return refuse(ErrWrongSeal, "this server was initialized with a seal of type %q, and is configured with %q",
			cfg.Type, k.wantedType())
	}
	root, err := k.auto.Unwrap(ctx, cfg.Root)
	if errors.Is(err, seal.ErrWrongKey) {
		return refuse(errors.Join(ErrWrongSeal, err), "the key of the %s seal is not the one that this server was initialized with: "+
			"put back the key of these data, or the data of this key", cfg.Type)
	}
	if err != nil {
		return fmt.Errorf("unwrap the root key: %w", err)
	}
	if err := k.barrier.Unseal(ctx, root); err != nil {
		return unopened(err)
	}
	return nil
}

// unopened gives what [barrier.Barrier.Unseal] returned a text for the caller,
// if it is about the keyring.
func unopened(err error) error {
	switch {
	case errors.Is(err, barrier.ErrWrongKey):
		return refuse(err, "the root key does not open this server's keyring")
	case errors.Is(err, barrier.ErrDamaged), errors.Is(err, barrier.ErrVersion):
		return refuse(err, "%s", err)
	}
	return err
}

// Seal closes the barrier and forgets the shares that were given.
func (k *Keeper) Seal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempt, k.proof, k.rekeys = attempt{}, attempt{}, [numHeldKeys]*rekeying{}
	k.barrier.Seal()
}

// newKey returns a key such as the root key.
func newKey() secret.Bytes {
	var b [barrier.RootKeyBytes]byte
	rand.Read(b[:]) // never fails
	defer clear(b[:])
	return secret.New(b[:])
}
