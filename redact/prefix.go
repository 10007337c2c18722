package redact

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// undecided returns where the longest end of data begins that a pattern begins
// with and that is not all of it; len(data) if there is none.
func (m *matcher) undecided(data []byte) int {
	at := m.manyLines.undecided(data)
	line := bytes.LastIndexByte(data, '\n') + 1 // no other pattern goes over that
	return min(at, line+m.oneLine.undecided(data[line:]))
}

// prefixes knows how texts begin. The zero value knows none.
type prefixes struct {
	texts   [][]byte    // sorted, each of four bytes at least
	longest int         // of them
	first   [257]uint32 // byte → the first text that begins with it or a greater one
	shift   uint
	starts  []uint64 // one bit for each hash of the four bytes that texts begin with
}

const (
	bitsPerStart = 16 // at least, within the bounds
	minStartBits = 10
	maxStartBits = 21
)

func newPrefixes(sorted [][]byte) prefixes {
	if len(sorted) == 0 {
		return prefixes{}
	}
	p := prefixes{texts: sorted, shift: 32 - hashBits(len(sorted)*bitsPerStart, minStartBits, maxStartBits)}
	p.starts = make([]uint64, 1<<(32-p.shift-6))
	for _, text := range sorted {
		p.longest = max(p.longest, len(text))
		p.first[int(text[0])+1]++
		bit := p.bit(text)
		p.starts[bit>>6] |= 1 << (bit & 63)
	}
	for i := range 256 {
		p.first[i+1] += p.first[i]
	}
	return p
}

// bit of the first four bytes of text.
func (p *prefixes) bit(text []byte) uint32 {
	return binary.LittleEndian.Uint32(text) * (hashFactor >> 32) >> (p.shift & 31)
}

// undecided is the method of the matcher, for these texts.
func (p *prefixes) undecided(data []byte) int {
	if len(p.texts) == 0 {
		return len(data)
	}
	at := max(0, len(data)-p.longest+1)
	for ; at+4 <= len(data); at++ {
		bit := p.bit(data[at:])
		if p.starts[bit>>6]&(1<<(bit&63)) != 0 && p.begins(data[at:]) {
			return at
		}
	}
	for ; at < len(data); at++ {
		if p.begins(data[at:]) {
			return at
		}
	}
	return len(data)
}

// begins says whether a longer text begins with text, which is not empty.
func (p *prefixes) begins(text []byte) bool {
	among := p.texts[p.first[text[0]]:p.first[int(text[0])+1]]
	i := sort.Search(len(among), func(i int) bool { return bytes.Compare(among[i], text) > 0 })
	return i < len(among) && bytes.HasPrefix(among[i], text)
}
