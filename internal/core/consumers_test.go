package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
)

// Who has read the old secret is awaited, as far as is known of them.
func TestConsumersAreAwaited(t *testing.T) {
	const deadline, grace, look = 5 * time.Minute, time.Minute, 0
	for _, tt := range []struct {
		name   string
		more   string // of the rotation
		before func(s *site, v *village) (token, accessor string)
		during func(s *site, token, accessor string)
		want   time.Duration
		tally  rotate.Tally
	}{
		{name: "nobody has read it", want: look},
		{
			name:   "a root token is a person's",
			before: func(s *site, _ *village) (string, string) { s.reads(rootText, nil); return "", "" },
			want:   look,
		},
		{
			name: "one that says nothing",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, token, _ string) { s.reads(token, nil) },
			want:   deadline, tally: rotate.Tally{Behind: 1},
		},
		{
			name: "one that says that it uses the new one",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, token, _ string) { s.reads(token, nil); s.says(token, `"version":3`) },
			want:   look, tally: rotate.Tally{Moved: 1},
		},
		{
			name: "one that says that it still uses the old one",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, token, _ string) { s.reads(token, nil); s.says(token, `"version":2`) },
			want:   deadline, tally: rotate.Tally{Behind: 1},
		},
		{
			name: "one that says goodbye",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, token, _ string) { s.says(token, `"version":0`) },
			want:   look, tally: rotate.Tally{Left: 1},
		},
		{
			name: "one whose token is revoked",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, _, accessor string) {
				s.must(logical.Write, "auth/token/revoke-accessor", `{"accessor":"`+accessor+`"}`)
			},
			want: grace, tally: rotate.Tally{Unknown: 1},
		},
		{
			name: "a batch token that nobody can ask about",
			before: func(s *site, _ *village) (string, string) {
				token, _ := s.app(`,"type":"batch"`)
				s.reads(token, nil)
				return token, ""
			},
			want: deadline, tally: rotate.Tally{Behind: 1},
		},
		{
			name: "a batch token that has expired",
			before: func(s *site, _ *village) (string, string) {
				s.app("")
				a := s.must(logical.Write, "auth/token/create", `{"policies":["app"],"ttl":"30s","type":"batch"}`)
				s.reads(a.Auth.ClientToken, nil)
				return "", ""
			},
			want: grace, tally: rotate.Tally{Unknown: 1},
		},
		{
			name: "instances that share a token",
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				for _, pod := range []string{"pod-1", "pod-2"} {
					s.reads(token, map[string][]string{"X-Coffer-Instance": {pod}})
				}
				return token, acc
			},
			during: func(s *site, token, _ string) { s.says(token, `"version":3,"instance":"pod-1"`) },
			want:   deadline, tally: rotate.Tally{Moved: 1, Behind: 1},
		},
		{
			name: "one of a role that is not waited for", more: `,"roles":"other"`,
			before: func(s *site, _ *village) (string, string) {
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			want: look,
		},
		{
			name: "one that has read it, and nobody is logged in with the old one",
			before: func(s *site, v *village) (string, string) {
				v.mu.Lock()
				v.sessions["anna"] = 0
				v.mu.Unlock()
				token, acc := s.app("")
				s.reads(token, nil)
				return token, acc
			},
			during: func(s *site, token, _ string) { s.reads(token, nil) },
			want:   look, tally: rotate.Tally{Moved: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rotating(t, tt.more, func(t *testing.T, s *site, v *village) {
				var token, accessor string
				if tt.before != nil {
					token, accessor = tt.before(s, v)
				}
				s.attempt()
				if tt.during != nil {
					if a := s.rotation().Attempt; a == nil || a.Step != rotate.Awaiting || a.Version != 3 {
						t.Fatalf("it does not wait: %+v", a)
					}
					tt.during(s, token, accessor)
				}
				if e := s.waited(tt.want); e.Consumers != tt.tally {
					t.Errorf("%+v, want %+v", e.Consumers, tt.tally)
				}
			})
		})
	}
}

// What was in memory of an awaited version is gone: then the whole grace counts.
func TestAnAwaitOutlivesItsServer(t *testing.T) {
	for _, how := range []comeback{unsealed, restarted} {
		t.Run(fmt.Sprintf("restarted %v", how), func(t *testing.T) {
			rotating(t, "", func(t *testing.T, s *site, _ *village) {
				token, _ := s.app("")
				s.reads(token, nil)
				s.attempt()
				s.comeBack(how)
				s.says(token, `"version":3`)
				if e := s.waited(time.Minute); e.Consumers != (rotate.Tally{Moved: 1}) {
					t.Errorf("%+v", e.Consumers)
				}
			})
		})
	}
}

// Sealing forgets nobody who has read a moment ago.
func TestReadsBeforeSealingAreRemembered(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, _ *village) {
		token, _ := s.app("")
		s.reads(token, nil)
		s.comeBack(unsealed)
		if got := s.shown(logical.Read, "sys/coffer/consumers/kv/app/db"); !strings.Contains(got, `"state":"behind"`) || !strings.Contains(got, `"version_read":2`) {
			t.Error(got)
		}
	})
}

// held is a store that holds up the snapshot by which a marked call reads the secret,
// the second after that of its token.
type held struct {
	storage.Store
	n           atomic.Int64
	taken, give chan struct{}
}

type holds struct{}

func (h *held) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	snap, err := h.Store.Snapshot(ctx)
	if ctx.Value(holds{}) != nil && h.n.Add(1) == 2 {
		close(h.taken)
		<-h.give
	}
	return snap, err
}

// Who is reading the old secret as the new one is published is seen, although its
// answer is not ready yet.
func TestReadsUnderWayAreAwaited(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, _ *village) {
		h := &held{Store: s.disk.Store, taken: make(chan struct{}), give: make(chan struct{})}
		s.disk.Store = h
		token, _ := s.app("")
		go func() {
			call := &core.Call{ID: "slow", Op: logical.Read, Path: "kv/data/app/db", Token: token, Now: time.Now().UTC()}
			if _, err := s.Handle(context.WithValue(context.Background(), holds{}, true), call); err != nil {
				t.Error(err)
			}
		}()
		<-h.taken
		s.must(logical.Write, "sys/coffer/rotation/db/rotate", `{}`)
		time.Sleep(time.Second)
		close(h.give)
		if e := s.waited(5 * time.Minute); e.Consumers != (rotate.Tally{Behind: 1}) {
			t.Errorf("%+v", e.Consumers)
		}
		if got := s.shown(logical.Read, "sys/coffer/consumers/kv/app/db"); !strings.Contains(got, `"version_read":2`) {
			t.Error(got)
		}
	})
}

// What it costs a read to remember who reads: compare with
//
//	benchstat -col /memory
func BenchmarkRead(b *testing.B) {
	h := newHouse(b)
	h.must(logical.Write, "sys/mounts/kv", `{"type":"kv","options":{"version":"2"}}`)
	h.must(logical.Write, "kv/data/app/db", `{"data":{"username":"app","password":"0123456789abcdef0123456789abcdef"}}`)
	policy := `path "kv/*" { capabilities = ["read"] }`
	service := h.policy("reader", policy)
	batch := h.policy("reader", policy, `,"type":"batch"`)
	for _, token := range []struct{ name, text string }{{"service", service}, {"batch", batch}} {
		for _, memory := range []struct {
			name   string
			handle func(context.Context, *core.Call) (*core.Answer, error)
		}{{"no", h.HandleUnobserved}, {"yes", h.Handle}} {
			b.Run("token="+token.name+"/memory="+memory.name, func(b *testing.B) {
				call := h.call(token.text, logical.Read, "kv/data/app/db", "")
				b.ReportAllocs()
				for b.Loop() {
					if _, err := memory.handle(b.Context(), call); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
