package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/client"
)

// fake is a server in memory, whose clock is the test's.
type fake struct {
	start time.Time

	mu        sync.Mutex // guards the fields below
	version   string
	secrets   map[string][]string // path of KV version 2 → JSON of the versions
	plain     map[string]string   // path → JSON
	tokens    map[string]bool
	logins    int
	life      int // of tokens, in seconds
	lease     int // of dynamic secrets, in seconds
	renewals  int // that a lease takes before it gets too little; negative: no end
	made      int // dynamic secrets
	away      bool
	badHealth int // status of sys/health; 0: it is well
	mayAck    int // status of an acknowledgement; 0: 204
	reads     int // of secrets
	same      int // answers 304
	batches   int
	seen      []string

	noPush    int             // status of a subscription; 0: it is accepted
	noEvents  map[string]bool // paths that the token may not have events of
	watchers  map[*watcher]bool
	revision  uint64
	log       []happening // all events
	forgotten uint64      // events up to this revision can't be had again
}

func newFake() *fake {
	return &fake{
		start: time.Now(), version: "1.19.0+coffer.0.1.0", life: 3600, lease: 90, renewals: -1,
		secrets: map[string][]string{"app/db": {`{"username":"u1","password":"p1"}`}},
		plain:   map[string]string{}, tokens: map[string]bool{"given": true},
		noPush: 404, watchers: map[*watcher]bool{}, noEvents: map[string]bool{},
	}
}

// change runs fn while no request is.
func (f *fake) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

func (f *fake) put(path, data string) {
	f.change(func() {
		f.secrets[path] = append(f.secrets[path], data)
		f.happen("kv-v2/data-write", "secret/data/"+path)
	})
}

// requests returns what was asked but reads of secrets, and forgets it.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

var errAway = errors.New("network unreachable")

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errAway
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if types, ok := strings.CutPrefix(path, "sys/events/subscribe/"); ok {
		return f.subscribe(r, types)
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	status, text := f.answer(r, path, body)
	if status == 0 {
		return nil, errAway
	}
	header := http.Header{}
	if tag := tagOf(text); status == 200 && tag != "" {
		header.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			f.same++
			status, text = 304, ""
		}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// tagOf returns the tag of an answer with a version.
func tagOf(text string) string {
	_, rest, ok := strings.Cut(text, `"metadata":{"version":`)
	if !ok {
		return ""
	}
	version, _, _ := strings.Cut(rest, ",")
	return `W/"` + version + `"`
}

// batch answers with what the reads would have been answered alone.
func (f *fake) batch(r *http.Request, body map[string]any) (int, string) {
	f.batches++
	var answers []string
	requests, _ := body["requests"].([]any)
	for _, one := range requests {
		read := one.(map[string]any)
		status, text := f.answer(r, read["path"].(string), nil)
		tag, _ := json.Marshal(tagOf(text))
		switch {
		case status == 200 && tagOf(text) != "" && read["if_none_match"] == tagOf(text):
			f.same++
			answers = append(answers, fmt.Sprintf(`{"status":304,"etag":%s}`, tag))
		case status >= 400:
			answers = append(answers, fmt.Sprintf(`{"status":%d,%s`, status, text[1:]))
		default:
			answers = append(answers, fmt.Sprintf(`{"status":200,"etag":%s,"answer":%s}`, tag, text))
		}
	}
	return 200, `{"request_id":"r","data":{"responses":[` + strings.Join(answers, ",") + `]}}`
}

func (f *fake) note(format string, args ...any) {
	f.seen = append(f.seen, fmt.Sprintf("%.0f ", time.Since(f.start).Seconds())+fmt.Sprintf(format, args...))
}

const refusal = `{"errors":["permission denied"]}`

func (f *fake) answer(r *http.Request, path string, body map[string]any) (int, string) {
	token := r.Header.Get("X-Vault-Token")
	switch {
	case path == "sys/health":
		f.note("health %s", token)
		if f.badHealth != 0 {
			return f.badHealth, "no"
		}
		return 200, fmt.Sprintf(`{"version":%q}`, f.version)
	case path == "auth/approle/login":
		f.logins++
		token = fmt.Sprintf("token%d", f.logins)
		f.tokens[token] = true
		f.note("login")
		return 200, fmt.Sprintf(`{"request_id":"r","auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, f.life)
	case !f.tokens[token]:
		return 403, refusal
	case strings.HasPrefix(path, preflight):
		return f.preflight(strings.TrimPrefix(path, preflight))
	case strings.HasPrefix(path, "auth/token/"):
		return f.own(strings.TrimPrefix(path, "auth/token/"), token)
	case strings.HasPrefix(path, "sys/leases/"):
		return f.leases(strings.TrimPrefix(path, "sys/leases/"), body["lease_id"])
	case path == "sys/coffer/batch":
		return f.batch(r, body)
	case path == "sys/capabilities-self":
		return f.capabilities(body)
	case path == "sys/coffer/acknowledge":
		f.note("uses %v of %v as %v", body["version"], body["path"], body["instance"])
		if f.mayAck != 0 {
			return f.mayAck, refusal
		}
		return 204, ""
	}
	f.reads++
	return f.read(path, token)
}

func (f *fake) preflight(path string) (int, string) {
	mount, kind, version := "secret/", "kv", "2"
	if !strings.HasPrefix(path, mount) {
		mount, kind, version = "database/", "database", ""
	}
	return 200, fmt.Sprintf(`{"request_id":"r","data":{"path":%q,"type":%q,"options":{"version":%q}}}`, mount, kind, version)
}

func (f *fake) own(what, token string) (int, string) {
	switch what {
	case "lookup-self":
		return 200, `{"request_id":"r","data":{"ttl":0,"renewable":false}}`
	case "renew-self":
		f.note("renew %s", token)
		return 200, fmt.Sprintf(`{"request_id":"r","auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, f.life)
	}
	f.note("revoke %s", token)
	delete(f.tokens, token)
	return 204, ""
}

func (f *fake) leases(what string, id any) (int, string) {
	f.note("%s %v", what, id)
	if what == "revoke" {
		return 204, ""
	}
	span := f.lease
	if f.renewals == 0 {
		span = 1
	}
	f.renewals--
	return 200, fmt.Sprintf(`{"request_id":"r","lease_id":%q,"lease_duration":%d,"renewable":true}`, id, span)
}

func (f *fake) read(path, token string) (int, string) {
	if versions := f.secrets[strings.TrimPrefix(path, "secret/data/")]; len(versions) > 0 {
		last := versions[len(versions)-1]
		return 200, fmt.Sprintf(`{"request_id":"r","data":{"data":%s,"metadata":{"version":%d,"created_time":"t"}}}`, last, len(versions))
	}
	if path == "database/creds/app" {
		f.made++
		f.note("make %d for %s", f.made, token)
		return 200, fmt.Sprintf(`{"request_id":"r","lease_id":"lease%d","lease_duration":%d,"renewable":true,"data":{"username":"u%[1]d","password":"p%[1]d"}}`, f.made, f.lease)
	}
	if data := f.plain[path]; data != "" {
		return 200, `{"request_id":"r","data":` + data + `}`
	}
	return 404, `{"errors":[]}`
}

// exactly is a jitter that changes nothing.
func exactly(o *settings) { o.jitter = func(d time.Duration) time.Duration { return d } }

// house is a test with a fake, in a bubble of its own time.
type house struct {
	*testing.T
	*fake
	client *client.Client

	asked  []string // what was seen, and not looked at yet
	errsMu sync.Mutex
	errs   []string
}

func inHouse(t *testing.T, name string, fn func(h *house)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			c, err := client.New(client.Config{
				Token: "given", MaxRetries: client.NoRetries,
				WrapTransport: func(http.RoundTripper) http.RoundTripper { return f },
			})
			if err != nil {
				t.Fatal(err)
			}
			h := &house{T: t, fake: f, client: c}
			fn(h)
			for _, text := range h.errs {
				if strings.Contains(text, "p1") || strings.Contains(text, "token1") {
					t.Errorf("an error shows a secret: %s", text)
				}
			}
		})
	})
}

func (h *house) options(more ...Option) []Option {
	return append([]Option{exactly, WithClient(h.client), WithInstance("me"), WithErrorHandler(func(err error) {
		h.errsMu.Lock()
		defer h.errsMu.Unlock()
		h.errs = append(h.errs, err.Error())
	})}, more...)
}

func (h *house) open(reference string, more ...Option) *Secret {
	h.Helper()
	s, err := Open(h.Context(), reference, h.options(more...)...)
	if err != nil {
		h.Fatal(err)
	}
	return s
}

func (h *house) close(c io.Closer) {
	h.Helper()
	if err := c.Close(); err != nil {
		h.Error(err)
	}
}

func (h *house) wantValue(s *Secret, text string, version int) {
	h.Helper()
	if v := s.Value(); v.Reveal() != text || v.Version() != version {
		h.Errorf("version %d is %q, want %d, %q", v.Version(), v.Reveal(), version, text)
	}
}

// pass lets time pass, and what falls due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
