// Package barrier stands between coffer and the place where its bytes are kept.
// A [Barrier] is a [storage.Store] that encrypts values and hides names, so that
// whoever holds the store alone learns neither. It is not what decides who may
// do what, and it does not know who holds the root key: see internal/custody.
//
// What it promises and what it does not is in DESIGN.md. Start reading at
// [Barrier], then keys.go.
package barrier

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Errors of a barrier. While it is sealed everything that needs a key returns
// [logical.ErrSealed].
var (
	// ErrInitialized says that the store has a keyring already.
	ErrInitialized = errors.New("barrier: already initialized")
	// ErrUninitialized says that the store has neither keyring nor data.
	ErrUninitialized = errors.New("barrier: not initialized")
	// ErrOrphaned says that there is data, but the keyring is gone. Nothing but
	// a backup of the keyring can open the data.
	ErrOrphaned = errors.New("barrier: the store has data but no keyring")
	// ErrWrongKey says that the root key is not the one the keyring is sealed
	// under.
	ErrWrongKey = errors.New("barrier: wrong root key")
	// ErrDamaged says that the keyring is not as it was written.
	ErrDamaged = errors.New("barrier: the keyring is damaged")
	// ErrVersion says that the keyring is of a newer version of coffer.
	ErrVersion = errors.New("barrier: the keyring is of a newer version of coffer")
	// ErrDecrypt says that something cannot be decrypted: it was changed, moved,
	// or made with another key.
	ErrDecrypt = errors.New("barrier: decryption failed")
)

// RootKeyBytes is the length of a root key.
const RootKeyBytes = 32

// Where the barrier keeps things in the store below it.
var (
	dataPrefix = storage.Plain("b")
	rawPrefix  = storage.Plain("seal")
	keyringKey = RawKey("keyring")
)

// RawKey is the key, in the store below the barrier, of a row that is needed
// before there are keys: it is not encrypted.
func RawKey(name string) string { return rawPrefix + storage.Plain(name) }

var _ storage.Store = (*Barrier)(nil)

// Barrier is a [storage.Store] on top of another. It is sealed, which is to say
// without keys, until [Barrier.Unseal]. It is safe for concurrent use.
type Barrier struct {
	// Now tells when a term begins; nil: time.Now. It is set before the barrier is
	// used.
	Now func() time.Time

	inner  storage.Store
	keys   atomic.Pointer[keys] // nil: sealed; changed with mu held
	closed atomic.Bool

	mu sync.Mutex // held by the one who changes keys
}

// New returns a sealed barrier on inner, which the barrier owns from here on.
func New(inner storage.Store) *Barrier { return &Barrier{inner: inner} }

func (b *Barrier) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}

// Seal forgets the keys. What is under way may finish; a Watch ends within a
// second. Sealing a sealed barrier does nothing.
func (b *Barrier) Seal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys.Store(nil)
}

// Sealed says whether the barrier has no keys.
func (b *Barrier) Sealed() bool { return b.keys.Load() == nil }

// Close seals the barrier and closes the store below.
func (b *Barrier) Close() error {
	b.closed.Store(true)
	b.Seal()
	return b.inner.Close()
}

// unsealed returns the keys, or the reason why there are none.
func (b *Barrier) unsealed() (*keys, error) {
	if k := b.keys.Load(); k != nil {
		return k, nil
	}
	if b.closed.Load() {
		return nil, storage.ErrClosed
	}
	return nil, logical.ErrSealed
}

// ClusterID returns the UUID that was made with the keyring and never changes.
// It is empty while the barrier is sealed.
func (b *Barrier) ClusterID() string {
	if k := b.keys.Load(); k != nil {
		return k.ring.cluster
	}
	return ""
}

// Generation counts the lives of the cluster: 1 from its initialization. It is
// zero while the barrier is sealed.
func (b *Barrier) Generation() uint64 {
	if k := b.keys.Load(); k != nil {
		return k.ring.generation
	}
	return 0
}

// Term is the time in which one data key encrypts what is written.
type Term struct {
	Number  int       // from 1
	Created time.Time // UTC
}

// Terms returns the terms of the data key, oldest first; the last is the one in
// use. It returns nil while the barrier is sealed.
func (b *Barrier) Terms() []Term {
	k := b.keys.Load()
	if k == nil {
		return nil
	}
	terms := make([]Term, len(k.ring.created))
	for i, at := range k.ring.created {
		terms[i] = Term{Number: i + 1, Created: at}
	}
	return terms
}

// MAC returns the HMAC-SHA256 of parts under the key of purpose. No two lists of
// parts have the same input to the MAC: each part is framed by its length.
func (b *Barrier) MAC(purpose Purpose, parts ...[]byte) ([]byte, error) {
	k, err := b.unsealed()
	if err != nil {
		return nil, err
	}
	return k.macs[purpose].sum(parts), nil
}

// Encrypt seals plaintext under the key of purpose, bound to aad, with a random
// nonce.
func (b *Barrier) Encrypt(purpose Purpose, plaintext, aad []byte) ([]byte, error) {
	k, err := b.unsealed()
	if err != nil {
		return nil, err
	}
	return k.aeads[purpose].Encrypt(plaintext, aad)
}

// Decrypt opens what Encrypt returned for the same purpose and aad. It returns
// ErrDecrypt if ciphertext is anything else.
func (b *Barrier) Decrypt(purpose Purpose, ciphertext, aad []byte) ([]byte, error) {
	k, err := b.unsealed()
	if err != nil {
		return nil, err
	}
	plaintext, err := k.aeads[purpose].Decrypt(ciphertext, aad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}
