package template

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/client"
)

// memory is a server without sockets, for tests whose clock stands still.
type memory struct {
	mu       sync.Mutex // guards the fields below
	value    string
	away     bool
	lease    int // seconds; zero: none
	renewals int // that are granted
	renewed  int
	made     int
}

func (m *memory) set(value string, away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value, m.away = value, away
}

func (m *memory) client(t *testing.T) func() *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		Address: "http://memory", MaxRetries: client.NoRetries,
		WrapTransport: func(http.RoundTripper) http.RoundTripper { return m },
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() *client.Client { return c }
}

// RoundTrip implements [http.RoundTripper].
func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	status, body := http.StatusOK, fmt.Sprintf(`{"request_id":"r","data":{"x":%q}}`, m.value)
	switch {
	case m.away:
		status, body = http.StatusServiceUnavailable, `{"errors":["sealed"]}`
	case strings.Contains(r.URL.Path, "events/subscribe"):
		status, body = http.StatusNotFound, `{"errors":[]}`
	case strings.Contains(r.URL.Path, "internal/ui/mounts"):
		body = `{"request_id":"r","data":{"path":"kv/","type":"kv"}}`
		if strings.HasSuffix(r.URL.Path, "db/creds/app") {
			body = `{"request_id":"r","data":{"path":"db/","type":"database"}}`
		}
	case strings.HasSuffix(r.URL.Path, "leases/renew") && m.renewed == m.renewals:
		status, body = http.StatusBadRequest, `{"errors":["lease not found"]}`
	case strings.HasSuffix(r.URL.Path, "leases/renew"):
		m.renewed++
		body = fmt.Sprintf(`{"lease_id":"l","lease_duration":%d,"renewable":true}`, m.lease)
	case m.lease > 0:
		m.made++
		body = fmt.Sprintf(`{"lease_id":"lease-%d","lease_duration":%d,"renewable":true,"data":{"x":"%d"}}`, m.made, m.lease, m.made)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

var _ http.RoundTripper = (*memory)(nil)
