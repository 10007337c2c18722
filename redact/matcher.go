package redact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// matcher finds all occurrences of many patterns. It is immutable.
//
// It looks at grams: runs of a few bytes. Of each pattern it knows the grams at
// as many places in a row, the window, as the stride by which the text is
// walked. Wherever an occurrence lies, one step of the walk meets one gram of
// its window. A bitmap sorts out nearly all steps that meet none; for the rest a
// table says which patterns have that gram and where, and they are compared.
type matcher struct {
	patterns []pattern // sorted by text
	markers  [][]byte  // by value

	stride int
	drop   uint     // 64 less the bits of a gram
	shift  uint     // of a hash, for the bitmap
	bitmap []uint64 // one bit for each hash; a power of two

	bucketShift uint     // of a hash, for the buckets
	buckets     []uint32 // bucket → its first row; one more than there are
	rows        []row

	oneLine, manyLines prefixes // patterns without and with line ends
}

// row says that a pattern has a gram at an offset.
type row struct {
	tag     uint32 // of the gram's hash
	pattern uint32
	offset  uint32
}

// match is an occurrence.
type match struct{ start, end, value int }

// hashFactor is 2^64 divided by the golden ratio, and odd.
const hashFactor = 0x9E3779B97F4A7C15

// gramOf says how many bytes grams have, and the stride, if no pattern has less
// than n bytes. A longer gram occurs less often by chance, a longer stride takes
// fewer steps; together they are one more than n at most.
func gramOf(n int) (gram, stride int) {
	gram = min(max(4, n/2+1), 8)
	return gram, min(n-gram+1, 8)
}

// hash of the gram that begins the eight bytes of word, the first byte lowest.
func (m *matcher) hash(word uint64) uint64 { return word << m.drop * hashFactor }

// find appends all occurrences in data, sorted by their beginnings, the longest
// first.
func (m *matcher) find(matches []match, data []byte) []match {
	if len(m.patterns) == 0 {
		return matches
	}
	found := len(matches)
	at := 0
	if len(data) >= 8 {
		matches, at = m.walk(matches, data)
	}
	// Near the end, where eight bytes cannot be loaded.
	for gram := 8 - int(m.drop/8); at+gram <= len(data); at += m.stride {
		var word [8]byte
		copy(word[:], data[at:])
		if h := m.hash(binary.LittleEndian.Uint64(word[:])); m.bit(h)&1 != 0 {
			matches = m.compare(matches, data, at, h)
		}
	}
	if len(matches) > found+1 {
		slices.SortFunc(matches[found:], func(a, b match) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
		})
	}
	return matches
}

// walk goes over data, of eight bytes at least, as far as eight bytes can be
// loaded, and returns where it stopped. It takes four steps at a time, so that
// the processor need not wait for one load before the next.
func (m *matcher) walk(matches []match, data []byte) ([]match, int) {
	stride, drop := m.stride, m.drop&63
	at, last := 0, len(data)-8
	for ; at+3*stride <= last; at += 4 * stride {
		h0 := binary.LittleEndian.Uint64(data[at:]) << drop * hashFactor
		h1 := binary.LittleEndian.Uint64(data[at+stride:]) << drop * hashFactor
		h2 := binary.LittleEndian.Uint64(data[at+2*stride:]) << drop * hashFactor
		h3 := binary.LittleEndian.Uint64(data[at+3*stride:]) << drop * hashFactor
		b0, b1, b2, b3 := m.bit(h0), m.bit(h1), m.bit(h2), m.bit(h3)
		if (b0|b1|b2|b3)&1 == 0 {
			continue
		}
		for i, h := range [...]uint64{h0, h1, h2, h3} {
			if m.bit(h)&1 != 0 {
				matches = m.compare(matches, data, at+i*stride, h)
			}
		}
	}
	for ; at <= last; at += stride {
		if h := m.hash(binary.LittleEndian.Uint64(data[at:])); m.bit(h)&1 != 0 {
			matches = m.compare(matches, data, at, h)
		}
	}
	return matches, at
}

// bit returns, in its lowest bit, whether the bitmap has the hash.
func (m *matcher) bit(h uint64) uint64 {
	bit := h >> (m.shift & 63)
	return m.bitmap[bit>>6] >> (bit & 63)
}

// compare appends the occurrences that have the gram with hash h at at.
func (m *matcher) compare(matches []match, data []byte, at int, h uint64) []match {
	b := h >> m.bucketShift
	tag := uint32(h >> 32)
	for _, r := range m.rows[m.buckets[b]:m.buckets[b+1]] {
		if r.tag != tag {
			continue
		}
		p := &m.patterns[r.pattern]
		start := at - int(r.offset)
		end := start + len(p.text)
		if start >= 0 && end <= len(data) && bytes.Equal(data[start:end], p.text) {
			matches = append(matches, match{start, end, p.value})
		}
	}
	return matches
}

// replace appends the first n bytes of data, with a marker for each run of
// matches that overlap. A marker stands for the first covered bytes already. It
// returns how many bytes behind n the last marker stands for.
func (m *matcher) replace(out, data []byte, matches []match, covered, n int) ([]byte, int) {
	at := covered // all before it is dealt with
	for _, x := range matches {
		if x.start >= n {
			break
		}
		if x.start >= at {
			out = append(out, data[at:x.start]...)
			out = append(out, m.markers[x.value]...)
		}
		at = max(at, x.end)
	}
	if at >= n {
		return out, at - n
	}
	return append(out, data[at:n]...), 0
}

// hashBits returns the logarithm of the smallest power of two that is not less
// than n, within bounds.
func hashBits(n, low, high int) uint {
	return uint(min(max(bits.Len(uint(max(n, 1)-1)), low), high))
}
