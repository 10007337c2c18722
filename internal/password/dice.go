package password

import (
	"crypto/rand"
	"encoding/binary"
)

// dice draws numbers from the system's randomness, which it reads ahead. Its zero
// value is ready; forget ends its use.
type dice struct {
	buf  [512]byte
	left []byte // of buf, not used yet
}

// below returns a number from 0 to n-1, each as likely; n is 1 to 65536. A value
// from the incomplete last run of n of 16 bits is thrown away: its remainder would
// favour small numbers.
func (d *dice) below(n int) int {
	const values = 1 << 16
	limit := values - values%n
	for {
		if v := int(d.next()); v < limit {
			return v % n
		}
	}
}

func (d *dice) next() uint16 {
	if len(d.left) == 0 {
		rand.Read(d.buf[:]) // never fails
		d.left = d.buf[:]
	}
	v := binary.LittleEndian.Uint16(d.left)
	d.left = d.left[2:]
	return v
}

// draw fills into with characters of chars.
func (d *dice) draw(into, chars []rune) {
	for i := range into {
		into[i] = chars[d.below(len(chars))]
	}
}

func (d *dice) forget() { *d = dice{} }
