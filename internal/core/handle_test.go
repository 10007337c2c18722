package core_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestPoliciesTellCreateFromUpdate(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "secret/there", `{"v":1}`)
	creator := h.policy("creator", `path "secret/*" { capabilities = ["create"] }`)
	updater := h.policy("updater", `path "secret/*" { capabilities = ["update"] }`)
	for _, tt := range []struct {
		name, token, path string
		want              error
	}{
		{"create may write what is new", creator, "secret/new", nil},
		{"create may not write what is there", creator, "secret/there", logical.ErrDenied},
		{"update may write what is there", updater, "secret/there", nil},
		{"update may not write what is new", updater, "secret/other", logical.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.ask(tt.token, logical.Write, tt.path, `{"v":2}`)
			wantKind(t, err, tt.want)
		})
	}
}

// The paths that Vault documents as root-protected.
func TestProtectedPathsNeedSudo(t *testing.T) {
	h := newHouse(t)
	const all = `capabilities = ["create", "read", "update", "delete", "list", "patch"`
	without := h.policy("without", `path "*" { `+all+`] }`)
	with := h.policy("with", `path "*" { `+all+`, "sudo"] }`)
	for _, tt := range []struct {
		op   logical.Op
		path string
	}{
		{logical.List, "auth/token/accessors/"},
		{logical.Write, "auth/token/revoke-orphan"},
		{logical.Read, "sys/audit"},
		{logical.Write, "sys/audit/x"},
		{logical.Delete, "sys/audit/x"},
		{logical.Read, "sys/auth/door"},
		{logical.Write, "sys/auth/door"},
		{logical.Delete, "sys/auth/none"},
		{logical.Read, "sys/auth/door/tune"},
		{logical.Write, "sys/auth/door/tune"},
		{logical.List, "sys/leases/lookup/"},
		{logical.List, "sys/leases/lookup/lend/"},
		{logical.Write, "sys/leases/revoke-prefix/none"},
		{logical.Write, "sys/leases/revoke-force/none"},
		{logical.Write, "sys/revoke-prefix/none"},
		{logical.Write, "sys/revoke-force/none"},
		{logical.Read, "sys/plugins/catalog/secret/kv"},
		{logical.Write, "sys/remount"},
		{logical.Write, "sys/rotate"},
		{logical.Write, "sys/step-down"},
		{logical.Write, "sys/seal"},
	} {
		t.Run(tt.op.String()+" "+tt.path, func(t *testing.T) {
			_, err := h.ask(without, tt.op, tt.path, "")
			wantKind(t, err, logical.ErrDenied)
			if tt.path == "sys/seal" {
				return // it would
			}
			if _, err := h.ask(with, tt.op, tt.path, ""); errors.Is(err, logical.ErrDenied) {
				t.Errorf("with sudo: %v", err)
			}
		})
	}
}

func TestWhoMayNothingLearnsNothing(t *testing.T) {
	h := newHouse(t)
	nobody := h.policy("nobody", `path "none" { capabilities = ["read"] }`)
	for _, tt := range []struct {
		name string
		op   logical.Op
		path string
		body string
	}{
		{"of what is there", logical.Read, "secret/a", ""},
		{"of what is not there", logical.Read, "secret/none", ""},
		{"of mounts", logical.Read, "nowhere/x", ""},
		{"of verbs", logical.Patch, "secret/a", ""},
		{"of paths of an engine", logical.Read, "sys/no/such", ""},
		{"of its own input", logical.Write, "auth/token/create", `{"num_uses":"many"}`},
		{"of input that the engine refuses", logical.Write, "auth/token/roles/x/y", `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.ask(nobody, tt.op, tt.path, tt.body)
			wantKind(t, err, logical.ErrDenied)
		})
	}
}

func TestATokenOfKUsesIsUsedKTimes(t *testing.T) {
	const uses, callers = 5, 24
	h := newHouse(t)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	tok := h.policy("reader", `path "secret/*" { capabilities = ["read"] }`, `,"num_uses":5`)
	var good atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if _, err := h.ask(tok, logical.Read, "secret/a", ""); err == nil {
				good.Add(1)
			} else if !errors.Is(err, logical.ErrDenied) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good.Load() != uses {
		t.Errorf("it was used %d times, want %d", good.Load(), uses)
	}
	if n := h.accessors(); n != 1 {
		t.Errorf("%d tokens are left, want root's alone", n)
	}
}

func TestALastUseGivesNoLease(t *testing.T) {
	h := newHouse(t)
	tok := h.policy("borrower", `path "lend/*" { capabilities = ["read"] }`, `,"num_uses":2`)
	if _, err := h.ask(tok, logical.Read, "lend/creds", ""); err != nil {
		t.Fatal(err)
	}
	_, err := h.ask(tok, logical.Read, "lend/creds", "")
	if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "token had one use left") {
		t.Errorf("error %v", err)
	}
	if h.freed.Load() != 2 {
		t.Errorf("%d leases were revoked with the token, want 2", h.freed.Load())
	}
}

func TestALeaseGoesWithItsToken(t *testing.T) {
	h := newHouse(t)
	const text = `path "lend/*" { capabilities = ["read"] }
		path "auth/token/create" { capabilities = ["update"] }`
	parent := h.policy("parent", text)
	made, err := h.ask(parent, logical.Write, "auth/token/create", `{"type":"batch","ttl":"10m"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range []string{parent, made.Auth.ClientToken} {
		a, err := h.ask(tok, logical.Read, "lend/creds", "")
		if err != nil {
			t.Fatal(err)
		}
		want := time.Hour
		if tok != parent {
			want = 10 * time.Minute // a batch token's lease ends with it
		}
		if a.LeaseDuration != want {
			t.Errorf("lease of %v, want %v", a.LeaseDuration, want)
		}
	}
	h.must(logical.Write, "auth/token/revoke", `{"token":"`+parent+`"}`)
	if h.freed.Load() != 2 {
		t.Errorf("%d leases were revoked, want the token's and its batch child's", h.freed.Load())
	}
}

// What is left for a token that has been revoked meanwhile would never be found.
func TestARevokedTokenGetsNoLease(t *testing.T) {
	h := newHouse(t)
	tok := h.policy("borrower", `path "lend/*" { capabilities = ["read"] }`)
	h.onLend = func(*logical.Request) {
		h.onLend = nil
		h.must(logical.Write, "auth/token/revoke", `{"token":"`+tok+`"}`)
	}
	_, err := h.ask(tok, logical.Read, "lend/creds", "")
	wantKind(t, err, logical.ErrDenied)
	if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
		t.Errorf("leases: %v %v", ids, err)
	}
}

func TestAWrappedAnswerIsGivenOnce(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "secret/a", `{"v":"once"}`)
	call := h.call(rootText, logical.Read, "secret/a", "")
	call.WrapTTL = time.Minute
	a, err := h.Handle(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	var given atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var again []string // tokens of those who wrapped it again
	for i := range 16 {
		wg.Go(func() {
			path := "sys/wrapping/unwrap"
			if i%2 == 0 {
				path = "sys/wrapping/rewrap"
			}
			got, err := h.ask(a.Wrap.Token, logical.Write, path, "")
			switch {
			case err != nil && !strings.Contains(err.Error(), "wrapping token is not valid or does not exist"):
				t.Error(err)
			case err == nil && got.Wrap != nil:
				mu.Lock()
				again = append(again, got.Wrap.Token)
				mu.Unlock()
			case err == nil:
				if !strings.Contains(string(got.Wrapped), "once") {
					t.Errorf("unwrapped %s", got.Wrapped)
				}
				given.Add(1)
			}
		})
	}
	wg.Wait()
	for _, tok := range again {
		if _, err := h.ask(tok, logical.Write, "sys/wrapping/unwrap", ""); err == nil {
			given.Add(1)
		}
	}
	if given.Load() != 1 {
		t.Errorf("it was given %d times", given.Load())
	}
	if n := h.accessors(); n != 1 {
		t.Errorf("%d tokens are left, want root's alone", n)
	}
}

func TestHelpListsWhatCanBeDone(t *testing.T) {
	h := newHouse(t)
	text, err := h.Help(t.Context(), h.call(rootText, logical.Read, "sys/mounts/x", ""))
	if err != nil || !strings.Contains(text, "default_lease_ttl") {
		t.Errorf("help: %v %q", err, text)
	}
	for path, want := range map[string]error{"nowhere/x": logical.ErrUnsupportedPath, "sys/no/such": logical.ErrUnsupportedPath} {
		_, err := h.Help(t.Context(), h.call(rootText, logical.Read, path, ""))
		wantKind(t, err, want)
	}
	_, err = h.Help(t.Context(), h.call("", logical.Read, "auth/door/login", ""))
	wantKind(t, err, logical.ErrDenied)
}

func TestALoginMakesOneEntity(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	var entities []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a, err := h.ask("", logical.Write, "auth/door/login", "")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			entities = append(entities, a.Auth.EntityID)
		})
	}
	wg.Wait()
	slices.Sort(entities)
	if distinct := slices.Compact(entities); len(distinct) != 1 || distinct[0] == "" {
		t.Errorf("entities: %q", distinct)
	}
}

func TestUnknownNamespacesAreRefused(t *testing.T) {
	h := newHouse(t)
	for ns, want := range map[string]error{"": nil, "root": nil, "root/": nil, "team": logical.ErrNotFound, "root/team": logical.ErrNotFound} {
		call := h.call(rootText, logical.Read, "sys/mounts", "")
		call.Namespace = ns
		_, err := h.Handle(t.Context(), call)
		wantKind(t, err, want)
	}
}
