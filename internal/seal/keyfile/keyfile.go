// Package keyfile is a seal whose key lies in a file. Whoever has both the file
// and the store has everything, so the file belongs elsewhere than the data: on
// another disk, in a systemd credential, in a secret of the orchestrator.
package keyfile

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/secret"
)

// Type is what [Seal.Type] returns.
const Type = "keyfile"

// ErrVersion says that a blob is of a newer version of coffer.
var ErrVersion = errors.New("keyfile: the wrapped key is of a newer version of coffer")

// A blob is: version (1 byte), key id, AES-256-GCM with a random nonce (nonce,
// ciphertext, tag) of the key, with version and key id as additional data. One
// file wraps a handful of keys in its life, so random 96-bit nonces do.
const (
	blobVersion = 1
	idBytes     = 8
	blobHeader  = 1 + idBytes
)

var _ seal.Seal = (*Seal)(nil)

// Seal wraps keys with the one in a file. Make one with [Load] or [Create].
type Seal struct {
	id   [idBytes]byte // tells keys apart, and nothing else about them
	aead cipher.AEAD
}

// newSeal returns the seal of a key that a file holds.
func newSeal(key secret.Bytes) (*Seal, error) {
	s := &Seal{}
	id, err := hkdf.Key(sha256.New, key.Reveal(), nil, "coffer/keyfile/id", idBytes)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	copy(s.id[:], id)
	wrapping, err := hkdf.Key(sha256.New, key.Reveal(), nil, "coffer/keyfile/wrap", 32)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	defer clear(wrapping)
	block, err := aes.NewCipher(wrapping)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return s, nil
}

// Type implements [seal.Seal].
func (s *Seal) Type() string { return Type }

// Wrap implements [seal.Seal]. It never fails.
func (s *Seal) Wrap(_ context.Context, key secret.Bytes) ([]byte, error) {
	header := append([]byte{blobVersion}, s.id[:]...)
	return s.aead.Seal(header, nil, key.Reveal(), header), nil
}

// Unwrap implements [seal.Seal].
func (s *Seal) Unwrap(_ context.Context, blob []byte) (secret.Bytes, error) {
	if len(blob) < blobHeader {
		return secret.Bytes{}, seal.ErrDamaged
	}
	header, body := blob[:blobHeader:blobHeader], blob[blobHeader:]
	switch {
	case header[0] > blobVersion:
		return secret.Bytes{}, ErrVersion
	case header[0] != blobVersion:
		return secret.Bytes{}, seal.ErrDamaged
	case string(header[1:]) != string(s.id[:]):
		return secret.Bytes{}, seal.ErrWrongKey
	}
	key, err := s.aead.Open(nil, nil, body, header)
	if err != nil {
		return secret.Bytes{}, seal.ErrDamaged
	}
	defer clear(key)
	return secret.New(key), nil
}
