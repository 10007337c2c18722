package core_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/logical"
)

// subscribe asks for a stream of events.
func (h *house) subscribe(token, types string, query ...string) (*core.Stream, error) {
	c := h.call(token, logical.Read, "sys/events/subscribe/"+types, "")
	c.Query = url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		c.Query.Set(query[i], query[i+1])
	}
	return h.Subscribe(h.t.Context(), c)
}

func TestASubscriptionIsOnRecord(t *testing.T) {
	h := newHouse(t)
	log := filepath.Join(t.TempDir(), "audit.log")
	h.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`"}}`)
	s, err := h.subscribe(rootText, "kv*")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := h.subscribe("wrong", "*"); !errors.Is(err, logical.ErrDenied) {
		t.Errorf("error %v", err)
	}
	if lines := strings.Count(readAll(t, log), `"path":"sys/events/subscribe/`); lines != 4 {
		t.Errorf("%d lines, want one before and one after each", lines)
	}
}

func TestASubscriptionThatIsNotOnRecordIsNone(t *testing.T) {
	h := newHouse(t)
	h.breakAudit(h.auditTo())
	if s, err := h.subscribe(rootText, "*"); err == nil || s != nil || !strings.Contains(err.Error(), "could not be recorded") {
		t.Errorf("error %v", err)
	}
}

// The ends of leases are told by the path that they were got at, never by their
// ids.
func TestTheEndsOfLeasesAreTold(t *testing.T) {
	h := newHouse(t)
	s, err := h.subscribe(rootText, "coffer/lease-*", "json", "true")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lent := h.must(logical.Read, "lend/creds", "")
	h.failFree.Store(true)
	if _, err := h.ask(rootText, logical.Write, "sys/leases/revoke", `{"lease_id":"`+lent.LeaseID+`"}`); err == nil {
		t.Fatal("the engine did not fail")
	}
	var told []string
	for len(told) < 2 {
		select {
		case <-s.Ready():
		case <-time.After(10 * time.Second):
			t.Fatalf("only %v", told)
		}
		all, _, err := s.Take()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			told = append(told, m.Type+" "+m.Subject())
			if strings.Contains(string(m.JSON()), lent.LeaseID) {
				t.Errorf("%s gives the lease away", m.JSON())
			}
		}
	}
	if got := strings.Join(told, ", "); got != "coffer/lease-revoke lend/creds, coffer/lease-irrevocable lend/creds" {
		t.Errorf("told %s", got)
	}
}
