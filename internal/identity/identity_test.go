package identity_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/uuid"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/identity"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

const ns = "root"

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func login(t testing.TB, s storage.Store, mount, name string, meta map[string]string) string {
	t.Helper()
	var id string
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) (err error) {
		id, err = identity.Login(t.Context(), tx, ns, mount, name, meta, noon)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func entity(t testing.TB, s storage.Store, id string) (e *identity.Entity, err error) {
	t.Helper()
	err = storage.View(t.Context(), s, func(tx *storage.Tx) error {
		e, err = identity.Get(t.Context(), tx, ns, id)
		return err
	})
	return e, err
}

func TestALoginHasOneEntity(t *testing.T) {
	s := inmem.New()
	first := login(t, s, "auth_a", "bob", map[string]string{"k": "v"})
	tests := []struct {
		name, mount, alias string
		same               bool
	}{
		{"the same alias", "auth_a", "bob", true},
		{"another name", "auth_a", "eve", false},
		{"the same name elsewhere", "auth_b", "bob", false},
		{"a name in other case", "auth_a", "Bob", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if id := login(t, s, test.mount, test.alias, nil); (id == first) != test.same {
				t.Errorf("%s, the first is %s", id, first)
			}
		})
	}
}

func TestAnEntityReadsAsItWasMade(t *testing.T) {
	s := inmem.New()
	id := login(t, s, "auth_a", "bob", map[string]string{"k": "v"})
	e, err := entity(t, s, id)
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Entity{
		ID: id, Name: "entity_" + id[:8], Created: noon,
		Aliases: []identity.Alias{{ID: e.Aliases[0].ID, Name: "bob", MountAccessor: "auth_a", Metadata: map[string]string{"k": "v"}}},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if _, err := entity(t, s, "nobody"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestMetadataFollowsTheLogin(t *testing.T) {
	s := inmem.New()
	id := login(t, s, "auth_a", "bob", map[string]string{"k": "old"})
	login(t, s, "auth_a", "bob", map[string]string{"k": "new"})
	e, err := entity(t, s, id)
	if err != nil || e.Aliases[0].Metadata["k"] != "new" {
		t.Errorf("%+v, %v", e, err)
	}
	before := revision(t, s)
	login(t, s, "auth_a", "bob", map[string]string{"k": "new"})
	if after := revision(t, s); after != before {
		t.Error("a login that changes nothing has written")
	}
}

func revision(t testing.TB, s storage.Store) storage.Revision {
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	return snap.Revision()
}

func TestFirstLoginsAtOnceMakeOneEntity(t *testing.T) {
	s := inmem.New()
	var (
		all sync.WaitGroup
		ids [16]string
	)
	for i := range ids {
		all.Go(func() { ids[i] = login(t, s, "auth_a", "bob", map[string]string{"n": fmt.Sprint(i % 2)}) })
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("%q", ids)
		}
	}
	n := 0
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		for _, err := range tx.Scan(t.Context(), storage.Plain("entity"), "") {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d entities, %v", n, err)
	}
}

func TestAnAliasOfNobodyGetsANewEntity(t *testing.T) {
	s := inmem.New()
	lost := login(t, s, "auth_a", "bob", nil)
	key := storage.Plain("entity") + storage.Plain(ns) + storage.Plain(lost)
	if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Delete(key)}); err != nil {
		t.Fatal(err)
	}
	found := login(t, s, "auth_a", "bob", nil)
	if found == lost || found != login(t, s, "auth_a", "bob", nil) {
		t.Errorf("%s after %s", found, lost)
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	const v1 = `{"v":1,"name":"N","at":"2026-05-01T12:00:00Z","aliases":[{"id":"A","name":"bob","mount":"auth_a"}],"of later versions":1}`
	s := inmem.New()
	write := func(record string) {
		key := storage.Plain("entity") + storage.Plain(ns) + storage.Plain("ID")
		if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(record))}); err != nil {
			t.Fatal(err)
		}
	}
	write(v1)
	e, err := entity(t, s, "ID")
	if err != nil || e.Name != "N" || len(e.Aliases) != 1 || e.Aliases[0].Name != "bob" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, record := range []string{strings.Replace(v1, `"v":1`, `"v":2`, 1), `{`} {
		write(record)
		if _, err := entity(t, s, "ID"); err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%.10s…: %v", record, err)
		}
	}
}

func TestUUIDsAreOfVersion4(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := uuid.New()
		if !form.MatchString(id) || seen[id] {
			t.Fatal(id)
		}
		seen[id] = true
	}
}
