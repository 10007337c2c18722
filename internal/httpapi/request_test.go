package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/httpapi"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func TestBodies(t *testing.T) {
	const limit = 1 << 20
	s := newServer(t, func(o *httpapi.Options) { o.MaxBodyBytes = limit })
	for _, tt := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"a body of the limit is taken", `{"a":"` + strings.Repeat("x", limit-len(`{"a":""}`)) + `"}`, 204, ""},
		{"a body above the limit is too large", `{"a":"` + strings.Repeat("x", limit) + `"}`, 413, "http: request body too large"},
		{"objects in objects without end are refused", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), 400, "failed to parse JSON input"},
		{"lists in lists without end are refused", `{"a":` + strings.Repeat("[", 200_000), 400, "failed to parse JSON input"},
		{"bytes that are not UTF-8 are refused", "{\"a\":\"\xff\"}", 400, "not valid UTF-8"},
		{"a name that stands twice counts once", `{"a":1,"a":2}`, 204, ""},
		{"white space around is no matter", " \n{\"a\":1}\n ", 204, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do(http.MethodPost, "/v1/cubbyhole/x", tt.body)
			if a.status != tt.status || !strings.Contains(string(a.body), tt.text) {
				t.Errorf("%d %.200s, want %d %s", a.status, a.body, tt.status, tt.text)
			}
		})
	}
}

func TestPathsThatAreTooLongAreRefused(t *testing.T) {
	s := newServer(t)
	for _, segment := range []string{"a", "ab/", strings.Repeat("x", 200) + "/"} {
		path := strings.Repeat(segment, 9000/len(segment))
		if a := s.do(http.MethodGet, "/v1/cubbyhole/"+strings.TrimSuffix(path, "/"), ""); a.status != 400 {
			t.Errorf("%d segments of %q: %d %s", len(path), segment, a.status, a.body)
		}
	}
	many := strings.Repeat("a/", 4000) + "a"
	for _, method := range []string{http.MethodPut, http.MethodGet, "LIST", http.MethodDelete} {
		if a := s.do(method, "/v1/cubbyhole/"+many, `{"a":1}`); a.status >= 500 {
			t.Errorf("%s of 4,000 segments: %d %s", method, a.status, a.body)
		}
	}
}

func TestTLSIsHeldOnTo(t *testing.T) {
	house, _ := newCore(t, inmem.New(), nil, &clock{now: start}, &guarded{to: &strings.Builder{}})
	h := httpapi.New(httpapi.Options{
		Core: house, ClientAddr: func(*http.Request) (netip.AddrPort, error) { return netip.AddrPort{}, nil },
	})
	for _, tt := range []struct{ url, want string }{
		{"https://coffer.test/v1/sys/health", "max-age=31536000; includeSubDomains"},
		{"http://coffer.test/v1/sys/health", ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.url, nil))
		if got := w.Header().Get("Strict-Transport-Security"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.url, got, tt.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	closed := newServer(t)
	open := newServer(t, func(o *httpapi.Options) { o.OpenMetrics = true })
	a := closed.must(http.MethodGet, "/v1/sys/metrics?format=prometheus", "")
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("content type %q", kind)
	}
	if !strings.Contains(string(a.body), "vault_core_unsealed 1") {
		t.Errorf("the metrics do not tell that the server is unsealed:\n%s", a.body)
	}
	var shape struct{ Gauges, Counters, Samples []any }
	if err := json.Unmarshal(closed.must(http.MethodGet, "/v1/sys/metrics", "").body, &shape); err != nil || len(shape.Gauges) == 0 {
		t.Errorf("metrics as JSON: %v, %d gauges", err, len(shape.Gauges))
	}
	const none = "X-Vault-Token"
	if a := closed.do(http.MethodGet, "/v1/sys/metrics", "", none, ""); a.status != 403 {
		t.Errorf("without a token: %d", a.status)
	}
	if a := open.do(http.MethodGet, "/v1/sys/metrics?format=prometheus", "", none, ""); a.status != 200 {
		t.Errorf("without a token, where the listener allows it: %d %s", a.status, a.body)
	}
}

// A client that read what it wrote can ask others for no less.
func TestTheIndexGrowsWithWrites(t *testing.T) {
	s := newServer(t)
	index := func(a answer) uint64 {
		n, err := strconv.ParseUint(a.header.Get("X-Vault-Index"), 10, 64)
		if err != nil {
			t.Fatalf("X-Vault-Index: %v", err)
		}
		return n
	}
	first := index(s.must(http.MethodPost, "/v1/cubbyhole/x", `{"a":1}`))
	second := index(s.must(http.MethodPost, "/v1/cubbyhole/x", `{"a":2}`))
	read := index(s.must(http.MethodGet, "/v1/cubbyhole/x", ""))
	if second <= first || read < second {
		t.Errorf("indexes: %d after a write, %d after another, %d after a read", first, second, read)
	}
}

// FuzzRequest: whatever a client sends, it is the client's fault.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, path, query, body, kind, token, wrap string }{
		{"GET", "secret/data/x", "version=1", "", "", rootText, ""},
		{"POST", "secret/data/x", "", `{"data":{"a":1},"options":{"cas":0}}`, "application/json", rootText, "5m"},
		{"PATCH", "secret/data/x", "", `{"data":{"a":null}}`, "application/merge-patch+json", rootText, ""},
		{"LIST", "secret/metadata/", "", "", "", rootText, ""},
		{"POST", "auth/token/create", "", `{"ttl":"1h","policies":"a,b","meta":{"a":"b"}}`, "", rootText, "60"},
		{"POST", "sys/mounts/x", "", `{"type":"kv","options":{"version":2}}`, "", rootText, ""},
		{"POST", "sys/mounts/x/tune", "", `{"max_lease_ttl":"1h"}`, "", rootText, ""},
		{"POST", "sys/capabilities-self", "", `{"paths":["a"]}`, "", rootText, ""},
		{"POST", "sys/wrapping/unwrap", "", `{"token":"x"}`, "", "", ""},
		{"POST", "sys/tools/random/5", "", `a=b&c=d`, "application/x-www-form-urlencoded", rootText, ""},
		{"GET", "sys/internal/ui/mounts/secret", "help=1", "", "", "cfb.AAAA", ""},
		{"GET", "../x//y/%2f", "list=true", "", "", "", "-1"},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.body, seed.kind, seed.token, seed.wrap)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, method, path, query, body, kind, token, wrap string) {
		if strings.Contains(path, "seal") || strings.Contains(path, "audit") {
			return // not while others use the server, and not files of our own
		}
		r := httptest.NewRequest(http.MethodGet, "http://coffer.test/v1/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, "/v1/"+path, query
		r.Header.Set("Content-Type", kind)
		r.Header.Set("X-Vault-Token", token)
		r.Header.Set("X-Vault-Wrap-TTL", wrap)
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %q?%q %q: %d %s", method, path, query, body, w.Code, w.Body)
		}
		if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("an error that is not JSON: %q", w.Body)
		}
	})
}
