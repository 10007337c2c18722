package barrier

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

var fuzzKey = storage.Plain("t") + storage.Path("a/b") + storage.Order(1)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(usageForm), storetest.Records(rotationForm))
}

// The parts of what splitRecord accepts make up what it was given.
func FuzzSplitRecord(f *testing.F) {
	f.Add(appendRecord(nil, fuzzKey, []byte("value")))
	f.Add([]byte{})
	f.Add([]byte{5, 'n'})
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, record []byte) {
		names, value, err := splitRecord(record)
		if err != nil {
			if !errors.Is(err, ErrDecrypt) {
				t.Error(err)
			}
			return
		}
		if !bytes.HasSuffix(record, append(bytes.Clone(names), value...)) || value == nil {
			t.Errorf("%q and %q are not of %q", names, value, record)
		}
	})
}

// What reveal accepts is a key that hides as a hidden key of the same form.
func FuzzReveal(f *testing.F) {
	k := fuzzKeys(f)
	hidden, err := k.hide(fuzzKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hidden, storage.Path("a/b"))
	f.Add(dataPrefix, "")
	f.Add(dataPrefix+"n", "")
	f.Add("", "n")
	f.Fuzz(func(t *testing.T, hidden, names string) {
		key, err := reveal(hidden, names)
		if err != nil {
			return
		}
		again, err := k.hide(key)
		if err != nil || len(again) != len(hidden) {
			t.Errorf("%q reveals %q, which hides as %q, %v", hidden, key, again, err)
		}
	})
}

// Every key of whole segments survives hiding, sealing, opening and revealing.
func FuzzHideAndReveal(f *testing.F) {
	k := fuzzKeys(f)
	f.Add("table", "name", uint64(1), []byte("value"))
	f.Add("", "\x00\xff", uint64(0xff), []byte{})
	f.Fuzz(func(t *testing.T, plain, name string, order uint64, value []byte) {
		key := storage.Plain(plain) + storage.Path(name) + storage.Order(order) + storage.Name(plain)
		hidden, err := k.hide(key)
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, err := k.sealEntry(hidden, key, value)
		if err != nil {
			t.Fatal(err)
		}
		names, got, err := k.openEntry(hidden, ciphertext)
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("%q, %v, want %q", got, err, value)
		}
		if back, err := reveal(hidden, string(names)); err != nil || back != key {
			t.Errorf("%q, %v, want %q", back, err, key)
		}
	})
}

// No record makes openKeyring panic, and all that it refuses is one of three.
func FuzzOpenKeyring(f *testing.F) {
	root, err := newAEAD(secret.New(make([]byte, RootKeyBytes)))
	if err != nil {
		f.Fatal(err)
	}
	ring, err := newKeyring(time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	record, err := ring.seal(root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:keyringHeader])
	f.Add([]byte(keyringMagic))
	f.Fuzz(func(t *testing.T, record []byte) {
		_, err := openKeyring(record, root)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrWrongKey) {
			t.Error(err)
		}
	})
}

// What decodeKeyring accepts encodes as the same, and makes keys or is refused.
func FuzzDecodeKeyring(f *testing.F) {
	ring, err := newKeyring(time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	plaintext, err := ring.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plaintext)
	f.Add([]byte("{}"))
	f.Add(bytes.Replace(plaintext, []byte(`"data":"`), []byte(`"data":"AAAA`), 1))
	root, err := newAEAD(secret.New(make([]byte, RootKeyBytes)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		ring, err := decodeKeyring(plaintext)
		if err != nil {
			return
		}
		again, err := ring.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeKeyring(again); err != nil || back.cluster != ring.cluster {
			t.Errorf("encoded and decoded: %v", err)
		}
		if _, err := newKeys(ring, root); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		ring.has(plaintext)
	})
}

func fuzzKeys(tb testing.TB) *keys {
	tb.Helper()
	ring, err := newKeyring(time.Unix(0, 0))
	if err != nil {
		tb.Fatal(err)
	}
	root, err := newAEAD(newSecret())
	if err != nil {
		tb.Fatal(err)
	}
	k, err := newKeys(ring, root)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}
