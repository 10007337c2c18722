// Package canary finds planted secrets in what a program leaves behind: logs,
// answers, files. It is for tests. What it looks for are the forms in which a
// secret could stand there, as it is, encoded, escaped, reversed or compressed,
// and the beginning of it is enough.
//
// The tests of this package plant secrets through every door of the real program
// and look for them in every place.
package canary

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// Secret is what must not be found.
type Secret struct {
	Name string // for people
	Text string // the secret; at least [MinBytes] long
}

// MinBytes is how much of a secret is looked for at least: what is shorter would
// be found where it is not.
const MinBytes = 8

// Hit is a place where a secret was found.
type Hit struct {
	Secret string // its name
	Form   string // "base64", "gzip, hexadecimal"
	At     int    // bytes into what was searched
	Around string // what stands there
}

func (h Hit) String() string {
	return fmt.Sprintf("%s, %s, at %d: %q", h.Secret, h.Form, h.At, h.Around)
}

// New returns a text that nobody has seen before, of characters that no encoding
// for texts changes.
func New() string { return "c" + rand.Text()[:15] }

// Searcher looks for many secrets at once. It is immutable.
type Searcher struct {
	needles map[uint64][]needle // first eight bytes → what begins with them
	filter  []uint64            // bits by hash of the first eight bytes
}

// NewSearcher returns a Searcher for secrets. It panics if one is too short to be
// looked for.
func NewSearcher(secrets ...Secret) *Searcher {
	s := &Searcher{needles: map[uint64][]needle{}, filter: make([]uint64, 1<<filterBits/64)}
	for _, secret := range secrets {
		if len(secret.Text) < MinBytes {
			panic(fmt.Sprintf("canary: the secret %q has less than %d bytes", secret.Name, MinBytes))
		}
		for _, n := range needlesOf(secret) {
			head := binary.BigEndian.Uint64(n.text)
			s.needles[head] = append(s.needles[head], n)
			bit := hash(head)
			s.filter[bit/64] |= 1 << (bit % 64)
		}
	}
	return s
}

const filterBits = 18

func hash(head uint64) uint64 { return head * 0x9E3779B97F4A7C15 >> (64 - filterBits) }

// Search returns where in data secrets are, the first of each secret and form.
func (s *Searcher) Search(data []byte) []Hit {
	found := map[string]bool{}
	var hits []Hit
	s.search(data, "", func(h Hit) {
		if key := h.Secret + "\x00" + h.Form; !found[key] {
			found[key] = true
			hits = append(hits, h)
		}
	})
	return hits
}

// maxUnpacked bounds what is read of one gzip member.
const maxUnpacked = 64 << 20

// search calls hit for all that is found; wrapping is what data was taken out of.
func (s *Searcher) search(data []byte, wrapping string, hit func(Hit)) {
	var window uint64
	for i, b := range data {
		window = window<<8 | uint64(b)
		if b == 0x08 && window&0xFFFFFF == gzipMagic {
			s.unpack(data[i-2:], wrapping, hit)
		}
		if bit := hash(window); i < 7 || s.filter[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		at := i - 7
		for _, n := range s.needles[window] {
			if bytes.HasPrefix(data[at:], n.text) {
				hit(Hit{Secret: n.secret, Form: wrapping + n.form, At: at, Around: around(data, at, len(n.text))})
			}
		}
	}
}

const gzipMagic = 0x1F8B08

// unpack searches the gzip member that data begins with, as far as it is one.
func (s *Searcher) unpack(data []byte, wrapping string, hit func(Hit)) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return
	}
	r.Multistream(false)
	// What comes before an error has been unpacked nevertheless.
	unpacked, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
	s.search(unpacked, wrapping+"gzip, ", hit)
}

// around is what stands at and beside a hit.
func around(data []byte, at, size int) string {
	const beside = 60
	return string(data[max(0, at-beside):min(len(data), at+size+beside)])
}
