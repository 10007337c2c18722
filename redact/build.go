package redact

import (
	"bytes"
	"encoding/binary"
	"math"
)

// newMatcher returns a matcher for all forms of values. Names says whether
// markers tell them.
func newMatcher(values []Value, names bool) *matcher {
	m := &matcher{patterns: patternsOf(values), markers: make([][]byte, len(values))}
	for i, v := range values {
		m.markers[i] = []byte(Marker)
		if names && v.name != "" {
			m.markers[i] = []byte(Marker[:len(Marker)-1] + ":" + v.name + "]")
		}
	}
	if len(m.patterns) == 0 {
		return m
	}
	shortest := math.MaxInt
	var one, many [][]byte
	for _, p := range m.patterns {
		shortest = min(shortest, len(p.text))
		if bytes.IndexByte(p.text, '\n') < 0 {
			one = append(one, p.text)
		} else {
			many = append(many, p.text)
		}
	}
	m.oneLine, m.manyLines = newPrefixes(one), newPrefixes(many)
	gram, stride := gramOf(shortest)
	m.stride, m.drop = stride, uint(64-8*gram)
	m.index(m.windows(gram))
	return m
}

// Sizes of tables, as powers of two.
const (
	bitsPerGram   = 32 // of the bitmap, at least, within the bounds
	minBitmapBits = 12
	maxBitmapBits = 23 // 1 MiB: more falls out of the caches
	minBucketBits = 4
	maxBucketBits = 22
	maxCountBits  = 20

	// What a gram costs: for each pattern with one like it, and if a letter that
	// texts consist of begins it.
	sharedCost, letterCost = 8, 1
)

// windows returns for each pattern where its window begins: at grams that few
// patterns share, so that a walk that meets one has little to compare, and with
// few letters, of which texts consist.
func (m *matcher) windows(gram int) []int {
	length := 0
	for _, p := range m.patterns {
		length += len(p.text)
	}
	shift := 64 - hashBits(length, minBucketBits, maxCountBits)
	counts := make([]uint16, 1<<(64-shift)) // hash → grams
	for _, p := range m.patterns {
		for i := range len(p.text) - gram + 1 {
			if c := &counts[m.hash(wordAt(p.text, i))>>shift]; *c < math.MaxUint16 {
				*c++
			}
		}
	}
	begins := make([]int, len(m.patterns))
	var cost []int // of the gram at each place of a pattern
	for n, p := range m.patterns {
		if n > 0 && bytes.HasPrefix(p.text, m.patterns[n-1].text) {
			begins[n] = begins[n-1] // the grams are in the tables already
			continue
		}
		cost = cost[:0]
		for i := range len(p.text) - gram + 1 {
			count := counts[m.hash(wordAt(p.text, i))>>shift]
			cost = append(cost, int(count)*sharedCost+letter(p.text[i]))
		}
		begins[n] = cheapest(cost, m.stride)
	}
	return begins
}

func letter(b byte) int {
	if 'a' <= b && b <= 'z' || b == ' ' {
		return letterCost
	}
	return 0
}

// cheapest returns where the n costs in a row begin whose sum is least.
func cheapest(cost []int, n int) int {
	sum := 0
	for _, c := range cost[:n] {
		sum += c
	}
	best, least := 0, sum
	for i := n; i < len(cost); i++ {
		sum += cost[i] - cost[i-n]
		if sum < least {
			best, least = i-n+1, sum
		}
	}
	return best
}

// index fills bitmap and table with the grams of the windows.
func (m *matcher) index(begins []int) {
	total := len(m.patterns) * m.stride
	m.shift = 64 - hashBits(total*bitsPerGram, minBitmapBits, maxBitmapBits)
	m.bitmap = make([]uint64, 1<<(64-m.shift-6))
	m.bucketShift = 64 - hashBits(total, minBucketBits, maxBucketBits)
	m.buckets = make([]uint32, 1<<(64-m.bucketShift)+1)
	m.rows = make([]row, total)

	each := func(do func(h uint64, r row)) {
		for n, p := range m.patterns {
			for i := begins[n]; i < begins[n]+m.stride; i++ {
				h := m.hash(wordAt(p.text, i))
				do(h, row{tag: uint32(h >> 32), pattern: uint32(n), offset: uint32(i)})
			}
		}
	}
	each(func(h uint64, _ row) {
		bit := h >> m.shift
		m.bitmap[bit>>6] |= 1 << (bit & 63)
		m.buckets[h>>m.bucketShift]++
	})
	for i, sum := 0, uint32(0); i < len(m.buckets); i++ { // each is where the next begins
		sum += m.buckets[i]
		m.buckets[i] = sum
	}
	each(func(h uint64, r row) { // from the end of each bucket to its beginning
		b := &m.buckets[h>>m.bucketShift]
		*b--
		m.rows[*b] = r
	})
}

// wordAt returns the eight bytes at i, with zeros behind the end of text.
func wordAt(text []byte, i int) uint64 {
	if i+8 <= len(text) {
		return binary.LittleEndian.Uint64(text[i:])
	}
	var word [8]byte
	copy(word[:], text[i:])
	return binary.LittleEndian.Uint64(word[:])
}
