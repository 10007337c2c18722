package storage_test

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// A path comes back out of its key, and lies below exactly the folders that it
// lies in.
func FuzzPath(f *testing.F) {
	f.Add("a/b", "a/")
	f.Add("a/b", "a")
	f.Add("a\x00/\x00\xff", "a\x00/")
	f.Add("//", "/")
	f.Fuzz(func(t *testing.T, p, folder string) {
		var back strings.Builder
		for rest := storage.Path(p); rest != ""; {
			seg, more, err := storage.Cut(rest)
			if err != nil || !seg.Hidden() || strings.Count(strings.TrimSuffix(seg.Text(), "/"), "/") > 0 {
				t.Fatalf("%q: %q, %v", p, seg.Raw, err)
			}
			back.WriteString(seg.Text())
			rest = more
		}
		if back.String() != p {
			t.Errorf("%q came back as %q", p, back.String())
		}
		inside := p == folder || folder == "" || strings.HasSuffix(folder, "/") && strings.HasPrefix(p, folder)
		if strings.HasPrefix(storage.Path(p), storage.Path(folder)) != inside {
			t.Errorf("is %q in %q?", p, folder)
		}
	})
}

// Keys sort as what they are made of does.
func FuzzKeysSortAsTheirTexts(f *testing.F) {
	f.Add("a", "a\x00", uint64(1), uint64(256))
	f.Add("", "\xff", uint64(0), uint64(1<<63))
	f.Fuzz(func(t *testing.T, a, b string, m, n uint64) {
		if strings.Compare(storage.Plain(a), storage.Plain(b)) != strings.Compare(a, b) {
			t.Errorf("%q and %q", a, b)
		}
		if (storage.Order(m) < storage.Order(n)) != (m < n) {
			t.Errorf("%d and %d", m, n)
		}
		if key := storage.Plain(a) + storage.Order(m) + storage.Name(b); !(key < storage.After(storage.Plain(a))) {
			t.Errorf("%q sorts behind what is after it", key)
		}
	})
}
