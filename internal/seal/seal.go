// Package seal is the contract of what can keep a root key without people: a
// file, another server, a cloud's key service. Such a seal opens the barrier by
// itself when the server starts. The seals live in packages below this one;
// internal/custody uses them.
//
// Splitting a key among people is no seal in this sense: see seal/shamir.
package seal

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/secret"
)

// Errors of Unwrap.
var (
	// ErrWrongKey says that the blob was wrapped with a key that the seal does
	// not have.
	ErrWrongKey = errors.New("seal: wrapped with another key")
	// ErrDamaged says that the blob is not as it was when it was wrapped.
	ErrDamaged = errors.New("seal: the wrapped key is damaged")
)

// Seal wraps keys with one that never enters the store. It is safe for
// concurrent use.
type Seal interface {
	// Type names the kind of seal, as in seal-status: "keyfile". It is stored
	// with what was wrapped and must not change.
	Type() string

	// Wrap encrypts key. What it returns is stored and tells nobody anything who
	// lacks the seal's own key.
	Wrap(ctx context.Context, key secret.Bytes) ([]byte, error)

	// Unwrap returns the key in a blob that Wrap has made, also in an earlier
	// life of the process. It returns ErrWrongKey or ErrDamaged where they can be
	// told; what else it returns means that trying again may help.
	Unwrap(ctx context.Context, blob []byte) (secret.Bytes, error)
}
