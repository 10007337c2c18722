package mount

import (
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(form))
}

// Of mounts that may stand side by side, a path finds the one whose path it
// begins with, and what it names below.
func FuzzFind(f *testing.F) {
	f.Add("secret/ auth/token/ a/b/", "secret/data/x")
	f.Add("secret/ secret2/", "secret2")
	f.Add("a/b/ a/c/", "a/")
	f.Add("/ a/", "//a")
	f.Fuzz(func(t *testing.T, paths, path string) {
		var entries []*Entry
		var mounts []*Mounted
		for p := range strings.FieldsSeq(paths) {
			p = strings.TrimSuffix(p, "/") + "/"
			if Free(p, entries) == nil {
				entries = append(entries, &Entry{ID: p, Path: p})
				mounts = append(mounts, &Mounted{Entry: entries[len(entries)-1]})
			}
		}
		got, rest := NewTable(mounts).Find(path)
		i := slices.IndexFunc(mounts, func(m *Mounted) bool { return strings.HasPrefix(path+"/", m.Path) })
		switch {
		case (got == nil) != (i < 0) || i >= 0 && got != mounts[i]:
			t.Errorf("%q of %q: %v", path, paths, got)
		case got != nil && got.Path+rest != path && got.Path != path+"/":
			t.Errorf("%q of %q: %q and %q", path, paths, got.Path, rest)
		}
	})
}
