package mount_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

const ns = "root"

func update(t testing.TB, s storage.Store, fn func(tx *storage.Tx) error) error {
	t.Helper()
	_, err := storage.Update(t.Context(), s, fn)
	return err
}

func add(t testing.TB, s storage.Store, id, path string) error {
	return update(t, s, func(tx *storage.Tx) error {
		return mount.Add(t.Context(), tx, &mount.Entry{ID: id, Namespace: ns, Path: path, Type: "kv", Accessor: "kv_" + id})
	})
}

func all(t testing.TB, s storage.Store) (entries []*mount.Entry) {
	t.Helper()
	err := storage.View(t.Context(), s, func(tx *storage.Tx) (err error) {
		entries, _, err = mount.All(t.Context(), tx, ns)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestPathsAreFreeOnlyBesideEachOther(t *testing.T) {
	s := inmem.New()
	if err := add(t, s, "1", "team/kv/"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		ok         bool
	}{
		{"the same", "team/kv/", false},
		{"above", "team/", false},
		{"below", "team/kv/x/", false},
		{"beside", "team/kv2/", true},
		{"a beginning of the same", "team/k/", true},
		{"elsewhere", "other/", true},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := add(t, s, fmt.Sprint("x", i), test.path)
			if (err == nil) != test.ok {
				t.Fatalf("%v", err)
			}
			if err != nil && (!errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "path is already in use at")) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestALeavingMountKeepsItsPathUntilItHasGone(t *testing.T) {
	s := inmem.New()
	if err := add(t, s, "1", "kv/"); err != nil {
		t.Fatal(err)
	}
	leave := func(e *mount.Entry, _ []*mount.Entry) error { e.Leaving = true; return nil }
	if err := update(t, s, func(tx *storage.Tx) error { return mount.Change(t.Context(), tx, ns, "1", leave) }); err != nil {
		t.Fatal(err)
	}
	if err := add(t, s, "2", "kv/"); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := update(t, s, func(tx *storage.Tx) error { return mount.Remove(t.Context(), tx, ns, "1") }); err != nil {
		t.Fatal(err)
	}
	if err := add(t, s, "2", "kv/"); err != nil {
		t.Errorf("%v", err)
	}
}

func TestChangesAreStoredOrRefused(t *testing.T) {
	s := inmem.New()
	for id, path := range map[string]string{"1": "a/", "2": "b/"} {
		if err := add(t, s, id, path); err != nil {
			t.Fatal(err)
		}
	}
	change := func(id string, fn func(e *mount.Entry, others []*mount.Entry) error) error {
		return update(t, s, func(tx *storage.Tx) error { return mount.Change(t.Context(), tx, ns, id, fn) })
	}
	err := change("1", func(e *mount.Entry, others []*mount.Entry) error {
		if len(others) != 1 || others[0].ID != "2" {
			t.Errorf("others: %v", others)
		}
		e.Path, e.Config.MaxLeaseTTL = "c/", time.Hour
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &mount.Entry{ID: "1", Namespace: ns, Path: "c/", Type: "kv", Accessor: "kv_1", Config: mount.Config{MaxLeaseTTL: time.Hour}}
	if diff := cmp.Diff(want, all(t, s)[0]); diff != "" {
		t.Error(diff)
	}
	stop := errors.New("stop")
	if err := change("1", func(e *mount.Entry, _ []*mount.Entry) error { e.Path = "d/"; return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if err := change("9", nil); !errors.Is(err, logical.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if all(t, s)[0].Path != "c/" {
		t.Error("a refused change is stored")
	}
}

func TestOfMountsAtOnceOnOnePathOneWins(t *testing.T) {
	s := inmem.New()
	var (
		group sync.WaitGroup
		errs  [12]error
	)
	for i := range errs {
		// Above, below and the same: no two can be.
		group.Go(func() { errs[i] = add(t, s, fmt.Sprint(i), []string{"a/", "a/b/", "a/b/c/"}[i%3]) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, logical.ErrInvalid) {
			t.Error(err)
		}
	}
	if won != 1 || len(all(t, s)) != 1 {
		t.Errorf("%d have won, %d are there", won, len(all(t, s)))
	}
}

func TestAMountHasTheLimitsOfTheSystemUnlessItSetsItsOwn(t *testing.T) {
	system := mount.Limits{DefaultLeaseTTL: 10 * time.Hour, MaxLeaseTTL: 20 * time.Hour}
	tests := []struct {
		name                 string
		ttl, max             time.Duration
		wantTTL, wantMaximum time.Duration
	}{
		{"nothing set", 0, 0, 10 * time.Hour, 20 * time.Hour},
		{"a default", time.Hour, 0, time.Hour, 20 * time.Hour},
		{"a limit above the system's", 0, 30 * time.Hour, 10 * time.Hour, 30 * time.Hour},
		{"a limit below the system's default", 0, time.Hour, time.Hour, time.Hour},
		{"a default above the limit", 5 * time.Hour, time.Hour, time.Hour, time.Hour},
		{"a default above the system's limit", 25 * time.Hour, 0, 20 * time.Hour, 20 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := &mount.Entry{Path: "auth/x/", Config: mount.Config{DefaultLeaseTTL: test.ttl, MaxLeaseTTL: test.max}}
			p := e.Point(system)
			if p.DefaultLeaseTTL != test.wantTTL || p.MaxLeaseTTL != test.wantMaximum || !e.Auth() {
				t.Errorf("%s, %s", p.DefaultLeaseTTL, p.MaxLeaseTTL)
			}
		})
	}
}

func TestWhenUsersAreLockedOutIsTheMountsOwn(t *testing.T) {
	want := logical.UserLockout{Threshold: 3, Disabled: true}
	e := &mount.Entry{Config: mount.Config{UserLockout: want}}
	if got := e.Point(mount.Limits{}).UserLockout; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPathsFindTheirMount(t *testing.T) {
	mounted := func(id, path string, leaving bool) *mount.Mounted {
		return &mount.Mounted{Entry: &mount.Entry{ID: id, Path: path, Accessor: "acc_" + id, Leaving: leaving}}
	}
	table := mount.NewTable([]*mount.Mounted{
		mounted("2", "team/kv/", false), mounted("1", "secret/", false), mounted("3", "old/", true), mounted("4", "auth/approle/", false),
	})
	tests := []struct{ name, path, want string }{
		{"below", "secret/data/a", "1 data/a"},
		{"the mount itself", "secret/", "1 "},
		{"the mount without its slash", "secret", "1 "},
		{"below a longer path", "team/kv/a/", "2 a/"},
		{"a longer path without its slash", "team/kv", "2 "},
		{"half of a longer path", "team/", "none"},
		{"a name that begins alike", "secrets/a", "none"},
		{"one that is leaving", "old/a", "none"},
		{"an auth method", "auth/approle/login", "4 login"},
		{"nothing", "", "none"},
		{"a slash", "/", "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := "none"
			if m, rest := table.Find(test.path); m != nil {
				got = m.ID + " " + rest
			}
			if got != test.want {
				t.Errorf("%q: %q, want %q", test.path, got, test.want)
			}
		})
	}
	if table.ByID("3") == nil || table.ByID("9") != nil {
		t.Error("a mount that is leaving is not found by its id")
	}
	if m := table.ByAccessor("acc_2"); m == nil || m.ID != "2" || table.ByAccessor("acc_3") != nil {
		t.Error("by accessor")
	}
	if table.At("secret") != table.At("secret/") || table.At("secret") == nil || table.At("secret/x") != nil || table.At("") != nil {
		t.Error("at a path")
	}
	var paths []string
	for _, m := range table.All() {
		paths = append(paths, m.Path)
	}
	if got := strings.Join(paths, " "); got != "auth/approle/ secret/ team/kv/" {
		t.Error(got)
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	const v1 = `{"v":1,"path":"kv/","type":"kv","desc":"D","acc":"A","opt":{"version":"2"},"cfg":{"ttl":3600000000000,"vis":"unauth"},"of later versions":1}`
	s := inmem.New()
	write := func(record string) {
		key := mount.TableKey(ns) + storage.Plain("ID")
		if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(record))}); err != nil {
			t.Fatal(err)
		}
	}
	write(v1)
	want := &mount.Entry{
		ID: "ID", Namespace: ns, Path: "kv/", Type: "kv", Description: "D", Accessor: "A",
		Options: map[string]string{"version": "2"}, Config: mount.Config{DefaultLeaseTTL: time.Hour, ListingVisibility: "unauth"},
	}
	if diff := cmp.Diff([]*mount.Entry{want}, all(t, s)); diff != "" {
		t.Error(diff)
	}
	for _, record := range []string{strings.Replace(v1, `"v":1`, `"v":2`, 1), `{`} {
		write(record)
		err := storage.View(t.Context(), s, func(tx *storage.Tx) error { _, _, err := mount.All(t.Context(), tx, ns); return err })
		if err == nil {
			t.Errorf("%.10s…: no error", record)
		}
	}
}
