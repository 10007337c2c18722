package template

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/client"
)

const canary = "hunter2-c4n4ry"

// fake is a server with KV version 2 at secret/ and what the test sets.
type fake struct {
	mu      sync.Mutex        // guards the fields below
	answers map[string]string // "METHOD path?query" → JSON of the envelope, or "STATUS text"
	seen    []string
}

func (f *fake) set(request, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[request] = answer
}

func (f *fake) put(path string, version int, data string) {
	f.set("GET secret/data/"+path, fmt.Sprintf(`{"data":{"data":%s,"metadata":{"version":%d,"created_time":"x"}}}`, data, version))
}

// count returns how often a request was made.
func (f *fake) count(request string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if strings.HasPrefix(s, request) {
			n++
		}
	}
	return n
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	request := r.Method + " " + path
	if r.URL.RawQuery != "" {
		request += "?" + r.URL.RawQuery
	}
	body, _ := io.ReadAll(r.Body)
	f.seen = append(f.seen, strings.TrimSpace(request+" "+string(body)))
	if mounted, ok := strings.CutPrefix(path, "sys/internal/ui/mounts/"); ok {
		mount, _, _ := strings.Cut(mounted, "/")
		version := "1"
		if mount == "secret" {
			version = "2"
		}
		fmt.Fprintf(w, `{"request_id":"r","data":{"path":"%s/","type":"kv","options":{"version":"%s"}}}`, mount, version)
		return
	}
	answer, ok := f.answers[request]
	if !ok {
		answer = `404 {"errors":[]}`
	}
	var status int
	if n, _ := fmt.Sscanf(answer, "%d ", &status); n == 1 {
		w.WriteHeader(status)
		answer = answer[4:]
	}
	fmt.Fprint(w, answer)
}

func newFake(t *testing.T) (*fake, *Store) {
	t.Helper()
	f := &fake{answers: map[string]string{}}
	f.put("app", 1, `{"x":"`+canary+`","n":12345678901234567890,"user":"u"}`)
	f.set("GET kv1/app", `{"data":{"x":"one"},"lease_duration":2764800}`)
	f.set("GET secret/metadata?list=true", `{"data":{"keys":["app","team/"]}}`)
	f.set("GET secret/data/none", "403 {\"errors\":[\"permission denied\"]}")
	f.set("PUT pki/issue/web", `{"lease_id":"","data":{"certificate":"CERT"}}`)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Address: server.URL, Token: "t", MaxRetries: client.NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	return f, NewStore(func() *client.Client { return c })
}
