package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

const anEvent = `{"id":"1","time":"2026-05-01T12:00:00Z","data":{"event":{"metadata":{"data_path":"secret/data/db",` +
	`"current_version":"3","vault_index":"17"}},"event_type":"kv-v2/data-write","plugin_info":{"mount_path":"secret/"}}}`

// subscribed runs the command against a server that sends one event, and then
// lets nobody in any more.
func subscribed(t *testing.T, args ...string) (stdout, stderr, query string, code int) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(`{"errors":["permission denied"]}`))
			return
		}
		query = r.URL.Query().Get("filter") + " " + r.URL.Query().Get("since") + " " + strings.Join(r.URL.Query()["namespaces"], "+")
		w.Header().Set("X-Vault-Index", "16")
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		conn.Write(r.Context(), websocket.MessageText, []byte(anEvent))
		conn.Close(websocket.StatusGoingAway, "")
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	env := map[string]string{"VAULT_ADDR": server.URL, "VAULT_TOKEN": "t", "HOME": t.TempDir()}
	code = Main(append([]string{"events", "subscribe"}, args...), System{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return env[name] },
	})
	return out.String(), errs.String(), query, code
}

func TestEventsAreShown(t *testing.T) {
	tests := []struct {
		name        string
		args        []string
		want, query string
	}{
		{"for people", []string{"kv*"}, "2026-05-01T12:00:00Z  kv-v2/data-write         secret/data/db  current_version=3  (17)\n", "  "},
		{"as JSON, a line each", []string{"-format=json", "-bexpr-filter=a == b", "-since=12", "-namespaces=x,y", "*"}, anEvent + "\n", "a == b 12 x+y"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, query, code := subscribed(t, test.args...)
			if stdout != test.want || query != test.query {
				t.Errorf("printed %q, asked for %q", stdout, query)
			}
			if code != exitServer || !strings.Contains(stderr, "permission denied") {
				t.Errorf("ended with %d: %s", code, stderr)
			}
		})
	}
}
