package barrier

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/cofferhq/coffer/internal/uuid"

	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/cofferhq/coffer/internal/secret"
)

// keyring is what the root key protects. It is immutable.
type keyring struct {
	cluster    string         // UUID
	generation uint64         // see Barrier.Generation
	master     secret.Bytes   // what all but the data keys are derived from
	data       *keyset.Handle // one data key for each term; the last is primary
	created    []time.Time    // when each of them was made, UTC
}

// newKeyring returns a keyring with fresh keys, in its first term.
func newKeyring(now time.Time) (*keyring, error) {
	r := &keyring{cluster: uuid.New(), generation: 1, master: newSecret()}
	return r.withTerm(keyset.NewManager(), now)
}

// rotated returns r with one more term.
func (r *keyring) rotated(now time.Time) (*keyring, error) {
	return r.withTerm(keyset.NewManagerFromHandle(r.data), now)
}

// withTerm returns a copy of r whose data keys are those of m and a new one.
func (r *keyring) withTerm(m *keyset.Manager, now time.Time) (*keyring, error) {
	params, err := xaesgcm.NewParameters(xaesgcm.VariantTink, saltBytes)
	if err != nil {
		return nil, fmt.Errorf("barrier: new data key: %w", err)
	}
	id, err := m.AddNewKeyFromParameters(params)
	if err != nil {
		return nil, fmt.Errorf("barrier: new data key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("barrier: new data key: %w", err)
	}
	next := *r
	if next.data, err = m.Handle(); err != nil {
		return nil, fmt.Errorf("barrier: new data key: %w", err)
	}
	next.created = append(r.created[:len(r.created):len(r.created)], now.UTC())
	return &next, nil
}

// keyringVersion is the newest form of a sealed keyring that this version reads:
//
//	"CFKR"  CRC-32C of what follows  version (1 byte)  XAES-256-GCM of a
//	keyringJSON under the root key, with "coffer/keyring/" and the version as
//	additional data
//
// The checksum tells a damaged keyring from a wrong root key. Later versions keep
// the form up to the version.
const (
	keyringMagic   = "CFKR"
	keyringVersion = 1
	keyringHeader  = len(keyringMagic) + crc32.Size + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyringJSON is the plaintext of version 1.
type keyringJSON struct {
	Cluster    string      `json:"cluster"`
	Generation uint64      `json:"generation"`
	Master     []byte      `json:"master"`
	Data       []byte      `json:"data"` // a Tink keyset, serialized
	Created    []time.Time `json:"created"`
}

func keyringAAD(version byte) []byte { return append([]byte("coffer/keyring/"), version) }

// seal returns the record of r under root.
func (r *keyring) seal(root tink.AEAD) ([]byte, error) {
	plaintext, err := r.encode()
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	body, err := root.Encrypt(plaintext, keyringAAD(keyringVersion))
	if err != nil {
		return nil, fmt.Errorf("barrier: seal the keyring: %w", err)
	}
	versioned := append([]byte{keyringVersion}, body...)
	record := binary.BigEndian.AppendUint32([]byte(keyringMagic), crc32.Checksum(versioned, castagnoli))
	return append(record, versioned...), nil
}

// openKeyring reads a record that was sealed under root.
func openKeyring(record []byte, root tink.AEAD) (*keyring, error) {
	body, err := keyringBody(record)
	if err != nil {
		return nil, err
	}
	plaintext, err := root.Decrypt(body, keyringAAD(keyringVersion))
	if err != nil {
		return nil, ErrWrongKey
	}
	defer clear(plaintext)
	return decodeKeyring(plaintext)
}

// keyringBody checks the header of a record and returns what follows it.
func keyringBody(record []byte) ([]byte, error) {
	if len(record) < keyringHeader || string(record[:len(keyringMagic)]) != keyringMagic {
		return nil, ErrDamaged
	}
	sum := binary.BigEndian.Uint32(record[len(keyringMagic):])
	if crc32.Checksum(record[keyringHeader-1:], castagnoli) != sum {
		return nil, ErrDamaged
	}
	switch version := record[keyringHeader-1]; {
	case version > keyringVersion:
		return nil, ErrVersion
	case version < keyringVersion:
		return nil, ErrDamaged // there has been no such version
	}
	return record[keyringHeader:], nil
}

func (r *keyring) encode() ([]byte, error) {
	var data bytes.Buffer
	if err := insecurecleartextkeyset.Write(r.data, keyset.NewBinaryWriter(&data)); err != nil {
		return nil, fmt.Errorf("barrier: encode the keyring: %w", err)
	}
	defer clear(data.Bytes())
	return json.Marshal(keyringJSON{
		Cluster:    r.cluster,
		Generation: r.generation,
		Master:     r.master.Reveal(),
		Data:       data.Bytes(),
		Created:    r.created,
	})
}

func decodeKeyring(plaintext []byte) (*keyring, error) {
	var j keyringJSON
	if err := json.Unmarshal(plaintext, &j); err != nil {
		return nil, ErrDamaged // not err: it may quote the plaintext
	}
	data, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(j.Data)))
	if err != nil || data.Len() != len(j.Created) || len(j.Master) != masterBytes || j.Cluster == "" {
		return nil, ErrDamaged
	}
	return &keyring{
		cluster:    j.Cluster,
		generation: j.Generation,
		master:     secret.New(j.Master),
		data:       data,
		created:    j.Created,
	}, nil
}

const masterBytes = 32

func newSecret() secret.Bytes {
	var b [masterBytes]byte
	rand.Read(b[:]) // never fails
	return secret.New(b[:])
}

// has says whether ciphertext names one of the data keys of r.
func (r *keyring) has(ciphertext []byte) bool {
	for i := range r.data.Len() {
		e, err := r.data.Entry(i)
		if err != nil {
			continue
		}
		key, ok := e.Key().(*xaesgcm.Key)
		if ok && bytes.HasPrefix(ciphertext, key.OutputPrefix()) {
			return true
		}
	}
	return false
}
