// Package delivery has the SDK follow secrets of a real server. It is apart from
// package secrets because it needs the whole program.
package delivery

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
	"github.com/cofferhq/coffer/secrets"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// enough is how long these tests wait for what has to come.
const enough = 30 * time.Second

// house is a real server with a mount of the key-value engine.
type house struct {
	t    testing.TB
	url  string
	root *client.Client
}

func newHouse(t testing.TB) *house {
	t.Helper()
	p := servertest.New(t, servertest.Config{}).Start()
	h := &house{t: t, url: p.URL(), root: p.Open()}
	h.write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	return h
}

func (h *house) write(path string, body map[string]any) map[string]any {
	h.t.Helper()
	return servertest.Write(h.t, h.root, path, body)
}

func (h *house) put(path, key string) {
	h.t.Helper()
	h.write("secret/data/"+path, map[string]any{"data": map[string]any{"key": key}})
}

// token makes one with a policy.
func (h *house) token(policy string) string {
	h.t.Helper()
	h.write("sys/policies/acl/app", map[string]any{"policy": policy})
	s, err := h.root.Write(h.t.Context(), "auth/token/create", map[string]any{"policies": []string{"app"}})
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Auth.ClientToken
}

func (h *house) client(token string) *client.Client {
	h.t.Helper()
	c, err := client.New(client.Config{Address: h.url, Token: token})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// await waits for what is told by looking again and again.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(enough); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Errorf("%s: it does not happen", what)
			return
		}
	}
}

func TestAServerPushesToWhoMayKnow(t *testing.T) {
	h := newHouse(t)
	h.put("app/db", "one")
	h.put("app/port", "1")
	token := h.token(`
		path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
		path "sys/coffer/acknowledge"       { capabilities = ["update"] }
		path "secret/data/app/*" {
			capabilities          = ["read", "subscribe"]
			subscribe_event_types = ["kv-v2/*"]
		}`)
	type config struct {
		Key  string `secret:"vault:secret/app/db#key"`
		Port int    `secret:"vault:secret/app/port#key"`
	}
	w, err := secrets.Watch[config](t.Context(), secrets.WithClient(h.client(token)), secrets.WithInstance("me"),
		secrets.WithErrorHandler(func(err error) { t.Error(err) }))
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan config, 10)
	w.OnChange(func(_ context.Context, c *config) error {
		changes <- *c
		return nil
	})
	await(t, "push", w.Group().Pushed)
	for _, want := range []config{{"two", 1}, {"two", 2}} {
		h.put("app/db", want.Key)
		if want.Port == 2 {
			h.put("app/port", "2")
		}
		for last := (config{}); last != want; {
			select {
			case last = <-changes:
			case <-time.After(enough):
				t.Fatalf("%+v does not come", want)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	s, err := h.root.Read(t.Context(), "sys/coffer/consumers/secret/app/db")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := s.Data["consumers"].([]any)
	if len(all) != 1 || all[0].(map[string]any)["state"] != "left" {
		t.Errorf("consumers at the end: %v", all)
	}
}

func TestAServerDoesNotPushToWhoMayNotKnow(t *testing.T) {
	h := newHouse(t)
	h.put("app/db", "one")
	token := h.token(`
		path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
		path "secret/data/app/*"            { capabilities = ["read"] }`)
	s, err := secrets.Open(t.Context(), "vault:secret/app/db#key", secrets.WithClient(h.client(token)),
		secrets.WithInterval(20*time.Millisecond), secrets.WithoutAcknowledgement())
	if err != nil {
		t.Fatal(err)
	}
	h.put("app/db", "two")
	await(t, "a poll", func() bool { return s.Value().Reveal() == "two" })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
