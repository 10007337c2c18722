package approle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func TestWhatALoginEarns(t *testing.T) {
	h := newHouse(t)
	h.Write("role/App", `{"token_policies": "b,A", "token_ttl": "1m", "token_max_ttl": "2m", "token_explicit_max_ttl": "3m",
		"token_num_uses": 4, "token_no_default_policy": true, "token_type": "service", "token_bound_cidrs": "10.0.0.0/8,::1", "role_id": "rid"}`)
	secret, _ := h.issue("app", `{"metadata": {"tag": "x", "role_name": "forged"}}`)
	want := &logical.Auth{
		Policies: []string{"a", "b"},
		Metadata: map[string]string{"tag": "x", "role_name": "app"},
		Alias:    logical.Alias{Name: "rid", Metadata: map[string]string{"role_name": "app"}},
		TTL:      time.Minute, MaxTTL: 2 * time.Minute, ExplicitMaxTTL: 3 * time.Minute, NumUses: 4,
		Renewable: true, Type: logical.TokenService, NoDefaultPolicy: true,
		BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	equal := cmp.Options{cmpopts.IgnoreFields(logical.Auth{}, "State"), cmpopts.EquateComparable(netip.Prefix{})}
	if diff := cmp.Diff(want, h.mustLogin("rid", secret), equal); diff != "" {
		t.Error(diff)
	}
	t.Run("with networks of the secret id's own", func(t *testing.T) {
		secret, _ := h.issue("app", `{"token_bound_cidrs": "10.1.0.0/16"}`)
		want.BoundCIDRs, want.Metadata = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, map[string]string{"role_name": "app"}
		if diff := cmp.Diff(want, h.mustLogin(" rid ", " "+secret+"\n"), equal); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("with a period", func(t *testing.T) {
		h.Write("role/app", `{"token_period": "1h"}`)
		if got := h.mustLogin("rid", secret).Period; got != time.Hour {
			t.Errorf("period %s", got)
		}
	})
}

func TestTypesOfTokens(t *testing.T) {
	for typ, want := range map[string]logical.TokenType{
		"": logical.TokenDefault, "default": logical.TokenDefault, "service": logical.TokenService, "batch": logical.TokenBatch,
		"default-service": logical.TokenService, "default-batch": logical.TokenBatch,
	} {
		h := newHouse(t)
		h.Write("role/app", `{"token_type": "`+typ+`"}`)
		secret, _ := h.issue("app", "")
		if got := h.mustLogin(h.roleID("app"), secret).Type; got != want {
			t.Errorf("%q: %q", typ, got)
		}
	}
}

func TestLoginsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"role_id": "rid"}`)
	h.Write("role/other", `{"role_id": "others"}`)
	good, accessor := h.issue("app", "")
	foreign, _ := h.issue("other", "")
	const wrong = "invalid role or secret ID"
	tests := []struct{ name, body, want string }{
		{"nothing", ``, "missing role_id"},
		{"no role id", credentials(" ", good), "missing role_id"},
		{"no secret id", credentials("rid", " "), "missing secret_id"},
		{"an unknown role id", credentials("x", good), wrong},
		{"an unknown role id and no secret id", credentials("x", ""), wrong},
		{"the role's name for its id", credentials("app", good), wrong},
		{"an unknown secret id", credentials("rid", "x"), wrong},
		{"a secret id of another role", credentials("rid", foreign), wrong},
		{"an accessor for a secret id", credentials("rid", accessor), wrong},
		{"a secret id in other case", credentials("rid", strings.ToUpper(good)), wrong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Call(logical.Write, "login", test.body)
			if !errors.Is(err, logical.ErrInvalid) || err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	h.mustLogin("rid", good)
}

func TestARoleWithoutSecretIDs(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"role_id": "rid", "bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8"}`)
	for _, secret := range []string{"", "anything"} {
		if auth := h.mustLogin("rid", secret); auth.Metadata["role_name"] != "app" {
			t.Errorf("metadata %v", auth.Metadata)
		}
	}
	h.From = netip.MustParseAddr("11.0.0.1")
	if _, err := h.login("rid", ""); err == nil || err.Error() != `source address "11.0.0.1" unauthorized by CIDR restrictions on the role` {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestWhereLoginsMayComeFrom(t *testing.T) {
	tests := []struct {
		name, role, secret, from, where string
	}{
		{"anywhere", ``, ``, "192.0.2.1", ""},
		{"inside the secret id's", ``, `{"cidr_list": "192.0.2.0/24"}`, "192.0.2.1", ""},
		{"in one of several", ``, `{"cidr_list": "10.0.0.0/8, 192.0.2.1"}`, "192.0.2.1", ""},
		{"outside the secret id's", ``, `{"cidr_list": "192.0.2.0/24"}`, "192.0.3.1", "secret ID"},
		{"inside the role's", `{"secret_id_bound_cidrs": "192.0.2.0/24"}`, ``, "192.0.2.1", ""},
		{"outside the role's", `{"secret_id_bound_cidrs": "192.0.2.0/24"}`, ``, "192.0.3.1", "role"},
		{"inside the role's, outside the secret id's", `{"secret_id_bound_cidrs": "192.0.2.0/24"}`, `{"cidr_list": "192.0.2.7"}`, "192.0.2.8", "secret ID"},
		{"IPv4 in IPv6", ``, `{"cidr_list": "192.0.2.0/24"}`, "::ffff:192.0.2.1", ""},
		{"a network of IPv4 in IPv6", ``, `{"cidr_list": "::ffff:192.0.2.0/120"}`, "192.0.2.1", ""},
		{"a zone", ``, `{"cidr_list": "fe80::/10"}`, "fe80::1%eth0", ""},
		{"IPv6 outside", ``, `{"cidr_list": "2001:db8::/32"}`, "2001:db9::1", "secret ID"},
		{"no address at all", ``, `{"cidr_list": "0.0.0.0/0,::/0"}`, "", "secret ID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("role/app", test.role)
			secret, _ := h.issue("app", test.secret)
			h.From = netip.Addr{}
			if test.from != "" {
				h.From = netip.MustParseAddr(test.from)
			}
			_, err := h.login(h.roleID("app"), secret)
			if test.where == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := fmt.Sprintf("source address %q unauthorized by CIDR restrictions on the %s", h.From, test.where)
			if !errors.Is(err, logical.ErrInvalid) || err.Error() != want {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestARoleThatBecameNarrowerHolds(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	secret, _ := h.issue("app", `{"token_bound_cidrs": "10.0.0.0/8"}`)
	h.mustLogin(h.roleID("app"), secret)
	h.Write("role/app", `{"token_bound_cidrs": "10.1.0.0/16"}`)
	if _, err := h.login(h.roleID("app"), secret); err == nil || !strings.Contains(err.Error(), "should be a subset") {
		t.Errorf("got %v", err)
	}
}

func TestSecretIDsExpire(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	secret, _ := h.issue("app", `{"ttl": 60}`)
	h.Now = mounttest.Start.Add(time.Minute - 1)
	h.mustLogin(roleID, secret)
	h.Now = mounttest.Start.Add(time.Minute)
	if _, err := h.login(roleID, secret); !errors.Is(err, errCredentials) {
		t.Errorf("got %v", err)
	}
}

func TestUsesAreCounted(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"secret_id_num_uses": 2}`)
	roleID := h.roleID("app")
	before := len(h.Keys())
	secret, _ := h.issue("app", `{"cidr_list": "10.0.0.0/8"}`)
	h.mustLogin(roleID, secret)
	h.From = netip.MustParseAddr("11.0.0.1")
	if _, err := h.login(roleID, secret); err == nil {
		t.Error("from elsewhere: no error")
	}
	h.From = netip.MustParseAddr("10.0.0.1") // the refused login has used nothing up
	h.mustLogin(roleID, secret)
	if _, err := h.login(roleID, secret); !errors.Is(err, errCredentials) {
		t.Errorf("one use too many: %v", err)
	}
	if got := h.Keys(); len(got) != before {
		t.Errorf("rows %q", got)
	}
}

// countingStore counts the commits that happen and those that conflict.
type countingStore struct {
	storage.Store
	commits, conflicts atomic.Int64
}

func (c *countingStore) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	rev, err := c.Store.Apply(ctx, conds, ops)
	switch {
	case err == nil:
		c.commits.Add(1)
	case errors.Is(err, storage.ErrConflict):
		c.conflicts.Add(1)
	}
	return rev, err
}

// loginAtOnce makes n logins that each write a token, and returns how many
// succeed.
func (h *house) loginAtOnce(n int, body func(i int) string) int64 {
	var good atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			_, err := h.CallAnd(context.Background(), logical.Write, "login", body(i), func(tx *storage.Tx) {
				tx.Put(storage.Plain("token")+storage.Order(uint64(i)), []byte("x"))
			})
			switch {
			case err == nil:
				good.Add(1)
			case !errors.Is(err, errCredentials):
				h.T.Errorf("login: %v", err)
			}
		})
	}
	close(gate)
	wg.Wait()
	return good.Load()
}

func TestEachUseIsUsedOnce(t *testing.T) {
	const uses = 20
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	secret, _ := h.issue("app", fmt.Sprintf(`{"num_uses": %d}`, uses))
	if got := h.loginAtOnce(2*uses, func(int) string { return credentials(roleID, secret) }); got != uses {
		t.Errorf("%d logins succeeded, want %d", got, uses)
	}
	tokens := 0
	for _, key := range h.Keys() {
		if strings.HasPrefix(key, storage.Plain("token")) {
			tokens++
		}
	}
	if tokens != uses {
		t.Errorf("%d tokens, want %d", tokens, uses)
	}
}

func TestLoginsOfOneRoleDoNotConflict(t *testing.T) {
	const logins = 64
	h := newHouse(t)
	c := &countingStore{Store: inmem.New()}
	h.Store = c
	h.Write("role/app", "")
	roleID := h.roleID("app")
	shared, _ := h.issue("app", "")
	var own [logins]string
	for i := range own {
		own[i], _ = h.issue("app", `{"num_uses": 1}`)
		h.issue("app", `{"ttl": 60}`) // which the logins sweep away
	}
	h.Now = h.Now.Add(time.Hour)
	c.commits.Store(0)
	for name, body := range map[string]func(i int) string{
		"with the same secret id": func(int) string { return credentials(roleID, shared) },
		"with one secret id each": func(i int) string { return credentials(roleID, own[i]) },
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.loginAtOnce(logins, body); got != logins || c.conflicts.Load() > 0 {
				t.Errorf("%d logins succeeded, %d conflicts", got, c.conflicts.Load())
			}
		})
	}
	if got := c.commits.Load(); got != 2*logins {
		t.Errorf("%d commits", got)
	}
}

func TestALoginAndADestructionDoNotBothSucceed(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	for range 50 {
		secret, _ := h.issue("app", "")
		// The destruction is committed after the login has read, before it commits.
		first := true
		_, err := h.CallAnd(t.Context(), logical.Write, "login", credentials(roleID, secret), func(tx *storage.Tx) {
			if first {
				h.Write("role/app/secret-id/destroy", credentials("", secret))
			}
			first = false
			tx.Put(storage.Plain("token"), []byte("x"))
		})
		if !errors.Is(err, errCredentials) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestRenewalsFollowTheRole(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"token_ttl": 60, "token_max_ttl": 120}`)
	secret, _ := h.issue("app", `{"num_uses": 1}`)
	auth := h.mustLogin(h.roleID("app"), secret)
	h.Write("role/app", `{"token_ttl": 30, "token_max_ttl": 90, "token_period": 10}`)
	if err := h.Renew(auth); err != nil || auth.TTL != 30*time.Second || auth.MaxTTL != 90*time.Second || auth.Period != 10*time.Second {
		t.Errorf("TTL %s, max %s, period %s, error %v", auth.TTL, auth.MaxTTL, auth.Period, err)
	}
	h.Write("role/app/role-id", `{"role_id": "another"}`)
	if err := h.Renew(auth); err != nil {
		t.Errorf("after a change of the role id: %v", err)
	}
	h.Must(logical.Delete, "role/app", "")
	for _, when := range []string{"deleted", "created again"} {
		if err := h.Renew(auth); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), `role "app" does not exist`) {
			t.Errorf("%s: %v", when, err)
		}
		h.Write("role/app", "")
	}
	auth.State = json.RawMessage("x")
	if err := h.Renew(auth); err == nil || errors.Is(err, logical.ErrInvalid) {
		t.Errorf("with a damaged state: %v", err)
	}
}

func BenchmarkLogin(b *testing.B) {
	h := newHouse(b)
	h.Write("role/app", `{"token_policies": "a,b", "token_ttl": 60}`)
	roleID := h.roleID("app")
	secret, _ := h.issue("app", `{"metadata": {"tag": "x"}}`)
	body := credentials(roleID, secret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Call(logical.Write, "login", body); err != nil {
			b.Fatal(err)
		}
	}
}
