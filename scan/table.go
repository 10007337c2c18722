package scan

import (
	"encoding/binary"
	"regexp"
	"strings"

	"github.com/cofferhq/coffer/scan/rules"
)

// The keywords are found in one pass over the text: each is represented by its
// rarest four bytes, case folded, and a table tells of four bytes in a row whether
// they might be some keyword's. What the table lets through is compared with the
// keywords themselves.

// foldMask makes ASCII letters lower case, four at a time. It also joins a few
// others ('@' and '`'), which the comparison parts again.
const foldMask = 0x20202020

const tableBits = 15

// table finds keywords. It is immutable once made.
type table struct {
	marks [1 << tableBits]uint8  // not zero: heads has an entry
	heads [1 << tableBits]uint16 // index into grams, plus one
	grams []gram
	words []keyword
}

// gram is one group of four bytes of one keyword. A keyword of three bytes has
// many, one for each byte that may follow.
type gram struct {
	value uint32
	word  uint16
	next  uint16 // of the same hash; index plus one
}

type keyword struct {
	text  string // lower case
	at    int    // where its gram begins
	rules []*rule

	exact string // not empty: the case that the keyword must have
	first bool   // begins all tokens that it announces
}

func hashGram(v uint32) uint32 { return v * 0x9E3779B1 >> (32 - tableBits) }

// followers are what may follow a keyword of three bytes.
const followers = "abcdefghijklmnopqrstuvwxyz0123456789_-+/.=%:\"'` \t[<({$\\,;#&@*!~"

func newTable(all []*rule) *table {
	t := &table{}
	index := map[string]int{}
	for _, r := range all {
		for _, k := range r.data.Keywords {
			for _, spelling := range spellings(r, strings.ToLower(k)) {
				i, ok := index[spelling]
				if !ok {
					i = len(t.words)
					index[spelling] = i
					t.words = append(t.words, keyword{text: spelling, at: rarestGram(spelling), exact: exactCase(r, k), first: beginsTokens(r, k)})
					t.addWord(uint16(i), spelling)
				}
				t.words[i].announce(r, k)
			}
		}
	}
	return t
}

// announce adds a rule to those of the keyword, which it writes as k.
func (w *keyword) announce(r *rule, k string) {
	if len(w.rules) > 0 && w.exact != exactCase(r, k) {
		w.exact = ""
	}
	w.first = w.first && beginsTokens(r, k)
	if len(w.rules) == 0 || w.rules[len(w.rules)-1] != r {
		w.rules = append(w.rules, r)
	}
}

// spellings are the ways to write a keyword, in lower case: the parts of names are
// joined by underscores, by dashes or by full stops.
func spellings(r *rule, k string) []string {
	named := r.data.Value != "" || r.data.Parser == rules.NamedPassword || r.data.Parser == rules.NamedSecret
	if inner := strings.Trim(k, "_-."); !named || !strings.ContainsAny(inner, "_-.") {
		return []string{k}
	}
	out := []string{k}
	for _, sep := range []string{"_", "-", "."} {
		if s := strings.NewReplacer("_", sep, "-", sep, ".", sep).Replace(k); s != k {
			out = append(out, s)
		}
	}
	return out
}

// exactCase is how a keyword of three bytes stands in the tokens of the rule, or
// "" if its case does not matter. So short a keyword in any case is in every text.
func exactCase(r *rule, k string) string {
	if len(k) > 3 || r.data.Token == "" || strings.Contains(r.data.Token, "(?i") {
		return ""
	}
	return k
}

// beginsTokens says whether each token of the rule begins with k.
func beginsTokens(r *rule, k string) bool {
	rest, ok := strings.CutPrefix(r.data.Token, k)
	return ok && regexp.QuoteMeta(k) == k && !strings.Contains(rest, "|") && (rest == "" || strings.IndexByte("?*{+", rest[0]) < 0)
}

func (t *table) addWord(i uint16, k string) {
	if len(k) >= 4 {
		at := t.words[i].at
		t.addGram(binary.LittleEndian.Uint32([]byte(k[at:at+4]))|foldMask, i)
		return
	}
	seen := map[uint32]bool{}
	for _, c := range []byte(followers) {
		v := binary.LittleEndian.Uint32(append([]byte(k), c)) | foldMask
		if !seen[v] {
			seen[v] = true
			t.addGram(v, i)
		}
	}
}

func (t *table) addGram(v uint32, word uint16) {
	h := hashGram(v)
	t.grams = append(t.grams, gram{value: v, word: word, next: t.heads[h]})
	t.heads[h] = uint16(len(t.grams))
	t.marks[h] = 1
}

// rarestGram returns where the rarest four bytes of k begin.
func rarestGram(k string) int {
	best, at := -1, 0
	for i := 0; i+4 <= len(k); i++ {
		bits := 0
		for j := i; j < i+3; j++ {
			bits += rarity(k[j], k[j+1])
		}
		if bits > best {
			best, at = bits, i
		}
	}
	return at
}

// each calls hit for every keyword whose gram begins in b[from:to], with the
// place of the keyword. The order is that of the grams.
func (t *table) each(b []byte, from, to int, hit func(w *keyword, at int)) {
	to = min(to, len(b)-3)
	i := from
	for ; i+8 <= len(b) && i+5 <= to; i += 5 {
		v := binary.LittleEndian.Uint64(b[i:]) | 0x2020202020202020
		if t.marks[hashGram(uint32(v))]|t.marks[hashGram(uint32(v>>8))]|t.marks[hashGram(uint32(v>>16))]|
			t.marks[hashGram(uint32(v>>24))]|t.marks[hashGram(uint32(v>>32))] == 0 {
			continue
		}
		for j := range 5 {
			if t.marks[hashGram(uint32(v>>(8*j)))] != 0 {
				t.look(b, i+j, uint32(v>>(8*j)), hit)
			}
		}
	}
	for ; i < to; i++ {
		t.look(b, i, binary.LittleEndian.Uint32(b[i:])|foldMask, hit)
	}
}

func (t *table) look(b []byte, i int, v uint32, hit func(w *keyword, at int)) {
	for next := t.heads[hashGram(v)]; next != 0; {
		g := &t.grams[next-1]
		next = g.next
		if g.value != v {
			continue
		}
		if w := &t.words[g.word]; hasWord(b, i-w.at, w.text) {
			hit(w, i-w.at)
		}
	}
}

// inVain says whether nothing that the keyword announces can stand at b[at].
func (w *keyword) inVain(b []byte, at int) bool {
	return (w.exact != "" && string(b[at:at+len(w.exact)]) != w.exact) || (w.first && at > 0 && !startsToken(b, at))
}

// hasWord says whether the lower-case text k stands in b at i, case aside.
func hasWord(b []byte, i int, k string) bool {
	if i < 0 || i+len(k) > len(b) {
		return false
	}
	for j := range len(k) {
		if lower(b[i+j]) != k[j] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
