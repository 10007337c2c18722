package agent

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/client"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// ask makes a request of the agent's listener.
func ask(t *testing.T, r *running, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	url := <-r.urls
	r.urls <- url
	transport := &http.Transport{DisableKeepAlives: true}
	if socket, ok := strings.CutPrefix(url, "unix://"); ok {
		url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	req, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

// loggedIn waits until the agent has a token.
func loggedIn(t *testing.T, f *fake, r *running) {
	t.Helper()
	eventually(t, "the login", func() bool { return strings.Contains(r.log.String(), "logged in") })
}

const tcp = `
listener "tcp" {
  address     = "127.0.0.1:0"
  tls_disable = true
}
`

func TestWhoseTokenGoesWithARequest(t *testing.T) {
	for _, tt := range []struct {
		name, proxy string
		header      []string
		want        string // the token that the server sees
	}{
		{"the caller's own", "", []string{"X-Vault-Token", "own"}, "own"},
		{"the caller's own, as a bearer", "", []string{"Authorization", "Bearer own"}, "own"},
		{"none", "", nil, ""},
		{"the agent's, if there is none", `api_proxy { use_auto_auth_token = true }`, nil, "token-1"},
		{"the caller's own before the agent's", `api_proxy { use_auto_auth_token = true }`, []string{"X-Vault-Token", "own"}, "own"},
		{"the agent's by force", `api_proxy { use_auto_auth_token = "force" }`, []string{"Authorization", "Bearer own"}, "token-1"},
		{"as Vault Agent's older key has it", `cache { use_auto_auth_token = true }`, nil, "token-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, url := newFake(t)
			r := start(t, url, login+"}\n"+tt.proxy+tcp)
			loggedIn(t, f, r)
			ask(t, r, "GET", "/v1/secret/data/app", "", tt.header...)
			f.mu.Lock()
			defer f.mu.Unlock()
			got := f.headers["secret/data/app"]
			if got.Get("X-Vault-Token") != tt.want || got.Get("Authorization") != "" {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheProxyForwardsWhatItGets(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\ncache {}\n"+tcp)
	loggedIn(t, f, r)
	big := strings.Repeat("x", 3<<20)
	if resp, body := ask(t, r, "PUT", "/v1/echo", big); resp.StatusCode != 200 || body != big {
		t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
	}
	if resp, body := ask(t, r, "GET", "/v1/secret/data/app", ""); resp.StatusCode != 200 || !strings.Contains(body, canary) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := ask(t, r, "GET", "/ui/", ""); resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestAListenerMayWantTheHeader(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\n"+strings.Replace(tcp, "tls_disable", "require_request_header = true\n tls_disable", 1))
	loggedIn(t, f, r)
	if resp, _ := ask(t, r, "GET", "/v1/secret/data/app", ""); resp.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := ask(t, r, "GET", "/v1/secret/data/app", "", "X-Vault-Request", "true"); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestASocketIsItsUsersAndNamesItsClients(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\nlistener \"unix\" { address = \"$DIR/s\" }\n")
	loggedIn(t, f, r)
	if info, err := os.Stat(filepath.Join(r.dir, "s")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	ask(t, r, "GET", "/v1/secret/data/app", "")
	f.mu.Lock()
	name := f.headers["secret/data/app"].Get(instanceHeader)
	f.mu.Unlock()
	if want := (&peer{process: true, pid: os.Getpid(), uid: os.Getuid()}).instance(instanceName()); name != want {
		t.Errorf("%q, want %q", name, want)
	}
	l := &Listener{}
	for uid, want := range map[int]bool{os.Geteuid(): true, 0: true, 4242: false} {
		if got := l.admits(&peer{process: true, uid: uid}); got != want {
			t.Errorf("user %d: %v", uid, got)
		}
	}
	if l.Socket.Mode = 0o660; !l.admits(&peer{process: true, uid: 4242}) {
		t.Error("a socket for a group is not for its members")
	}
}

func TestOnlyAnswersWithALeaseAreCached(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\ncache {}\n"+tcp)
	loggedIn(t, f, r)
	_, first := ask(t, r, "GET", "/v1/db/creds/app", "")
	resp, second := ask(t, r, "GET", "/v1/db/creds/app", "")
	if f.creds() != 1 || resp.Header.Get("X-Cache") != "HIT" || !strings.Contains(second, `"username":"u1"`) || !strings.Contains(first, "u1") {
		t.Errorf("%d made; %s; %q", f.creds(), second, resp.Header)
	}
	for _, other := range [][]string{
		{"GET", "/v1/db/creds/app?x=1"}, {"GET", "/v1/db/creds/other"}, {"GET", "/v1/db/creds/app", "X-Vault-Namespace", "ns"},
		{"GET", "/v1/db/creds/app", "X-Vault-Token", "own"}, {"GET", "/v1/db/creds/app", "X-Vault-Wrap-TTL", "60"},
	} {
		before := f.creds()
		if resp, _ := ask(t, r, other[0], other[1], "", other[2:]...); f.creds() != before+1 {
			t.Errorf("%q: %q", other, resp.Header)
		}
	}
	for range 2 {
		ask(t, r, "GET", "/v1/secret/data/app", "")
		ask(t, r, "GET", "/v1/fails", "")
	}
	if kv, fails := f.count("GET secret/data/app"), f.count("GET fails"); kv != 2 || fails != 2 {
		t.Errorf("%d reads, %d failures", kv, fails)
	}
}

func TestWhatEndsIsNotCachedAnyMore(t *testing.T) {
	for _, tt := range []struct{ name, method, path, body string }{
		{"a lease", "PUT", "/v1/sys/leases/revoke", `{"lease_id":"db/creds/app/1"}`},
		{"a lease in the path", "PUT", "/v1/sys/leases/revoke/db/creds/app/1", ""},
		{"a renewed lease", "PUT", "/v1/sys/leases/renew", `{"lease_id":"db/creds/app/1"}`},
		{"a prefix", "PUT", "/v1/sys/leases/revoke-prefix/db/creds", ""},
		{"a mount", "DELETE", "/v1/sys/mounts/db", ""},
		{"a token", "POST", "/v1/auth/token/revoke-accessor", `{"accessor":"a"}`},
		{"by request", "POST", "/agent/v1/cache-clear", `{"type":"request_path","value":"/v1/db/creds/app"}`},
		{"all by request", "POST", "/agent/v1/cache-clear", `{"type":"all"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, url := newFake(t)
			r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\ncache {}\n"+tcp)
			loggedIn(t, f, r)
			ask(t, r, "GET", "/v1/db/creds/app", "")
			if resp, body := ask(t, r, tt.method, tt.path, tt.body); resp.StatusCode >= 300 {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			ask(t, r, "GET", "/v1/db/creds/app", "")
			if f.creds() != 2 {
				t.Errorf("%d made", f.creds())
			}
		})
	}
}

// A token that somebody has revoked is found out by the first who is refused.
func TestARevokedTokenIsReplaced(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\n"+tcp)
	loggedIn(t, f, r)
	f.change(func() { f.dead = "token-1" })
	if resp, _ := ask(t, r, "GET", "/v1/secret/data/app", ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%d", resp.StatusCode)
	}
	eventually(t, "another login", func() bool { return f.count("PUT auth/approle/login") == 2 })
	eventually(t, "an answer", func() bool {
		resp, _ := ask(t, r, "GET", "/v1/secret/data/app", "")
		return resp.StatusCode == http.StatusOK
	})
}

// Ten at once share one credential.
func TestIdenticalRequestsAreOne(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\napi_proxy { use_auto_auth_token = true }\ncache {}\n"+tcp)
	loggedIn(t, f, r)
	f.change(func() { f.hold, f.held = make(chan struct{}), make(chan struct{}, 10) })
	var wg sync.WaitGroup
	wg.Go(func() { ask(t, r, "GET", "/v1/db/creds/app", "") })
	<-f.held
	for range 9 {
		wg.Go(func() { ask(t, r, "GET", "/v1/db/creds/app", "") })
	}
	f.mu.Lock()
	hold := f.hold
	f.hold = nil
	f.mu.Unlock()
	close(hold)
	wg.Wait()
	if f.creds() != 1 {
		t.Errorf("%d made", f.creds())
	}
}

func TestAClientMayEndTheAgentIfThatIsConfigured(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+"}\n"+strings.Replace(tcp, "tls_disable", "agent_api { enable_quit = true }\n tls_disable", 1))
	loggedIn(t, f, r)
	if resp, _ := ask(t, r, "POST", "/agent/v1/quit", "", "Origin", "https://evil"); resp.StatusCode != 403 {
		t.Errorf("%d", resp.StatusCode)
	}
	ask(t, r, "POST", "/agent/v1/quit", "")
	<-r.over
	off := start(t, url, login+"}\n"+tcp)
	loggedIn(t, f, off)
	if resp, _ := ask(t, off, "POST", "/agent/v1/quit", ""); resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// Of a process that has ended the server hears that it uses nothing any more.
func TestAClientThatHasEndedLeaves(t *testing.T) {
	f, url := newFake(t)
	c, err := client.New(client.Config{Address: url, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	all := newConsumers(c, slog.New(slog.DiscardHandler))
	here := &peer{process: true, pid: os.Getpid(), started: startOf(os.Getpid())}
	over := &peer{process: true, pid: os.Getpid(), started: "another process of that number"}
	all.saw(here, "here", place{"", "secret/data/app"}, 3)
	all.saw(over, "over", place{"", "secret/data/app"}, 3)
	all.saw(&peer{addr: "127.0.0.1"}, "tcp", place{"", "secret/data/app"}, 3)
	all.leave(t.Context())
	all.leave(t.Context())
	if n := f.count(`POST sys/coffer/acknowledge {"instance":"over","path":"secret/data/app","version":0}`); n != 1 || f.count("POST") != 1 {
		t.Errorf("%q", f.seen)
	}
}
