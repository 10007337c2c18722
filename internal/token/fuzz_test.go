package token

import (
	"testing"

	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(form), storetest.Records(batchForm))
}

// Any text has one checksum: whoever changes a character is found out, and so is
// who cuts some off.
func FuzzWellFormed(f *testing.F) {
	f.Add(prefixService, "abcdefghijklmnopqrstuvwx", uint8(5), byte('x'))
	f.Add(prefixBatch, "AAAA", uint8(200), byte(0))
	f.Fuzz(func(t *testing.T, prefix, body string, at uint8, other byte) {
		text := checked(prefix + body)
		changed := []byte(text)
		if i := int(at) % len(text); changed[i] != other {
			changed[i] = other
			if WellFormed(string(changed)) {
				t.Errorf("%q is taken for %q", changed, text)
			}
		}
		if WellFormed(text) && checked(text[:len(text)-checkChars]) != text {
			t.Errorf("%q is well-formed", text)
		}
	})
}
