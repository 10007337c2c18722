package template

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/api"
)

func secretOf(value string) *api.Secret {
	return &api.Secret{Data: map[string]any{
		"data": map[string]any{"x": value}, "metadata": map[string]any{"version": json.Number("1")}, "x": value,
	}}
}

// upkeepOf is that of an answer that was given just now.
func upkeepOf(q Query, s *api.Secret) upkeep {
	u := newUpkeep(q, &Answer{secret: s}, time.Now())
	u.schedule(time.Minute, time.Now())
	return u
}

func TestWhenToLookAgain(t *testing.T) {
	read, write := Query{Operation: Read}, Query{Operation: Write}
	for _, tt := range []struct {
		name     string
		query    Query
		secret   *api.Secret
		from, to time.Duration // zero: never
	}{
		{"what has no lease, each interval", read, secretOf("x"), 48 * time.Second, 72 * time.Second},
		{"a lease, before its end", read, &api.Secret{LeaseID: "l", LeaseDuration: 300}, 160 * time.Second, 240 * time.Second},
		{"a lease that does not end", read, &api.Secret{LeaseID: "l"}, 0, 0},
		{"what was written, never", write, secretOf("x"), 0, 0},
		{"a certificate, before its end", write, &api.Secret{Data: map[string]any{
			"certificate": "c", "expiration": json.Number(fmt.Sprint(time.Now().Unix() + 1000)),
		}}, 798 * time.Second, 801 * time.Second},
		{"a rotation that the server tells of", read, &api.Secret{Data: map[string]any{
			"last_vault_rotation": "x", "ttl": json.Number("10"),
		}}, 10 * time.Second, 11 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := upkeepOf(tt.query, tt.secret)
			if left := time.Until(u.due); tt.to == 0 && !u.due.IsZero() || tt.to != 0 && (left < tt.from-time.Second || left > tt.to) {
				t.Errorf("in %v", left)
			}
		})
	}
}

// Of a change a follower is told, of none it is not, and a server that is away is
// asked again.
func TestFollowTellsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &memory{value: "one"}
		s := NewStore(server.client(t))
		parsed, err := Parse("${vault:kv/app#x}", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Render(t.Context(), parsed); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var problems []error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Follow(ctx, Following{Interval: time.Minute, Report: func(err error) { problems = append(problems, err) }})
		}()
		changed := s.Changed()
		time.Sleep(5 * time.Minute)
		select {
		case <-changed:
			t.Error("told of a change that is none")
		default:
		}
		server.set("", true)
		time.Sleep(5 * time.Minute)
		server.set("two", false)
		<-changed
		r, err := s.Render(ctx, parsed)
		if err != nil || r.Content.RevealText() != "two" {
			t.Errorf("%v", err)
		}
		cancel()
		<-ended
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "follow kv/app") {
			t.Errorf("%v", problems)
		}
	})
}

func TestALeaseIsRenewedAndThenReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &memory{lease: 90, renewals: 2}
		s := NewStore(server.client(t))
		parsed, err := Parse(`{{ with secret "db/creds/app" }}{{ .Data.x }}{{ end }}`, Options{})
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.Render(t.Context(), parsed)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.Follow(ctx, Following{}) }()
		start := time.Now()
		<-s.Changed()
		second, err := s.Render(ctx, parsed)
		if err != nil || first.Content.Equal(second.Content) {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took < 2*time.Minute || took > 4*time.Minute || server.renewed != 2 {
			t.Errorf("%d renewals, another credential after %v", server.renewed, took)
		}
		if got := s.Leases(); len(got) != 1 || got[0] != "lease-2" {
			t.Errorf("leases %v", got)
		}
		cancel()
		<-ended
	})
}
