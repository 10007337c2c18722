package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

var modelTests = map[string]func(*testing.T, storage.Store){
	"random operations agree with a plain map": func(t *testing.T, s storage.Store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		m := model{rand: rand.New(rand.NewPCG(seed, 0)), entries: map[string]storage.Entry{}}
		var old []oldSnapshot
		for range 300 {
			m.apply(t, s)
			if m.rand.IntN(20) == 0 {
				old = append(old, oldSnapshot{snapshot(t, s), m.list("", "")})
			}
			m.compare(t, s)
		}
		for _, o := range old {
			if got := entries(t, o.Snapshot, "", ""); !slices.Equal(got, o.list) {
				t.Errorf("a snapshot of old has %v, want %v", got, o.list)
			}
			o.Close()
		}
	},
	"where nothing has changed below a prefix, the same keys are there": func(t *testing.T, s storage.Store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		m := model{rand: rand.New(rand.NewPCG(seed, 0)), entries: map[string]storage.Entry{}}
		prefixes := []string{"", "a", "ab", "b", "x"}
		known := map[string]string{} // prefix and what ChangedBelow said → the keys
		for range 300 {
			m.apply(t, s)
			snap := snapshot(t, s)
			for _, prefix := range prefixes {
				rev, err := snap.ChangedBelow(t.Context(), prefix)
				if err != nil || rev > snap.Revision() {
					t.Fatalf("changed below %q: %d at %d, %v", prefix, rev, snap.Revision(), err)
				}
				id := fmt.Sprintf("%q@%d", prefix, rev)
				keys := keysBelow(t, snap, prefix)
				if before, ok := known[id]; ok && before != keys {
					t.Fatalf("%s: the keys are %s, and were %s", id, keys, before)
				}
				known[id] = keys
			}
			snap.Close()
		}
	},
}

func keysBelow(t *testing.T, snap storage.Snapshot, prefix string) string {
	t.Helper()
	var keys []string
	for e, err := range snap.Range(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return fmt.Sprintf("%q", keys)
}

type oldSnapshot struct {
	storage.Snapshot
	list []string // what it has to have
}

// model is a store of the simplest kind.
type model struct {
	rand    *rand.Rand
	entries map[string]storage.Entry
	rev     storage.Revision
}

// key returns one of few keys, so that operations meet.
func (m *model) key() string {
	const letters = "\x00ab\xff"
	key := make([]byte, 1+m.rand.IntN(3))
	for i := range key {
		key[i] = letters[m.rand.IntN(len(letters))]
	}
	return string(key)
}

// conds returns some that hold and, now and then, some that may not.
func (m *model) conds() []storage.Cond {
	conds := make([]storage.Cond, m.rand.IntN(4))
	for i := range conds {
		key := m.key()
		conds[i] = storage.At(key, m.entries[key].Revision)
		if m.rand.IntN(5) == 0 {
			conds[i].Revision = storage.Revision(m.rand.Uint64N(uint64(m.rev) + 1))
		}
	}
	return conds
}

func (m *model) ops() []storage.Op {
	ops := map[string]storage.Op{}
	for range m.rand.IntN(6) {
		key := m.key()
		if ops[key] = storage.Delete(key); m.rand.IntN(3) > 0 {
			ops[key] = storage.Put(key, fmt.Append(nil, m.rand.Uint32()))
		}
	}
	return slices.Collect(maps.Values(ops))
}

// apply does the same to store and model.
func (m *model) apply(t *testing.T, s storage.Store) {
	t.Helper()
	conds, ops := m.conds(), m.ops()
	for _, c := range conds {
		if m.entries[c.Key].Revision != c.Revision {
			refused(t, s, storage.ErrConflict, conds, ops...)
			return
		}
	}
	rev, err := s.Apply(t.Context(), conds, ops)
	if err != nil || len(ops) > 0 && rev <= m.rev || len(ops) == 0 && rev != m.rev {
		t.Fatalf("%d ops gave revision %d after %d, error %v", len(ops), rev, m.rev, err)
	}
	m.rev = rev
	for _, op := range ops {
		delete(m.entries, op.Key)
		if !op.Gone {
			m.entries[op.Key] = storage.Entry{Key: op.Key, Value: op.Value, Revision: rev}
		}
	}
}

// list is what a range must yield.
func (m *model) list(prefix, after string) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		if strings.HasPrefix(key, prefix) && key > after {
			list = append(list, show(m.entries[key]))
		}
	}
	return list
}

func (m *model) compare(t *testing.T, s storage.Store) {
	t.Helper()
	snap := snapshot(t, s)
	defer snap.Close()
	if snap.Revision() != m.rev {
		t.Fatalf("snapshot at %d, want %d", snap.Revision(), m.rev)
	}
	key := m.key()
	e, err := snap.Get(t.Context(), key)
	if known, ok := m.entries[key]; ok != (err == nil) || ok && show(e) != show(known) {
		t.Fatalf("get: %s, error %v, want %s", show(e), err, show(known))
	} else if !ok && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	prefix, after := m.key()[1:], m.key()[1:]
	if got, want := entries(t, snap, prefix, after), m.list(prefix, after); !slices.Equal(got, want) {
		t.Fatalf("range %q after %q: %v, want %v", prefix, after, got, want)
	}
}
