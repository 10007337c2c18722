package userpass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

func TestWhatALoginEarns(t *testing.T) {
	h := newHouse(t)
	h.Write("users/Ann", `{"password": "pw", "token_policies": "b,A", "token_ttl": "1m", "token_max_ttl": "2m", "token_explicit_max_ttl": "3m",
		"token_num_uses": 4, "token_no_default_policy": true, "token_type": "service", "token_bound_cidrs": "10.0.0.0/8,::1", "token_period": "5m"}`)
	want := &logical.Auth{
		DisplayName: "ann", Policies: []string{"a", "b"}, Metadata: map[string]string{"username": "ann"}, Alias: logical.Alias{Name: "ann"},
		TTL: time.Minute, MaxTTL: 2 * time.Minute, ExplicitMaxTTL: 3 * time.Minute, Period: 5 * time.Minute, NumUses: 4,
		Renewable: true, Type: logical.TokenService, NoDefaultPolicy: true,
		BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	equal := cmp.Options{cmpopts.IgnoreFields(logical.Auth{}, "State"), cmpopts.EquateComparable(netip.Prefix{})}
	if diff := cmp.Diff(want, h.mustLogin("aNN", "pw"), equal); diff != "" {
		t.Error(diff)
	}
	h.From = netip.MustParseAddr("11.0.0.1")
	h.Refused(logical.Write, "login/ann", withPassword("pw"), logical.ErrDenied, "permission denied")
	h.fails("ann", "wrong", 1)
}

func TestTypesOfTokens(t *testing.T) {
	for typ, want := range map[string]logical.TokenType{
		"": logical.TokenDefault, "default": logical.TokenDefault, "service": logical.TokenService, "batch": logical.TokenBatch,
		"default-service": logical.TokenService, "default-batch": logical.TokenBatch,
	} {
		h := newHouse(t)
		h.Write("users/ann", `{"password": "pw", "token_type": "`+typ+`"}`)
		if got := h.mustLogin("ann", "pw").Type; got != want {
			t.Errorf("%q: %q", typ, got)
		}
	}
}

func TestLoginsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword(" Pass word "))
	h.Write("users/bob", withPassword("bob's"))
	const wrong = "invalid username or password"
	tests := []struct{ name, user, body, want string }{
		{"nothing", "ann", ``, "missing password"},
		{"an empty password", "ann", withPassword(""), "missing password"},
		{"an empty password of nobody", "nobody", withPassword(""), "missing password"},
		{"a wrong password", "ann", withPassword("x"), wrong},
		{"the password of another", "ann", withPassword("bob's"), wrong},
		{"other case", "ann", withPassword(" pass word "), wrong},
		{"spaces taken off", "ann", withPassword("Pass word"), wrong},
		{"a user that is none", "nobody", withPassword("x"), wrong},
		{"a name that no user can have", "a@b", withPassword("x"), wrong},
		{"a password that no user can have", "ann", withPassword(strings.Repeat("x", maxPasswordBytes+1)), wrong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Call(logical.Write, "login/"+test.user, test.body)
			if !errors.Is(err, logical.ErrInvalid) || err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	h.mustLogin("ann", " Pass word ")
	h.Refused(logical.Read, "login/ann", "", logical.ErrUnsupportedOp, "")
}

func TestAPasswordMayBeANumber(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", `{"password": 12345678901234567890}`)
	h.mustLogin("ann", "12345678901234567890")
}

func TestADamagedHashLetsNobodyIn(t *testing.T) {
	h := newHouse(t)
	for _, hash := range []string{"", "pw", "$2a$04$x", phcPrefix} {
		h.Change(func(part storage.Part) error {
			u := &user{Name: "ann", Hash: hash}
			return u.save(part)
		})
		if _, err := h.login("ann", "pw"); !errors.Is(err, errHash) || errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%q: %v", hash, err)
		}
	}
}

// A user that does not exist costs what another does: the hash that stands in is
// of the same kind and cost.
func TestUnknownUsersCostAHash(t *testing.T) {
	m := newMethod(owasp, vaultLimits)
	h, err := parseArgon(m.dummy)
	if err != nil || h.cost != m.cost || len(h.salt) != saltBytes || len(h.sum) != sumBytes {
		t.Errorf("%+v, error %v", h.cost, err)
	}
	full := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	full.fill()
	for _, name := range []string{"ann", "nobody"} { // both would hash
		if name == "ann" {
			full.empty()
			full.Write("users/ann", withPassword("pw"))
			full.fill()
		}
		if _, err := full.CallAnd(ctx, logical.Write, "login/"+name, withPassword("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fill makes it that nobody can hash any more, until empty.
func (h *house) fill() {
	for range cap(h.method.gate) {
		h.method.gate <- struct{}{}
	}
}

func (h *house) empty() {
	for range cap(h.method.gate) {
		<-h.method.gate
	}
}

func TestWhoWaitsForAHashMayGiveUp(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	h.fill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"login/ann", "users/ann", "users/ann/password"} {
		if _, err := h.CallAnd(ctx, logical.Write, path, withPassword("pw")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
	h.empty()
	h.mustLogin("ann", "pw")
}

// A handler that runs again after a conflict must not hash again: nobody could
// when it does.
func TestAConflictCostsNoSecondHash(t *testing.T) {
	for name, path := range map[string]string{"of a login": "login/ann", "of a new password": "users/ann/password"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("users/ann", withPassword("pw"))
			runs := 0
			_, err := h.CallAnd(t.Context(), logical.Write, path, withPassword("pw"), func(tx *storage.Tx) {
				if runs++; runs == 1 {
					h.Write("users/ann/policies", `{"token_policies": "new"}`)
					h.fill()
				}
				tx.Put(storage.Plain("token"), []byte("x"))
			})
			h.empty()
			if err != nil || runs != 2 {
				t.Errorf("%d runs, error %v", runs, err)
			}
			h.mustLogin("ann", "pw")
		})
	}
}

func TestALoginAndAChangeOfPasswordDoNotBothSucceed(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("old"))
	runs := 0
	_, err := h.CallAnd(t.Context(), logical.Write, "login/ann", withPassword("old"), func(tx *storage.Tx) {
		if runs++; runs == 1 {
			h.Write("users/ann/password", withPassword("new"))
		}
		tx.Put(storage.Plain("token"), []byte("x"))
	})
	if !errors.Is(err, errCredentials) || runs != 1 {
		t.Errorf("%d runs, error %v", runs, err)
	}
}

// What was found out about a request is not kept longer than the request.
func TestFindingsGoWithTheirRequest(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	h.mustLogin("ann", "pw")
	for range 1000 {
		runtime.GC()
		left := 0
		h.method.found.byRequest.Range(func(any, any) bool { left++; return true })
		if left == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Error("it still remembers")
}

func TestManyLogInAtOnce(t *testing.T) {
	const users, logins = 8, 64
	h := newHouse(t)
	for i := range users {
		h.Write(fmt.Sprintf("users/u%d", i), withPassword(fmt.Sprint("pw", i)))
	}
	var good atomic.Int64
	var wg sync.WaitGroup
	for i := range logins {
		wg.Go(func() {
			user, password := i%users, i%users
			if i%16 == 15 {
				password++
			}
			if _, err := h.login(fmt.Sprint("u", user), fmt.Sprint("pw", password)); err == nil {
				good.Add(1)
			} else if !errors.Is(err, errCredentials) {
				t.Errorf("login: %v", err)
			}
		})
	}
	wg.Wait()
	if got := good.Load(); got != logins-logins/16 {
		t.Errorf("%d logins succeeded", got)
	}
}

func TestRenewalsFollowTheUser(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", `{"password": "pw", "token_policies": "b,a", "token_ttl": 60, "token_max_ttl": 120}`)
	auth := h.mustLogin("ann", "pw")
	auth.Policies = auth.TokenPolicies() // as the core keeps them
	h.Write("users/ann", `{"password": "other", "token_ttl": 30, "token_max_ttl": 90, "token_period": 10, "token_no_default_policy": true}`)
	if err := h.Renew(auth); err != nil || auth.TTL != 30*time.Second || auth.MaxTTL != 90*time.Second || auth.Period != 10*time.Second {
		t.Errorf("TTL %s, max %s, period %s, error %v", auth.TTL, auth.MaxTTL, auth.Period, err)
	}
	for _, names := range []string{"a", "a,b,c", ""} {
		h.Write("users/ann/policies", `{"token_policies": "`+names+`"}`)
		if err := h.Renew(auth); !errors.Is(err, logical.ErrInvalid) || err.Error() != "policies have changed, not renewing" {
			t.Errorf("with %q: %v", names, err)
		}
	}
	h.Write("users/ann/policies", `{"token_policies": "a,b,default"}`)
	if err := h.Renew(auth); err != nil {
		t.Errorf("with the same again: %v", err)
	}
	h.Must(logical.Delete, "users/ann", "")
	for _, when := range []string{"deleted", "created again"} {
		if err := h.Renew(auth); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), `user "ann" does not exist`) {
			t.Errorf("%s: %v", when, err)
		}
		h.Write("users/ann", `{"password": "pw", "token_policies": "a,b"}`)
	}
	auth.State = json.RawMessage("x")
	if err := h.Renew(auth); err == nil || errors.Is(err, logical.ErrInvalid) {
		t.Errorf("with a damaged state: %v", err)
	}
}

func BenchmarkLogin(b *testing.B) {
	h := newHouse(b)
	h.method.cost = owasp
	h.Write("users/ann", `{"password": "pw", "token_policies": "a,b", "token_ttl": 60}`)
	b.ReportAllocs()
	for b.Loop() {
		h.mustLogin("ann", "pw")
	}
}
