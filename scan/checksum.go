package scan

import (
	"encoding/base32"
	"hash/crc32"
	"strings"

	"github.com/cofferhq/coffer/scan/rules"
)

// verdict is what a checksum says of a token.
type verdict uint8

const (
	unchecked verdict = iota
	checkedRight
	checkedWrong
)

const (
	base62     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	checkChars = 6
)

// check verifies a token's own checksum.
func check(kind rules.Checksum, token string) verdict {
	var right bool
	switch kind {
	case rules.CRC32Body:
		right = hasCRC32(token, strings.LastIndexByte(token, '_')+1)
	case rules.CRC32All:
		right = hasCRC32(token, 0)
	case rules.CRC16:
		right = hasCRC16(token)
	default:
		return unchecked
	}
	if right {
		return checkedRight
	}
	return checkedWrong
}

// hasCRC32 says whether the last characters of token are the checksum of those
// from from to there.
func hasCRC32(token string, from int) bool {
	n := len(token) - checkChars
	if n <= from {
		return false
	}
	sum := crc32.ChecksumIEEE([]byte(token[from:n]))
	for i := len(token) - 1; i >= n; i-- {
		if token[i] != base62[sum%62] {
			return false
		}
		sum /= 62
	}
	return true
}

// hasCRC16 says whether the base 32 text ends in its own CRC-16 (XMODEM).
func hasCRC16(token string) bool {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(token)
	if err != nil || len(raw) < 3 {
		return false
	}
	n := len(raw) - 2
	sum := uint16(0)
	for _, c := range raw[:n] {
		sum ^= uint16(c) << 8
		for range 8 {
			carry := sum&0x8000 != 0
			sum <<= 1
			if carry {
				sum ^= 0x1021
			}
		}
	}
	return raw[n] == byte(sum) && raw[n+1] == byte(sum>>8)
}
