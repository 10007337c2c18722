package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/client"
)

// server answers from a table and remembers what it was asked.
type server struct {
	answers map[string]string // "[NAMESPACE/@]PATH[?QUERY]" → "STATUS BODY"

	mu   sync.Mutex // guards the field below
	seen map[string]int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := strings.TrimPrefix(r.URL.Path, "/v1/")
	if r.URL.RawQuery != "" {
		at += "?" + r.URL.RawQuery
	}
	if ns := r.Header.Get("X-Vault-Namespace"); ns != "" {
		at = ns + "@" + at
	}
	s.mu.Lock()
	s.seen[at]++
	s.mu.Unlock()
	answer, ok := s.answers[at]
	if !ok {
		answer = `404 {"errors":[]}`
	}
	var status int
	fmt.Sscan(answer, &status)
	w.WriteHeader(status)
	fmt.Fprint(w, answer[4:])
}

func start(t *testing.T, answers map[string]string) (*server, *Resolver) {
	t.Helper()
	s := &server{answers: answers, seen: map[string]int{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c, err := client.New(client.Config{Address: h.URL, Token: "t", MaxRetries: client.NoRetries, WrapTTL: "60"})
	if err != nil {
		t.Fatal(err)
	}
	return s, NewResolver(c)
}

func parseAll(t *testing.T, texts map[string]string) map[string]Template {
	t.Helper()
	templates := map[string]Template{}
	for name, text := range texts {
		var err error
		if templates[name], err = Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	return templates
}

const preflight = "sys/internal/ui/mounts/"

func mount(path, kind, version string) string {
	return fmt.Sprintf(`200 {"request_id":"r","data":{"path":%q,"type":%q,"options":{"version":%q}}}`, path, kind, version)
}

func kv2(version int, data string) string {
	return fmt.Sprintf(`200 {"request_id":"r","data":{"data":%s,"metadata":{"version":%d,"created_time":"2026-01-02T03:04:05Z"}}}`, data, version)
}

var answers = map[string]string{
	preflight + "secret/db":      mount("secret/", "kv", "2"),
	preflight + "secret/data/db": mount("secret/", "kv", "2"),
	preflight + "secret/gone":    mount("secret/", "kv", "2"),
	preflight + "secret/none":    mount("secret/", "kv", "2"),
	preflight + "old/a/b":        mount("old/a/", "kv", "1"),
	preflight + "db/creds/app":   mount("db/", "database", ""),
	preflight + "cubbyhole/x":    mount("cubbyhole/", "cubbyhole", ""),
	preflight + "denied/x":       `403 {"errors":["permission denied"]}`,
	preflight + "blind/data/x":   `403 {"errors":["permission denied"]}`,
	preflight + "broken/x":       `500 {"errors":["internal error"]}`,

	"secret/data/db":           kv2(5, `{"user":"app","password":"p5","port":5432,"big":12345678901234567890,"f":1.50,"t":true,"n":null,"l":["a",{"k":"<v>"}],"a/b":"slash"}`),
	"secret/data/db?version=4": kv2(4, `{"user":"app","password":"p4"}`),
	"secret/data/db?version=3": kv2(5, `{"user":"app","password":"p5"}`),
	"secret/data/gone":         `404 {"request_id":"r","data":{"data":null,"metadata":{"version":2,"created_time":"x"}}}`,
	"old/a/b":                  `200 {"request_id":"r","data":{"k":"v1"}}`,
	"db/creds/app":             `200 {"request_id":"r","lease_id":"db/creds/app/1","lease_duration":90,"renewable":true,"data":{"username":"u","password":"p"}}`,
	"cubbyhole/x":              `200 {"request_id":"r","data":{"k":"c"}}`,
	"denied/x":                 `403 {"errors":["permission denied"]}`,
	"blind/data/x":             kv2(1, `{"k":"seen"}`),
	"bare/x":                   `200 {"request_id":"r","data":{"k":"bare","data":"d"}}`,

	"team/@" + preflight + "secret/db": mount("team/secret/", "kv", "2"),
	"team/@secret/data/db":             kv2(1, `{"password":"team's"}`),
}

func TestResolveFillsTemplates(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a plain text", "hunter2", "hunter2"},
		{"KV version 2", "vault:secret/db#password", "p5"},
		{"KV version 2, infix given", "vault:secret/data/db#password", "p5"},
		{"a version", "vault:secret/db#password#4", "p4"},
		{"KV version 1 on a mount of two segments", "coffer://old/a/b#k", "v1"},
		{"a namespace", "coffer://team@secret/db#password", "team's"},
		{"a dynamic secret", "vault:db/creds/app#username", "u"},
		{"the cubbyhole", "vault:cubbyhole/x#k", "c"},
		{"a server without preflight", "vault:bare/x#data", "d"},
		{"a token without the right to preflight", "vault:blind/data/x#k", "seen"},
		{"a number", "vault:secret/db#port", "5432"},
		{"a big number", "vault:secret/db#big", "12345678901234567890"},
		{"a number with zeros", "vault:secret/db#f", "1.50"},
		{"a boolean", "vault:secret/db#t", "true"},
		{"a list", "vault:secret/db#l", `["a",{"k":"<v>"}]`},
		{"a nested field", "ref+vault://secret/db#/l/1/k", "<v>"},
		{"a field with a slash", "ref+vault://secret/db#/a~1b", "slash"},
		{"a field with a slash, bare", "coffer://secret/db#a/b", "slash"},
		{"a default that is not needed", "vault:secret/db?default=d#user", "app"},
		{"a default for a secret", "vault:secret/none?default=d%23#k", "d#"},
		{"a default for a field", "vault:secret/db?default=d#none", "d"},
		{"a default for a deleted version", "vault:secret/gone?default=d#none", "d"},
		{"an optional one within a text", "<${vault:secret/none?optional#k}>", "<>"},
		{"several", "${vault:secret/db#user}:${vault:secret/db#password}@$${vault:x}", "app:p5@${vault:x}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r := start(t, answers)
			got, err := r.Resolve(t.Context(), parseAll(t, map[string]string{"X": tt.text}))
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := got.Value("X"); !ok || text != tt.want {
				t.Errorf("got %q %v, want %q", text, ok, tt.want)
			}
			if tt.want != "" && len(tt.want) > 2 && strings.Contains(fmt.Sprintf("%+v %#v", got, *got), tt.want) {
				t.Errorf("printed: %+v", got)
			}
		})
	}
}

func TestResolveDoesNotFollowReferencesInValues(t *testing.T) {
	_, r := start(t, map[string]string{"a/x": `200 {"request_id":"r","data":{"k":"${vault:a/y#k}"}}`})
	got, err := r.Resolve(t.Context(), parseAll(t, map[string]string{"X": "<${vault:a/x#k}>"}))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := got.Value("X"); text != "<${vault:a/y#k}>" {
		t.Errorf("got %q", text)
	}
}

func TestAnOptionalReferenceMayBeAbsent(t *testing.T) {
	_, r := start(t, answers)
	got, err := r.Resolve(t.Context(), parseAll(t, map[string]string{
		"bare": "vault:secret/none?optional#k", "bracketed": "${vault:secret/db?optional#none}", "there": "vault:secret/db?optional#user",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"bare": false, "bracketed": false, "there": true} {
		if _, ok := got.Value(name); ok != want {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

func TestEachVersionIsReadOnce(t *testing.T) {
	s, r := start(t, answers)
	got, err := r.Resolve(t.Context(), parseAll(t, map[string]string{
		"A": "vault:secret/db#user", "B": "${vault:secret/data/db#password}${vault:secret/db#port}",
		"C": "coffer://secret/db#password", "D": "vault:secret/db#password#4", "E": "coffer://team@secret/db#password",
		"F": "vault:db/creds/app#username", "G": "vault:db/creds/app#password",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for path := range s.seen {
		if strings.HasPrefix(path, "sys/health?") {
			delete(s.seen, path) // whether it takes batches was asked
		}
	}
	want := map[string]int{
		preflight + "secret/db": 1, preflight + "db/creds/app": 1, "team/@" + preflight + "secret/db": 1,
		"secret/data/db": 1, "secret/data/db?version=4": 1, "team/@secret/data/db": 1, "db/creds/app": 1,
	}
	if d := cmp.Diff(want, s.seen); d != "" {
		t.Error(d)
	}
	reads := []Read{
		{Path: "db/creds/app", LeaseID: "db/creds/app/1", Lease: 90 * time.Second, Renewable: true, Names: []string{"F", "G"}},
		{Path: "secret/data/db", Version: 5, Names: []string{"A", "B", "C"}},
		{Path: "secret/data/db", Asked: 4, Version: 4, Names: []string{"D"}},
		{Namespace: "team", Path: "secret/data/db", Version: 1, Names: []string{"E"}},
	}
	if d := cmp.Diff(reads, got.Reads()); d != "" {
		t.Error(d)
	}
}

func TestResolveTellsOfEveryFailureAndNoValue(t *testing.T) {
	_, r := start(t, answers)
	got, err := r.Resolve(t.Context(), parseAll(t, map[string]string{
		"A": "vault:secret/none#k", "B": "${vault:secret/db#user}${vault:secret/db#none}${vault:secret/gone#k}",
		"C": "vault:denied/x?default=c4n4ry#k", "D": "vault:old/a/b#k#1", "E": "vault:broken/x?optional#k",
		"F": "vault:secret/db#password", "G": "vault:bare/x#k#1", "H": "vault:secret/db#k#3",
	}))
	if got != nil {
		t.Error("there is a result")
	}
	want := `8 references cannot be resolved:
  A: vault:secret/none#k: no such secret
  B: vault:secret/db#none: the secret has no such field
  B: vault:secret/gone#k: version 2 is deleted
  C: vault:denied/x?default=…#k: GET denied/x: 403: permission denied
  D: vault:old/a/b#k#1: its mount keeps no versions
  E: vault:broken/x?optional#k: GET sys/internal/ui/mounts/broken/x: 500: internal error
  G: vault:bare/x#k#1: no such secret
  H: vault:secret/db#k#3: the server gave version 5`
	if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
		t.Error(d)
	}
	var e *ResolveError
	if !errors.As(err, &e) || !errors.Is(err, ErrAbsent) || client.StatusOf(err) != 403 {
		t.Errorf("the error does not unwrap: %v", err)
	}
}

func TestAServerThatCannotBeReachedFailsAllAtOnce(t *testing.T) {
	c, err := client.New(client.Config{Address: "http://127.0.0.1:1", MaxRetries: client.NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewResolver(c).Resolve(t.Context(), parseAll(t, map[string]string{"A": "vault:a/b#k", "B": "vault:a/c?default=x#k"}))
	var e *ResolveError
	if !errors.As(err, &e) || len(e.Failures) != 2 {
		t.Errorf("got %v", err)
	}
}

// What is absent is empty, and a pointer to a text finds it.
func FuzzField(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x"]}}`, "/a/b/1")
	f.Add(`{"~":1}`, "/~0")
	f.Fuzz(func(t *testing.T, text, key string) {
		var data map[string]any
		if json.Unmarshal([]byte(text), &data) != nil {
			t.Skip()
		}
		if got, ok, err := Field(data, key); err == nil && !ok && got != "" {
			t.Errorf("absent, and %q", got)
		}
		for name, value := range data {
			want, isText := value.(string)
			pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			if got, ok, err := Field(data, pointer); isText && (got != want || !ok || err != nil) {
				t.Errorf("%s of %s: %q, %v, %v", pointer, text, got, ok, err)
			}
		}
	})
}
