package mount

import (
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Mounted is an entry with its engine.
type Mounted struct {
	*Entry
	Revision storage.Revision // of the entry's row
	Point    logical.MountPoint
	Engine   *logical.Engine
	Data     string // where the engine's rows begin
}

// Table is all mounts of a namespace at one moment. It is immutable.
type Table struct {
	byPath map[string]*Mounted
	byID   map[string]*Mounted
	sorted []*Mounted // by path
}

// NewTable returns a table of the mounts that answer, and keeps the ones that
// are leaving reachable by id only.
func NewTable(mounts []*Mounted) *Table {
	t := &Table{byPath: make(map[string]*Mounted), byID: make(map[string]*Mounted)}
	for _, m := range mounts {
		t.byID[m.ID] = m
		if m.Leaving {
			continue
		}
		t.byPath[m.Path] = m
		t.sorted = append(t.sorted, m)
	}
	slices.SortFunc(t.sorted, func(a, b *Mounted) int { return strings.Compare(a.Path, b.Path) })
	return t
}

// Find returns the mount that path is below, and the rest of path. Mounts are
// never below each other, so there is at most one. "secret" finds the mount
// "secret/" with an empty rest.
func (t *Table) Find(path string) (m *Mounted, rest string) {
	for i := 0; i < len(path); i++ {
		if path[i] == '/' {
			if m := t.byPath[path[:i+1]]; m != nil {
				return m, path[i+1:]
			}
		}
	}
	return t.byPath[path+"/"], ""
}

// At returns the mount at exactly that path, with or without its trailing
// slash, or nil.
func (t *Table) At(path string) *Mounted { return t.byPath[strings.TrimSuffix(path, "/")+"/"] }

// Leaving returns the mount at exactly that path that no longer answers, or nil.
func (t *Table) Leaving(path string) *Mounted {
	path = strings.TrimSuffix(path, "/") + "/"
	for _, m := range t.byID {
		if m.Leaving && m.Path == path {
			return m
		}
	}
	return nil
}

// ByID returns the mount with that id, one that is leaving too, or nil.
func (t *Table) ByID(id string) *Mounted { return t.byID[id] }

// ByAccessor returns the mount with that accessor, or nil.
func (t *Table) ByAccessor(accessor string) *Mounted {
	for _, m := range t.sorted {
		if m.Accessor == accessor {
			return m
		}
	}
	return nil
}

// All returns the mounts that answer, by path. The caller must not change it.
func (t *Table) All() []*Mounted { return t.sorted }
