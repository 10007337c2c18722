package token

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

// The text of a token is a prefix that tells its kind, random characters, and a
// checksum of both, so that a scanner recognises one without false alarms. Ids
// that an operator chose have any form.
const (
	prefixService = "cfs."
	prefixBatch   = "cfb."

	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomChars = 24 // 142 bits
	checkChars  = 6  // CRC-32 in base 62
)

func newText(prefix string) string {
	body := prefix + randomText(randomChars)
	return body + checksum(body)
}

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

func checksum(s string) string {
	text := big.NewInt(int64(crc32.ChecksumIEEE([]byte(s)))).Text(62)
	// big's digits are 0-9a-zA-Z; any fixed alphabet will do, padded to one width.
	return strings.Repeat("0", checkChars-len(text)) + text
}

// WellFormed says whether text is one that coffer made for a service token: the
// prefix, the length and the checksum are right. It says nothing of whether the
// token exists.
func WellFormed(text string) bool {
	n := len(prefixService) + randomChars
	return len(text) == n+checkChars && strings.HasPrefix(text, prefixService) &&
		checksum(text[:n]) == text[n:]
}
