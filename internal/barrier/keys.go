package barrier

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/cofferhq/coffer/internal/secret"
)

// keys is all that an unsealed barrier knows. It is made from a keyring and, but
// for used, immutable. What must not be printed is inside closures, as in
// [secret.Bytes].
type keys struct {
	ring   *keyring
	root   tink.AEAD // seals the keyring, so that Rotate needs nobody's share
	values tink.AEAD // all terms; seals with the newest
	names  *prf
	macs   [numPurposes]*prf
	aeads  [numPurposes]tink.AEAD

	// used counts what this process has encrypted with the newest data key and not
	// yet stored: see usage.go.
	used *atomic.Uint64
}

// newKeys derives the keys that ring leads to. root is what ring was sealed
// under. It returns ErrDamaged if the data keys are none.
func newKeys(ring *keyring, root tink.AEAD) (*keys, error) {
	k := &keys{ring: ring, root: root, used: new(atomic.Uint64)}
	var err error
	if k.values, err = aead.New(ring.data); err != nil {
		return nil, ErrDamaged // a keyset of something else
	}
	if k.names, err = derivePRF(ring.master, "names"); err != nil {
		return nil, err
	}
	for p, name := range purposeNames {
		if k.macs[p], err = derivePRF(ring.master, "mac/"+name); err != nil {
			return nil, err
		}
		if k.aeads[p], err = deriveAEAD(ring.master, "aead/"+name); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// term is the number of the newest data key.
func (k *keys) term() int { return len(k.ring.created) }

// derive makes the key of one use from the master key (HKDF-SHA256, RFC 5869).
// The master key is uniform, so there is no salt.
func derive(master secret.Bytes, use string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, master.Reveal(), nil, "coffer/"+use, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("barrier: derive a key: %w", err)
	}
	return key, nil
}

func derivePRF(master secret.Bytes, use string) (*prf, error) {
	key, err := derive(master, use)
	if err != nil {
		return nil, err
	}
	return newPRF(key), nil
}

func deriveAEAD(master secret.Bytes, use string) (tink.AEAD, error) {
	key, err := derive(master, use)
	if err != nil {
		return nil, err
	}
	return newAEAD(secret.New(key))
}

// saltBytes is the part of the 24-byte nonce from which XAES-256-GCM derives a
// key for each message (C2SP XAES-256-GCM); the other 12 are AES-GCM's nonce.
const saltBytes = 12

// newAEAD returns XAES-256-GCM under one key of 32 bytes. Its ciphertexts do not
// say which key made them.
func newAEAD(key secret.Bytes) (tink.AEAD, error) {
	params, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, saltBytes)
	if err != nil {
		return nil, fmt.Errorf("barrier: %w", err)
	}
	data := secretdata.NewBytesFromData(key.Reveal(), insecuresecretdataaccess.Token{})
	k, err := xaesgcm.NewKey(data, 0, params)
	if err != nil {
		return nil, fmt.Errorf("barrier: %w", err)
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		return nil, fmt.Errorf("barrier: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("barrier: %w", err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("barrier: %w", err)
	}
	return aead.New(h)
}
