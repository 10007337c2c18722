package core_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestLimitsComeBeforeTheToken(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "sys/quotas/rate-limit/kv", `{"path":"secret/","rate":2}`)
	for range 2 {
		_, err := h.ask("guessed", logical.Read, "secret/a", "")
		wantKind(t, err, logical.ErrDenied)
	}
	_, err := h.ask("guessed", logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrQuota)
	if want := `request path "secret/a": rate limit quota exceeded`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = h.Help(t.Context(), h.call("guessed", logical.Read, "secret/a", ""))
	wantKind(t, err, logical.ErrQuota)

	other := h.call(rootText, logical.Read, "secret/a", "")
	other.Remote = netip.MustParseAddrPort("192.0.2.2:5000")
	_, err = h.Handle(t.Context(), other)
	wantKind(t, err, logical.ErrNotFound)

	h.clock.Add(1)
	_, err = h.ask(rootText, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrNotFound)
}

func TestUsesOfATokenAreNotSpentOnWhatIsOverALimit(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "sys/quotas/rate-limit/kv", `{"path":"secret/","rate":1}`)
	once := h.token(`{"policies":["root"],"num_uses":1}`)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	_, err := h.ask(once, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrQuota)
	h.clock.Add(1)
	_, err = h.ask(once, logical.Read, "secret/a", "")
	wantKind(t, err, nil)
}

func TestWhatIsOverALimitIsOnRecordIfWanted(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	h.must(logical.Write, "sys/quotas/rate-limit/kv", `{"path":"secret/","rate":1}`)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	lines := func() int { return strings.Count(readAll(t, link), "rate limit quota exceeded") }
	_, err := h.ask(rootText, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrQuota)
	if n := lines(); n != 0 {
		t.Errorf("%d lines though nobody wants them", n)
	}
	h.must(logical.Write, "sys/quotas/config", `{"enable_rate_limit_audit_logging":true}`)
	_, err = h.ask(rootText, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrQuota)
	if n := lines(); n != 2 {
		t.Errorf("%d lines, want one before and one after", n)
	}
	h.breakAudit(link)
	if _, err = h.ask(rootText, logical.Read, "secret/a", ""); err == nil || !strings.Contains(err.Error(), "could not be recorded") {
		t.Errorf("without a record: %v", err)
	}
}

// The door's logins are for the role that the body names.
func TestRolesHaveLimitsOfTheirOwn(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "sys/quotas/rate-limit/door", `{"path":"auth/door","rate":3}`)
	h.must(logical.Write, "sys/quotas/rate-limit/web", `{"path":"auth/door/","rate":1,"role":"web"}`)
	for _, tt := range []struct {
		name, body string
		kind       error
	}{
		{"the first of the role", `{"role":"web"}`, nil},
		{"the second of the role", `{"role":"web"}`, logical.ErrQuota},
		{"another role has the mount's", `{"role":"db"}`, nil},
		{"so has a login without a role", ``, nil},
		{"and one whose role can't be told", `{"role":["web"]}`, logical.ErrInvalid},
		{"until that is used up", `{"role":"db"}`, logical.ErrQuota},
	} {
		_, err := h.ask("", logical.Write, "auth/door/login", tt.body)
		if t.Run(tt.name, func(t *testing.T) { wantKind(t, err, tt.kind) }); t.Failed() {
			return
		}
	}
}

func TestAnswersTellOfTheLimitIfWanted(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "sys/quotas/rate-limit/all", `{"rate":10,"interval":"10s"}`)
	call := h.call(rootText, logical.Read, "sys/mounts", "")
	if _, err := h.Handle(t.Context(), call); err != nil || call.Standing != nil {
		t.Errorf("error %v, standing %v though nobody wants it", err, call.Standing)
	}
	h.must(logical.Write, "sys/quotas/config", `{"enable_rate_limit_response_headers":true}`)
	h.clock.Add(60)
	call = h.call(rootText, logical.Read, "sys/mounts", "")
	if _, err := h.Handle(t.Context(), call); err != nil || call.Standing == nil {
		t.Fatalf("error %v, standing %v", err, call.Standing)
	}
	if s := *call.Standing; s.Limit != 10 || s.Remaining != 9 || s.Reset != time.Second || s.Refused {
		t.Errorf("%+v", s)
	}
}

// Another core on the same store, as another node would be.
func TestQuotasAreFollowed(t *testing.T) {
	h := newHouse(t)
	other := &house{t: t, log: h.log, store: h.store, key: h.key}
	other.clock.Store(h.clock.Load())
	other.Core = other.newCore()
	other.unseal()
	defer other.Close()
	h.must(logical.Write, "sys/quotas/rate-limit/kv", `{"path":"secret/","rate":1}`)
	rev := h.must(logical.Write, "secret/a", `{"v":1}`).Revision
	// Its follower has this once it has seen a later change of the configuration.
	h.must(logical.Write, "sys/policies/acl/later", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`)
	if err := other.Await(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Quotas().Rule("kv"); !ok {
		t.Error("the other core does not know the quota")
	}
}
