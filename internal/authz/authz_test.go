package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/identity"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

const ns = "root"

// founded returns a store as a new server has it.
func founded(t testing.TB) (*Store, storage.Store) {
	t.Helper()
	under := inmem.New()
	if _, err := storage.Update(t.Context(), under, func(tx *storage.Tx) error { return Init(tx, ns) }); err != nil {
		t.Fatal(err)
	}
	s := NewStore(under, ns)
	load(t, s)
	return s, under
}

func load(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, s *Store, name, text string) {
	t.Helper()
	if _, err := s.Put(t.Context(), name, text); err != nil {
		t.Fatal(err)
	}
	load(t, s)
}

// reads is a policy that allows to read one path.
func reads(path string) string {
	return fmt.Sprintf(`path %q { capabilities = ["read"] }`, path)
}

func may(t testing.TB, s *Store, path, entityID string, policies ...string) bool {
	t.Helper()
	acl, err := s.ACL(t.Context(), policies, entityID)
	if err != nil {
		t.Fatal(err)
	}
	return acl.Check(policy.Query{Op: logical.Read, Path: path}).Allowed
}

func TestANewServerHasTheDefaultPolicy(t *testing.T) {
	s, _ := founded(t)
	if got := s.Names(); !slices.Equal(got, []string{"default", "root"}) {
		t.Errorf("%q", got)
	}
	if text, ok := s.Text("DEFAULT"); !ok || text != policy.DefaultText {
		t.Error("the default policy is another")
	}
	if text, ok := s.Text("root"); !ok || text != "" {
		t.Error("the root policy has a text")
	}
	if !may(t, s, "auth/token/lookup-self", "", "default") || may(t, s, "secret/a", "", "default") || !may(t, s, "secret/a", "", "root") {
		t.Error("the wrong things are allowed")
	}
}

func TestPoliciesAreStoredReadAndDeleted(t *testing.T) {
	s, under := founded(t)
	write(t, s, "Dev", reads("a"))
	if !may(t, s, "a", "", "default", "dev") {
		t.Error("it allows nothing")
	}
	other := NewStore(under, ns)
	load(t, other)
	if text, ok := other.Text("dev"); !ok || text != reads("a") {
		t.Errorf("another reads %q", text)
	}
	if got := s.Missing([]string{"dev", "root", "response-wrapping", "nobody"}); !slices.Equal(got, []string{"nobody"}) {
		t.Errorf("missing: %q", got)
	}
	write(t, s, "dev", reads("b"))
	if may(t, s, "a", "", "default", "dev") || !may(t, s, "b", "", "default", "dev") {
		t.Error("the old one is in force")
	}
	if _, err := s.Delete(t.Context(), "DEV"); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if may(t, s, "b", "", "default", "dev") {
		t.Error("a deleted one is in force")
	}
	if _, err := s.Delete(t.Context(), "dev"); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestSomePoliciesCannotBeChanged(t *testing.T) {
	s, _ := founded(t)
	tests := []struct {
		name    string
		err     error
		refused bool
	}{
		{"write root", second(s.Put(t.Context(), "Root", reads("a"))), true},
		{"write the wrapping policy", second(s.Put(t.Context(), "response-wrapping", reads("a"))), true},
		{"write one without a name", second(s.Put(t.Context(), "", reads("a"))), true},
		{"write nonsense", second(s.Put(t.Context(), "x", `path "a" {`)), true},
		{"write the default", second(s.Put(t.Context(), "default", reads("a"))), false},
		{"delete root", second(s.Delete(t.Context(), "root")), true},
		{"delete the default", second(s.Delete(t.Context(), "Default")), true},
		{"delete the wrapping policy", second(s.Delete(t.Context(), "response-wrapping")), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if (test.err != nil) != test.refused || test.refused && !errors.Is(test.err, logical.ErrInvalid) {
				t.Errorf("%v", test.err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// One name with a comma is not two names: what is remembered for one set must
// not serve the other.
func TestSetsOfPoliciesAreNotMixedUp(t *testing.T) {
	s, _ := founded(t)
	write(t, s, "dev", reads("dev"))
	write(t, s, "admin", reads("admin"))
	if !may(t, s, "admin", "", "dev", "admin") {
		t.Fatal("two policies allow nothing")
	}
	for _, names := range [][]string{{"dev,admin"}, {"dev\x05admin"}, {"dev\x00admin"}, {"\x03dev\x05admin"}, {"", "dev,admin"}} {
		if may(t, s, "admin", "", names...) {
			t.Errorf("%q has the rights of two policies", names)
		}
	}
	lists := [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"a", "", "b"}, {"a\x01b"}, {strings.Repeat("a", 130)}, {strings.Repeat("a", 129), "a"}}
	seen := map[string][]string{}
	for _, list := range lists {
		if other, ok := seen[setKey(list)]; ok {
			t.Errorf("%q and %q have one key", other, list)
		}
		seen[setKey(list)] = list
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	s, _ := founded(t)
	for i := range maxRemembered + 100 {
		may(t, s, "a", "", fmt.Sprint("made up ", i))
	}
	n := 0
	s.set.Load().acls.Range(func(any, any) bool { n++; return true })
	if n > maxRemembered {
		t.Errorf("%d ACLs are remembered", n)
	}
}

func TestAnACLIsCompiledOnce(t *testing.T) {
	s, _ := founded(t)
	first, err := s.ACL(t.Context(), []string{"default"}, "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.ACL(t.Context(), []string{"default"}, "e")
	if err != nil || first != again {
		t.Errorf("compiled again, %v", err)
	}
}

func TestTemplatesAreFilledForEachEntity(t *testing.T) {
	s, under := founded(t)
	write(t, s, "own", reads("secret/{{identity.entity.id}}"))
	var ids [2]string
	for i := range ids {
		_, err := storage.Update(t.Context(), under, func(tx *storage.Tx) (err error) {
			ids[i], err = identity.Login(t.Context(), tx, ns, "auth_a", fmt.Sprint("user", i), nil, time.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, path, entity string
		want               bool
	}{
		{"its own", "secret/" + ids[0], ids[0], true},
		{"the other's", "secret/" + ids[1], ids[0], false},
		{"the other for itself", "secret/" + ids[1], ids[1], true},
		{"nobody", "secret/", "", false},
		{"an entity that has gone", "secret/gone", "gone", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := may(t, s, test.path, test.entity, "own"); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestAWrappingTokenMayUnwrapAndNothingElse(t *testing.T) {
	s, _ := founded(t)
	acl, err := s.ACL(t.Context(), []string{"response-wrapping"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"sys/wrapping/unwrap": "update", "cubbyhole/response": "create read", "cubbyhole/other": "deny", "sys/wrapping/wrap": "deny",
	} {
		if got := strings.Join(acl.Capabilities(path), " "); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Readers never wait for a change and see one whole set or the other.
func TestPoliciesCanChangeWhileTheyAreInUse(t *testing.T) {
	s, _ := founded(t)
	write(t, s, "p", reads("a"))
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				acl, err := s.ACL(t.Context(), []string{"p"}, "")
				if err != nil {
					t.Error(err)
					return
				}
				a := acl.Check(policy.Query{Op: logical.Read, Path: "a"}).Allowed
				b := acl.Check(policy.Query{Op: logical.Read, Path: "b"}).Allowed
				if a == b {
					t.Errorf("a: %t, b: %t", a, b)
					return
				}
			}
		})
	}
	for range 50 {
		write(t, s, "p", reads("b"))
		write(t, s, "p", reads("a"))
	}
	close(done)
	readers.Wait()
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	s, under := founded(t)
	overwrite := func(record string) {
		if _, err := under.Apply(t.Context(), nil, []storage.Op{storage.Put(Table(ns)+storage.Name("p"), []byte(record))}); err != nil {
			t.Fatal(err)
		}
	}
	overwrite(`{"v":1,"text":"path \"a\" { capabilities = [\"read\"] }","of later versions":1}`)
	load(t, s)
	if !may(t, s, "a", "", "p") {
		t.Error("it is not read")
	}
	for _, record := range []string{`{"v":2,"text":""}`, `{`, `{"v":1,"text":"path"}`} {
		overwrite(record)
		if err := s.Load(t.Context()); err == nil {
			t.Errorf("%s: no error", record)
		}
		if !may(t, s, "a", "", "p") {
			t.Error("a failed load has changed what is in force")
		}
	}
}
