package runner

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// awayServer is a fake server that answers 503 to its first requests.
func awayServer(t *testing.T, times int32) (address string, asked *atomic.Int32) {
	t.Helper()
	fake := &fakeServer{}
	asked = new(atomic.Int32)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= times {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"errors":["Vault is sealed"]}`)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL, asked
}

// atOnce is a pause that takes no time.
func atOnce(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func TestTheServerIsWaitedFor(t *testing.T) {
	for name, env := range map[string][]string{
		"to read":   {"VAULT_TOKEN=given"},
		"to log in": {"VAULT_ROLE_ID=role", "VAULT_SECRET_ID=sid"},
		"to unwrap": {"VAULT_WRAPPED_TOKEN=wrap-token"},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := awayServer(t, 3)
			o := try(t, append(env, "A=vault:secret/db#user", "VAULT_ADDR="+address), []string{"exit", "0"}, func(o *Options) {
				o.RetryTimeout, o.pause = time.Hour, atOnce
			})
			if o.code != 0 || len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "503: Vault is sealed\nThe server is tried again") {
				t.Errorf("code %d: %s %q", o.code, o.err, o.warnings)
			}
		})
	}
}

func TestTheServerIsNotWaitedForInVain(t *testing.T) {
	address, asked := awayServer(t, 1<<30)
	o := try(t, []string{"VAULT_TOKEN=given", "A=vault:secret/db#user", "VAULT_ADDR=" + address}, []string{"exit", "0"}, nil)
	if o.code != ExitServer || asked.Load() != 1 || len(o.warnings) != 0 {
		t.Errorf("code %d after %d requests: %s %q", o.code, asked.Load(), o.err, o.warnings)
	}
}

func TestWhatPasses(t *testing.T) {
	status := func(code int) error { return &client.Error{Status: code} }
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	failures := func(errs ...error) error {
		e := &secrets.ResolveError{}
		for _, err := range errs {
			e.Failures = append(e.Failures, secrets.Failure{Err: err})
		}
		return e
	}
	tests := []struct {
		name           string
		err            error
		passes, unseen bool
	}{
		{"sealed", status(503), true, true},
		{"overloaded", status(429), true, true},
		{"broken", status(500), true, false},
		{"behind a proxy without it", status(502), true, false},
		{"nothing listens", fmt.Errorf("x: %w", dial), true, true},
		{"the connection is lost", io.EOF, true, false},
		{"refused", status(403), false, false},
		{"not there", status(404), false, false},
		{"not known", status(501), false, false},
		{"a certificate of somebody else", &url.Error{Err: x509.UnknownAuthorityError{}}, false, false},
		{"no TLS for us", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, false, false},
		{"a name that is not known yet", &net.DNSError{IsNotFound: true}, true, false},
		{"a request that cannot be made", &url.Error{Err: errors.New("invalid header field value")}, false, false},
		{"a mistake of ours", errors.New("x"), false, false},
		{"the end", context.Canceled, false, false},
		{"all away", failures(status(503), dial), true, true},
		{"some refused", failures(status(503), status(403)), false, false},
	}
	for _, tt := range tests {
		if got := isPassing(tt.err); got != tt.passes {
			t.Errorf("%s: passes %v", tt.name, got)
		}
		if _, several := tt.err.(*secrets.ResolveError); !several && isUnseen(tt.err) != tt.unseen {
			t.Errorf("%s: unseen %v", tt.name, !tt.unseen)
		}
	}
}

func TestARefusedTokenIsToldFromAMissingRight(t *testing.T) {
	for token, want := range map[string]string{
		"given": "\nThese lines in a policy of the token would grant what is refused:\n  path \"secret/data/denied\" { capabilities = [\"read\"] }",
		"gone":  "\nThe token itself is refused: it has expired, was revoked, or is another server's.",
	} {
		o := try(t, []string{"VAULT_TOKEN=" + token, "A=vault:secret/denied#k"}, []string{"exit", "0"}, nil)
		if o.code != ExitServer || !strings.Contains(o.err, want) {
			t.Errorf("%s: code %d: %s", token, o.code, o.err)
		}
	}
}

// offline is a run that may start without its server.
func offline(t *testing.T, address, dir string, maxAge time.Duration, change func(*Options)) outcome {
	t.Helper()
	return try(t, []string{"VAULT_TOKEN=given", "A=x ${vault:secret/db#user}", "VAULT_ADDR=" + address}, []string{"env"}, func(o *Options) {
		o.Offline = &Offline{MaxAge: maxAge, File: filepath.Join(dir, "values"), KeyFile: filepath.Join(dir, "keys", "key")}
		if change != nil {
			change(o)
		}
	})
}

func prepareKey(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "key"), []byte(strings.Repeat("k", 44)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const away = "http://127.0.0.1:1" // nothing listens there

func TestAProgramStartsWithoutItsServer(t *testing.T) {
	dir := prepareKey(t)
	h := httptest.NewServer(&fakeServer{})
	if o := offline(t, h.URL, dir, time.Hour, nil); o.code != 0 || !strings.Contains(o.out, "A=x app\n") || len(o.warnings) != 0 {
		t.Fatalf("with the server: code %d: %s %q", o.code, o.err, o.warnings)
	}
	h.Close()
	if info, err := os.Stat(filepath.Join(dir, "values")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	o := offline(t, h.URL, dir, time.Hour, nil)
	if o.code != 0 || !strings.Contains(o.out, "A=x app\n") {
		t.Errorf("without the server: code %d: %s", o.code, o.err)
	}
	if len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "The server is away. The program is started with values of ") {
		t.Errorf("warnings: %q", o.warnings)
	}
}

func TestACacheIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, o *Options)
		want   string
	}{
		{"another server's", func(_ *testing.T, o *Options) { o.Env = append(o.Env, "VAULT_ADDR="+away) }, "it is no cache of these references, this server and this key"},
		{"another namespace's", func(_ *testing.T, o *Options) { o.Env = append(o.Env, "VAULT_NAMESPACE=team") }, "it is no cache of these"},
		{"other references'", func(_ *testing.T, o *Options) { o.Env = append(o.Env, "B=vault:secret/db#user") }, "it is no cache of these"},
		{"another key's", func(t *testing.T, o *Options) { o.Offline.KeyFile = write(t, "key", strings.Repeat("l", 44)) }, "it is no cache of these"},
		{"damaged", func(t *testing.T, o *Options) {
			content, err := os.ReadFile(o.Offline.File)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)-1] ^= 1
			o.Offline.File = write(t, "values", string(content))
		}, "it is no cache of these"},
		{"no cache at all", func(t *testing.T, o *Options) { o.Offline.File = write(t, "values", "c4n4ry") }, "it is no cache of these"},
		{"not there", func(t *testing.T, o *Options) { o.Offline.File = filepath.Join(t.TempDir(), "none") }, "no such file"},
		{"too old", func(_ *testing.T, o *Options) { o.Offline.MaxAge = time.Nanosecond }, "and may be 1ns old"},

		{"a key that others can read", func(t *testing.T, o *Options) {
			if err := os.Chmod(o.Offline.KeyFile, 0o640); err != nil {
				t.Fatal(err)
			}
		}, "must be a file that nobody else can read"},
		{"a key beside the cache", func(t *testing.T, o *Options) {
			o.Offline.File = filepath.Join(filepath.Dir(o.Offline.KeyFile), "values")
		}, "lies in the folder of the cache"},
		{"a short key", func(t *testing.T, o *Options) { o.Offline.KeyFile = write(t, "key", "c4n4ry") }, "has less than 32 bytes"},
		{"no key", func(_ *testing.T, o *Options) { o.Offline.KeyFile = "" }, "needs a key: -cache-key-file"},
		{"no file", func(_ *testing.T, o *Options) { o.Offline.File = "" }, "-cache FILE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := prepareKey(t)
			h := httptest.NewServer(&fakeServer{})
			if o := offline(t, h.URL, dir, time.Hour, nil); o.code != 0 {
				t.Fatal(o.err)
			}
			h.Close()
			o := offline(t, h.URL, dir, time.Hour, func(o *Options) { tt.change(t, o) })
			if o.code == 0 || !strings.Contains(o.err, tt.want) || o.out != "" {
				t.Errorf("code %d: %s", o.code, o.err)
			}
		})
	}
}

// What the server refuses must not live on in a cache.
func TestACacheIsNoWayAroundARefusal(t *testing.T) {
	dir := prepareKey(t)
	h := httptest.NewServer(&fakeServer{})
	defer h.Close()
	if o := offline(t, h.URL, dir, time.Hour, nil); o.code != 0 {
		t.Fatal(o.err)
	}
	o := offline(t, h.URL, dir, time.Hour, func(o *Options) { o.Env = append(o.Env, "VAULT_TOKEN=revoked") })
	if o.code != ExitServer || o.out != "" {
		t.Errorf("code %d: %s", o.code, o.err)
	}
}

func TestTheKeyMayBeACredentialOfSystemd(t *testing.T) {
	dir := prepareKey(t)
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, cacheCredential), []byte(strings.Repeat("k", 44)), 0o440); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(&fakeServer{})
	defer h.Close()
	o := offline(t, h.URL, dir, time.Hour, func(o *Options) {
		o.Offline.KeyFile, o.Env = "", append(o.Env, credentialsVariable+"="+credentials)
	})
	if o.code != 0 {
		t.Error(o.err)
	}
}

func FuzzCacheReadsAnything(f *testing.F) {
	dir := f.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 44)), 0o600); err != nil {
		f.Fatal(err)
	}
	c, err := openCache(&Offline{File: "/none/values", KeyFile: key}, os.Getenv, []byte("subject"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(cacheMagic))
	f.Add([]byte(cacheMagic + strings.Repeat("x", 60)))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := c.open(sealed); err == nil {
			t.Error("what nobody sealed was opened")
		}
	})
}
