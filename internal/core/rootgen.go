package core

import (
	"context"
	"encoding/base64"
	"sync"

	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// Lengths of a one-time password, which are those of the root token that it
// covers: RootTokenBytes for one of the usual form.
const (
	RootTokenBytes = 34
	minOTPBytes    = 24
	maxOTPBytes    = 48
)

// rootGeneration is a new root token under way: enough people must prove that
// they hold the key. Who asked for it knows the one-time password that covers
// the token.
type rootGeneration struct {
	mu  sync.Mutex   // guards the field below
	otp secret.Bytes // empty: nothing is under way
}

// NewRoot is a root token that was made, covered: the exclusive or of the token
// and the one-time password, in base64 without padding.
type NewRoot struct {
	custody.Proof
	Encoded string // empty until the last share
}

// StartRoot begins to make a root token. otp may be empty; the one in use is
// returned.
func (c *Core) StartRoot(ctx context.Context, otp string) (custody.Proof, secret.Bytes, error) {
	switch n := len(otp); {
	case n == 0:
		otp = randomText(RootTokenBytes)
	case n < minOTPBytes || n > maxOTPBytes:
		return custody.Proof{}, secret.Bytes{}, logical.Invalid("otp has %d bytes, it needs %d to %d", n, minOTPBytes, maxOTPBytes)
	}
	c.newRoot.mu.Lock()
	defer c.newRoot.mu.Unlock()
	p, err := c.Keeper.StartProof(ctx)
	if err != nil {
		return custody.Proof{}, secret.Bytes{}, err
	}
	c.newRoot.otp = secret.Text(otp)
	return p, c.newRoot.otp, nil
}

// CancelRoot ends what StartRoot began.
func (c *Core) CancelRoot() {
	c.newRoot.mu.Lock()
	defer c.newRoot.mu.Unlock()
	c.Keeper.CancelProof()
	c.newRoot.otp = secret.Bytes{}
}

// ProveRoot takes one share. With the last that is needed it makes the token.
func (c *Core) ProveRoot(ctx context.Context, nonce string, share []byte) (NewRoot, error) {
	c.newRoot.mu.Lock()
	defer c.newRoot.mu.Unlock()
	p, proven, err := c.Keeper.Prove(ctx, nonce, share)
	if err != nil || !proven {
		return NewRoot{Proof: p}, err
	}
	otp := c.newRoot.otp.Reveal()
	c.newRoot.otp = secret.Bytes{}
	chosen := "" // of the usual form
	if len(otp) != RootTokenBytes {
		chosen = randomText(len(otp))
	}
	var text string
	_, err = storage.Update(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		text, err = c.tokens.Create(ctx, tx, c.rootToken(), chosen)
		return err
	})
	if err != nil {
		return NewRoot{}, fromStorage(err)
	}
	c.log.Warn("a root token was made by holders of the unseal key")
	if len(text) != len(otp) {
		return NewRoot{}, errInternal
	}
	covered := []byte(text)
	for i := range covered {
		covered[i] ^= otp[i]
	}
	return NewRoot{Proof: p, Encoded: base64.RawStdEncoding.EncodeToString(covered)}, nil
}

// randomText returns n characters of what accessors are made of.
func randomText(n int) string {
	text := ""
	for len(text) < n {
		text += token.NewAccessor()
	}
	return text[:n]
}
