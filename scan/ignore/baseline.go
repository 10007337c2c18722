package ignore

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan"
)

// Baseline knows secrets by a keyed hash, so that it does not matter where one
// stands or which commit brought it. Two baselines of the same secrets have nothing
// in common; but the key is in the file, so whoever has that can try out what a weak
// password may have been.
type Baseline struct {
	key     []byte
	entries map[string]string // hash → where the secret was, for people
	older   []*Baseline       // those of other keys, which a merge of files brought
}

var _ baseline = (*Baseline)(nil)

const (
	keyBytes  = 32
	hashBytes = 16

	baselineHead = "# coffer baseline 1"
)

// NewBaseline returns an empty one with a key of its own.
func NewBaseline() *Baseline {
	key := make([]byte, keyBytes)
	rand.Read(key)
	return &Baseline{key: key, entries: map[string]string{}}
}

// Len is how many secrets it knows.
func (b *Baseline) Len() int {
	n := len(b.entries)
	for _, o := range b.older {
		n += len(o.entries)
	}
	return n
}

// Add makes a finding known.
func (b *Baseline) Add(f scan.Finding) {
	if b.has(f) {
		return
	}
	b.entries[b.hash(f.Secret)] = fmt.Sprintf("%s %s", f.RuleID, oneWord(f.Path))
}

// Keep forgets what is not among the findings, and tells how many that were.
func (b *Baseline) Keep(findings []scan.Finding) int {
	gone := 0
	for _, part := range append([]*Baseline{b}, b.older...) {
		seen := map[string]bool{}
		for _, f := range findings {
			seen[part.hash(f.Secret)] = true
		}
		before := len(part.entries)
		maps.DeleteFunc(part.entries, func(hash, _ string) bool { return !seen[hash] })
		gone += before - len(part.entries)
	}
	return gone
}

func (b *Baseline) hash(s scan.Secret) string {
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte(s.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:hashBytes])
}

// has knows the hashes and the key themselves, too: the file that has them is
// searched like others.
func (b *Baseline) has(f scan.Finding) bool {
	secret := f.Secret.Reveal()
	_, known := b.entries[b.hash(f.Secret)]
	_, itself := b.entries[secret]
	if known || itself || secret == hex.EncodeToString(b.key) {
		return true
	}
	return slices.ContainsFunc(b.older, func(o *Baseline) bool { return o.has(f) })
}

// oneWord keeps the line ends that a path may have out of a file of lines.
func oneWord(path string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '?'
		}
		return r
	}, path)
}

// WriteTo writes the baseline: a line each, sorted, so that what two branches add
// merges, and the same secrets make the same file.
func (b *Baseline) WriteTo(w io.Writer) (int64, error) {
	var out bytes.Buffer
	fmt.Fprintln(&out, baselineHead+": secrets that are known, as keyed hashes.")
	fmt.Fprintln(&out, "# HASH RULE PATH; rule and path tell where it was when it was added.")
	parts := append([]*Baseline{b}, b.older...)
	slices.SortStableFunc(parts[1:], func(a, b *Baseline) int { return bytes.Compare(a.key, b.key) })
	for i, part := range parts {
		if i > 0 && len(part.entries) == 0 {
			continue
		}
		fmt.Fprintf(&out, "key %x\n", part.key)
		for _, hash := range slices.Sorted(maps.Keys(part.entries)) {
			fmt.Fprintf(&out, "%s %s\n", hash, part.entries[hash])
		}
	}
	return out.WriteTo(w)
}

// ParseBaseline reads what WriteTo wrote, and what git made of two such files.
func ParseBaseline(data []byte) (*Baseline, error) {
	if !bytes.HasPrefix(data, []byte(baselineHead)) {
		return nil, errors.New("not a baseline of coffer's")
	}
	parts := map[string]*Baseline{}
	var first, current *Baseline
	n := 0
	for line := range strings.SplitSeq(string(data), "\n") {
		n++
		line = strings.TrimSuffix(line, "\r")
		word, rest, _ := strings.Cut(line, " ")
		switch hash, err := hex.DecodeString(word); {
		case line == "" || line[0] == '#':
		case word == "key":
			key, err := hex.DecodeString(rest)
			if err != nil || len(key) != keyBytes {
				return nil, fmt.Errorf("line %d: want a key of %d bytes", n, keyBytes)
			}
			current = cmp.Or(parts[string(key)], &Baseline{key: key, entries: map[string]string{}})
			parts[string(key)], first = current, cmp.Or(first, current)
		case err != nil || len(hash) != hashBytes || current == nil:
			return nil, fmt.Errorf("line %d: want the hash of a secret, below a key", n)
		default:
			current.entries[hex.EncodeToString(hash)] = rest
		}
	}
	if first == nil {
		return nil, errors.New("the baseline has no key")
	}
	for _, part := range parts {
		if part != first {
			first.older = append(first.older, part)
		}
	}
	return first, nil
}
