package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/cofferhq/coffer/internal/secret"
)

// hashPrefix marks a text that stands for another.
const hashPrefix = "hmac-sha256:"

// hashers keeps hashers of one salt for use again: keying one costs as much as
// hashing with it.
type hashers struct{ pool sync.Pool }

func newHashers(salt secret.Bytes) *hashers {
	return &hashers{pool: sync.Pool{New: func() any {
		return &hasher{mac: hmac.New(sha256.New, salt.Reveal())}
	}}}
}

func (hs *hashers) take() *hasher { return hs.pool.Get().(*hasher) }

func (hs *hashers) put(h *hasher) { hs.pool.Put(h) }

// hasher turns texts into HMACs. It is for one goroutine at a time.
type hasher struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	text []byte // of appendTextHash, wiped after use
}

// appendHash appends what stands for value: the prefix and the HMAC in hex.
func (h *hasher) appendHash(to, value []byte) []byte {
	h.mac.Reset()
	h.mac.Write(value) // never fails
	to = append(to, hashPrefix...)
	return hex.AppendEncode(to, h.mac.Sum(h.sum[:0]))
}

// appendTextHash is appendHash without an allocation for the text.
func (h *hasher) appendTextHash(to []byte, value string) []byte {
	h.text = append(h.text[:0], value...)
	to = h.appendHash(to, h.text)
	clear(h.text)
	return to
}
