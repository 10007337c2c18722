package barrier_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// rootKey returns a root key that is told apart from others by b.
func rootKey(b byte) secret.Bytes {
	return secret.New(bytes.Repeat([]byte{b}, barrier.RootKeyBytes))
}

// unsealed returns a barrier that is open, and the store below it.
func unsealed(t testing.TB) (*barrier.Barrier, storage.Store) {
	t.Helper()
	inner := inmem.New()
	b := barrier.New(inner)
	if err := b.Initialize(t.Context(), rootKey(1), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, inner
}

func put(t testing.TB, s storage.Store, key, value string) storage.Revision {
	t.Helper()
	rev, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(value))})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func get(t testing.TB, s storage.Store, key string) (storage.Entry, error) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		return storage.Entry{}, err
	}
	defer snap.Close()
	return snap.Get(t.Context(), key)
}

// list returns keys and values below prefix, in the order of the range.
func list(t testing.TB, s storage.Store, prefix, after string) []storage.Entry {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var entries []storage.Entry
	for e, err := range snap.Range(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

func TestWhatIsPutIsRead(t *testing.T) {
	b, _ := unsealed(t)
	keys := []string{
		storage.Plain("table"),
		storage.Plain("table") + storage.Plain("id"),
		storage.Name(""),
		storage.Name("n\x00\x01\xff"),
		storage.Plain("m") + storage.Path("a/b/c"),
		storage.Plain("m") + storage.Path("a/b/"),
		storage.Plain("due") + storage.Order(^uint64(0)) + storage.Name("x"),
		storage.Order(255),
	}
	for _, key := range keys {
		rev := put(t, b, key, "value of "+key)
		e, err := get(t, b, key)
		if err != nil || e.Key != key || string(e.Value) != "value of "+key || e.Revision != rev {
			t.Errorf("get %q = %+v, %v", key, e, err)
		}
	}
	found := list(t, b, "", "")
	if len(found) != len(keys) {
		t.Errorf("a range over everything finds %d entries, want %d", len(found), len(keys))
	}
	for _, e := range found {
		if string(e.Value) != "value of "+e.Key {
			t.Errorf("a range gives %q for %q", e.Value, e.Key)
		}
	}
}

func TestASealedBarrierDoesNothing(t *testing.T) {
	b, _ := unsealed(t)
	put(t, b, storage.Name("k"), "v")
	snap, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	b.Seal()

	calls := map[string]func() error{
		"Snapshot":      func() error { _, err := b.Snapshot(t.Context()); return err },
		"Apply":         func() error { _, err := b.Apply(t.Context(), nil, nil); return err },
		"Get of before": func() error { _, err := snap.Get(t.Context(), storage.Name("k")); return err },
		"Range of before": func() error {
			for _, err := range snap.Range(t.Context(), "", "") {
				return err
			}
			return nil
		},
		"Watch": func() error {
			for _, err := range b.Watch(t.Context(), "", 0) {
				return err
			}
			return nil
		},
		"Rotate":  func() error { return b.Rotate(t.Context()) },
		"MAC":     func() error { _, err := b.MAC(barrier.PurposeToken, nil); return err },
		"Encrypt": func() error { _, err := b.Encrypt(barrier.PurposeBatch, nil, nil); return err },
		"Decrypt": func() error { _, err := b.Decrypt(barrier.PurposeBatch, nil, nil); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, logical.ErrSealed) {
			t.Errorf("%s returns %v, want %v", name, err, logical.ErrSealed)
		}
	}
	if b.ClusterID() != "" || b.Generation() != 0 || b.Terms() != nil {
		t.Error("a sealed barrier tells what is in the keyring")
	}
	if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	if e, err := get(t, b, storage.Name("k")); err != nil || string(e.Value) != "v" {
		t.Errorf("after unsealing: %q, %v", e.Value, err)
	}
}
