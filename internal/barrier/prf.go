package barrier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// prf is HMAC-SHA256 under one key, safe for concurrent use.
type prf struct{ states sync.Pool } // of *prfState

// prfState is what one computation needs. Its reuse saves the key schedule and
// every allocation.
type prfState struct {
	mac hash.Hash
	in  []byte
	out [sha256.Size]byte
}

func newPRF(key []byte) *prf {
	p := &prf{}
	p.states.New = func() any { return &prfState{mac: hmac.New(sha256.New, key)} }
	return p
}

// sum returns the MAC of parts, each preceded by its length.
func (p *prf) sum(parts [][]byte) []byte {
	s := p.states.Get().(*prfState)
	defer p.states.Put(s)
	s.in = s.in[:0]
	for _, part := range parts {
		s.in = binary.BigEndian.AppendUint64(s.in, uint64(len(part)))
		s.in = append(s.in, part...)
	}
	return append([]byte(nil), s.compute()...)
}

// appendName appends the hidden form of the segment raw below parent.
func (p *prf) appendName(dst, parent []byte, raw string) []byte {
	s := p.states.Get().(*prfState)
	defer p.states.Put(s)
	s.in = binary.BigEndian.AppendUint64(s.in[:0], uint64(len(parent)))
	s.in = append(s.in, parent...)
	s.in = append(s.in, raw...)
	return append(dst, s.compute()[:hiddenBytes]...)
}

// compute returns the MAC of in, which it clears: names and tokens should not
// lie about in a pool. The result is valid until the state is used again.
func (s *prfState) compute() []byte {
	s.mac.Reset()
	s.mac.Write(s.in)
	clear(s.in)
	return s.mac.Sum(s.out[:0])
}
