package token

import (
	"crypto/rand"
	"hash/crc32"
	"slices"
	"strings"
)

// The text of a token is a prefix that tells its kind, a body, which for service
// tokens is random, and a checksum of both, so that a scanner recognises one
// without false alarms. Ids that an operator chose have any other form.
const (
	prefixService  = "cfs."
	prefixBatch    = "cfb."
	prefixRecovery = "cfr."

	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomChars = 24 // 142 bits
	checkChars  = 6  // CRC-32 in base 62
)

func newText(prefix string) string { return checked(prefix + randomText(randomChars)) }

// NewAccessor returns a name for a token that gives no right to use it.
func NewAccessor() string { return randomText(randomChars) }

func randomText(n int) string {
	var b strings.Builder
	b.Grow(n)
	var buf [64]byte
	for b.Len() < n {
		rand.Read(buf[:]) // never fails
		for _, c := range buf {
			// Drop what would make some characters more frequent than others.
			if c < 4*62 && b.Len() < n {
				b.WriteByte(alphabet[c%62])
			}
		}
	}
	return b.String()
}

// checked returns s with its checksum.
func checked(s string) string {
	var sum [checkChars]byte
	n := crc32.ChecksumIEEE([]byte(s))
	for i := range sum {
		sum[checkChars-1-i] = alphabet[n%62]
		n /= 62
	}
	return s + string(sum[:])
}

// reserved says whether text begins as coffer's own do.
func reserved(text string) bool {
	return slices.ContainsFunc([]string{prefixService, prefixBatch, prefixRecovery}, func(p string) bool {
		return strings.HasPrefix(text, p)
	})
}

// WellFormed says whether text is one that coffer made, for a service or a batch
// token: the prefix, the length and the checksum are right. It says nothing of
// whether the token exists.
func WellFormed(text string) bool {
	n := len(text) - checkChars
	switch {
	case strings.HasPrefix(text, prefixService):
		if n != len(prefixService)+randomChars {
			return false
		}
	case strings.HasPrefix(text, prefixBatch):
		if n <= len(prefixBatch) {
			return false
		}
	default:
		return false
	}
	return checked(text[:n]) == text
}
