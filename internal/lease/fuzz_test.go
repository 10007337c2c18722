package lease

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(form))
}

// Leases are found by the beginnings of their ids, at the end of an element, and
// come back with the ids that they were given.
func FuzzBelow(f *testing.F) {
	f.Add("database/creds/app", "database/creds/app2", "database/creds/app")
	f.Add("a/b", "a", "a/")
	f.Add("", "\x00/\xff", "/")
	f.Fuzz(func(t *testing.T, first, second, prefix string) {
		store := inmem.New()
		s := NewStore(store, nil)
		var want []string
		for _, path := range []string{first, second} {
			l := New("root", path, &logical.Lease{}, time.Hour, time.Hour, time.Unix(0, 0))
			_, err := storage.Update(t.Context(), store, func(tx *storage.Tx) error { return s.Put(tx, l, nil) })
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Lookup(t.Context(), "root", l.ID); err != nil || got.ID != l.ID || got.Ref != l.Ref {
				t.Errorf("%q: %+v, %v", l.ID, got, err)
			}
			if folder := strings.TrimSuffix(prefix, "/") + "/"; prefix == "" || strings.HasPrefix(l.ID, folder) {
				want = append(want, l.ID)
			}
		}
		got, err := s.Below(t.Context(), "root", prefix)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("below %q of %q and %q: %q, %v", prefix, first, second, got, err)
		}
	})
}
