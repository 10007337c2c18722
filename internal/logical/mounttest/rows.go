package mounttest

import (
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Exists says whether a write to path would be an update, on a route that tells
// that from a creation.
func (m *Mount) Exists(path string) bool {
	m.T.Helper()
	action, r, err := m.Request(logical.Write, path, "")
	if err != nil {
		m.T.Fatalf("%s: %v", path, err)
	}
	if err := m.createOrUpdate(m.T.Context(), action, r); err != nil {
		m.T.Fatalf("%s: %v", path, err)
	}
	if r.Op == logical.Write {
		m.T.Fatalf("%s: every write is an update", path)
	}
	return r.Op == logical.Update
}

// Rows returns all rows of the store in order of their keys, of which those of
// the mount begin with [Key].
func (m *Mount) Rows() []storage.Entry {
	m.T.Helper()
	var rows []storage.Entry
	err := storage.View(m.T.Context(), m.Store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(m.T.Context(), "", "") {
			if err != nil {
				return err
			}
			rows = append(rows, e)
		}
		return nil
	})
	if err != nil {
		m.T.Fatal(err)
	}
	return rows
}

// Keys returns the keys of Rows.
func (m *Mount) Keys() []string {
	m.T.Helper()
	var keys []string
	for _, e := range m.Rows() {
		keys = append(keys, e.Key)
	}
	return keys
}

// Change changes the mount's rows behind the engine's back.
func (m *Mount) Change(change func(part storage.Part) error) {
	m.T.Helper()
	_, err := storage.Update(m.T.Context(), m.Store, func(tx *storage.Tx) error { return change(tx.Below(Key)) })
	if err != nil {
		m.T.Fatal(err)
	}
}
