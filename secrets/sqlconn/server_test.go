package sqlconn_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// vault is a server with one secret, secret/db, that takes acknowledgements.
type vault struct {
	mu       sync.Mutex // guards the fields below
	version  int
	username string
	password string
	used     int           // version that was acknowledged
	changed  chan struct{} // closed, and replaced, when used is another
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case path == "sys/health":
		fmt.Fprint(w, `{"version":"1.19.0+coffer.test"}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		fmt.Fprint(w, `{"request_id":"r","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
	case path == "secret/data/db":
		fmt.Fprintf(w, `{"request_id":"r","data":{"data":{"username":%q,"password":%q},"metadata":{"version":%d,"created_time":"t"}}}`,
			v.username, v.password, v.version)
	case path == "sys/coffer/acknowledge":
		var body struct{ Version int }
		_ = json.NewDecoder(r.Body).Decode(&body)
		v.used = body.Version
		close(v.changed)
		v.changed = make(chan struct{})
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[]}`)
	}
}

// publish makes the next version.
func (v *vault) publish(username, password string) (version int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version++
	v.username, v.password = username, password
	return v.version
}

// await returns when a version is in use.
func (v *vault) await(t *testing.T, version int) {
	t.Helper()
	for {
		v.mu.Lock()
		used, changed := v.used, v.changed
		v.mu.Unlock()
		if used >= version {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the test ends")
		}
	}
}

// interval is how often the tests look for a new version.
const interval = 20 * time.Millisecond

// follow opens a group on a new server.
func follow(t *testing.T, v *vault, every time.Duration) *secrets.Group {
	t.Helper()
	v.changed = make(chan struct{})
	h := httptest.NewServer(v)
	t.Cleanup(h.Close)
	c, err := client.New(client.Config{Address: h.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := secrets.OpenGroup(t.Context(), map[string]string{
		"username": "vault:secret/db#username", "password": "vault:secret/db#password",
	}, secrets.WithClient(c), secrets.WithInterval(every), secrets.WithErrorHandler(func(err error) { t.Log(err) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}
