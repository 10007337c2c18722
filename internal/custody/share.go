package custody

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/secret"
)

// A share as people hold it is the share of seal/shamir, the id of its set, and
// the CRC-32C of both: 41 bytes. Set and checksum cannot tell whether a share is
// right, but that it is from elsewhere, or was mistyped; neither says anything
// about the key.
const (
	rawShareBytes = barrier.RootKeyBytes + 1
	setBytes      = 4
	shareBytes    = rawShareBytes + setBytes + crc32.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// setID tells the shares of one splitting from those of others.
type setID [setBytes]byte

func newSetID() setID {
	var id setID
	rand.Read(id[:]) // never fails
	return id
}

// String returns the id in hexadecimal form.
func (id setID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements [encoding.TextMarshaler].
func (id setID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *setID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(setBytes) {
		return hex.ErrLength
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// issue returns a share as people hold it.
func issue(raw secret.Bytes, set setID) secret.Bytes {
	b := append(make([]byte, 0, shareBytes), raw.Reveal()...)
	b = append(b, set[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	defer clear(b)
	return secret.New(b)
}

// accept is the inverse of issue. It returns an error for the caller if share is
// malformed or not of the set.
func accept(share []byte, set setID) (raw secret.Bytes, err error) {
	if len(share) != shareBytes {
		return secret.Bytes{}, refuse(ErrShare, "invalid unseal key: it has %d bytes, a key has %d", len(share), shareBytes)
	}
	body, sum := share[:shareBytes-crc32.Size], share[shareBytes-crc32.Size:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return secret.Bytes{}, refuse(ErrShare, "invalid unseal key: its checksum is wrong; was it copied whole?")
	}
	if found := setID(body[rawShareBytes:]); found != set {
		return secret.Bytes{}, refuse(ErrShare, "invalid unseal key: it is of set %s, and this server's keys are of set %s", found, set)
	}
	return secret.New(body[:rawShareBytes]), nil
}
