package custody

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(configForm))
}

// A share is accepted as it was issued, and no other text is: not with a bit
// flipped, not of another set.
func FuzzAccept(f *testing.F) {
	set := setID{1, 2, 3, 4}
	f.Add(issue(newKey(), set).Reveal(), uint16(0))
	f.Add(make([]byte, shareBytes), uint16(shareBytes*8-1))
	f.Add([]byte("short"), uint16(9))
	f.Fuzz(func(t *testing.T, share []byte, bit uint16) {
		if raw, err := accept(share, set); err == nil && !bytes.Equal(issue(raw, set).Reveal(), share) {
			t.Error("another share was issued")
		} else if err != nil && !errors.Is(err, ErrShare) {
			t.Errorf("%v", err)
		}
		if len(share) < rawShareBytes {
			return
		}
		want := secret.New(share[:rawShareBytes])
		issued := issue(want, set).Reveal()
		if raw, err := accept(issued, set); err != nil || !raw.Equal(want) {
			t.Errorf("what was issued is refused: %v", err)
		}
		if _, err := accept(issued, setID{}); !errors.Is(err, ErrShare) {
			t.Errorf("a share of another set: %v", err)
		}
		issued[int(bit)/8%len(issued)] ^= 1 << (bit % 8)
		if _, err := accept(issued, set); !errors.Is(err, ErrShare) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	})
}
