package core_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

func TestNoRecordNoWork(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	h.breakAudit(h.auditTo())
	done := false
	h.onLend = func(*logical.Request) { done = true }
	for _, tt := range []struct {
		name string
		op   logical.Op
		path string
	}{
		{"a read", logical.Read, "secret/a"},
		{"a write", logical.Write, "secret/b"},
		{"a login", logical.Write, "auth/door/login"},
		{"what would be refused", logical.Read, "nowhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := h.ask(rootText, tt.op, tt.path, "")
			if err == nil || a != nil || !strings.Contains(err.Error(), "could not be recorded") {
				t.Errorf("answer %v, error %v", a, err)
			}
		})
	}
	if done {
		t.Error("the engine has worked for a request that is not on record")
	}
}

func TestAnotherDeviceIsEnough(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	good := filepath.Join(t.TempDir(), "good.log")
	h.must(logical.Write, "sys/audit/good", `{"type":"file","options":{"file_path":"`+good+`"}}`)
	h.breakAudit(link)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	if lines := strings.Count(readAll(t, good), `"path":"secret/a"`); lines != 2 {
		t.Errorf("%d lines of the request, want one before and one after", lines)
	}
}

// No record, no answer: what the answer would have given away is taken back.
func TestWhatCannotBeRecordedIsTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   logical.Op
		path string
		wrap time.Duration
		text string
	}{
		{"a lease", logical.Read, "lend/creds", 0, "could not be recorded"},
		{"a login's token", logical.Write, "auth/door/login", 0, "outcome unknown"},
		{"a wrapped lease", logical.Read, "lend/creds", time.Minute, "could not be recorded"},
		{"a wrapped token", logical.Write, "auth/door/login", time.Minute, "outcome unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			link := h.auditTo()
			before := h.accessors()
			h.onLend = func(*logical.Request) { h.breakAudit(link) }
			call := h.call(rootText, tt.op, tt.path, "")
			call.WrapTTL = tt.wrap
			if _, err := h.Handle(t.Context(), call); err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("error %v", err)
			}
			if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
				t.Errorf("leases are left: %v %v", ids, err)
			}
			if after := h.accessors(); after != before {
				t.Errorf("%d tokens, %d before", after, before)
			}
			if tt.op == logical.Read && h.freed.Load() != 1 {
				t.Errorf("the engine has revoked %d leases", h.freed.Load())
			}
		})
	}
}

func TestARenewalThatCannotBeRecordedKeepsTheToken(t *testing.T) {
	h := newHouse(t)
	h.policy("app", `path "auth/token/renew-self" { capabilities = ["update"] }`)
	tok := h.must(logical.Write, "auth/door/login", "").Auth.ClientToken
	link := h.auditTo()
	h.onLend = func(*logical.Request) { h.breakAudit(link) }
	if _, err := h.ask(tok, logical.Write, "auth/token/renew-self", ""); err == nil {
		t.Fatal("an unrecorded renewal")
	}
	if _, err := h.Tokens().Lookup(t.Context(), "root", tok, h.now()); err != nil {
		t.Errorf("the token is gone: %v", err)
	}
}

// accessors counts the tokens.
func (h *house) accessors() int {
	h.t.Helper()
	n := 0
	if err := h.Tokens().Each(h.t.Context(), "root", h.now(), func(*token.Token) error { n++; return nil }); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestRefusedRequestsAreOnRecord(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	for _, tt := range []struct{ name, token, path, want string }{
		{"without a token", "", "secret/one", "permission denied"},
		{"with a bad token", "cfs.bad", "secret/two", "permission denied"},
		{"of a missing mount", rootText, "nowhere/three", "no handler for route"},
		{"of a missing secret", rootText, "secret/four", "not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := h.ask(tt.token, logical.Read, tt.path, ""); err == nil {
				t.Fatal("no refusal")
			}
			var types []string
			for line := range strings.Lines(readAll(t, link)) {
				var e struct {
					Type    string
					Error   string
					Request struct{ Path string }
				}
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err)
				}
				if e.Request.Path != tt.path {
					continue
				}
				types = append(types, e.Type)
				if e.Type == "response" && !strings.Contains(e.Error, tt.want) {
					t.Errorf("the record says %q", e.Error)
				}
			}
			if len(types) != 2 || types[0] != "request" || types[1] != "response" {
				t.Errorf("entries: %v", types)
			}
		})
	}
}

func TestAServerStartsWithADeviceThatCannotBeOpened(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.log"), filepath.Join(dir, "gone", "bad.log")
	if err := os.Mkdir(filepath.Dir(bad), 0o700); err != nil {
		t.Fatal(err)
	}
	enable := func(name, path string) {
		h.must(logical.Write, "sys/audit/"+name, `{"type":"file","options":{"file_path":"`+path+`"}}`)
	}
	enable("bad", bad)
	if err := h.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(bad)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Unseal(t.Context(), h.key.Reveal()); err == nil || !h.Sealed() {
		t.Fatalf("a server without a record: error %v, sealed %v", err, h.Sealed())
	}
	if err := os.Mkdir(filepath.Dir(bad), 0o700); err != nil {
		t.Fatal(err)
	}
	h.unseal()
	enable("good", good)
	if err := h.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(bad)); err != nil {
		t.Fatal(err)
	}
	h.unseal()
	h.must(logical.Read, "sys/mounts", "")
	if !strings.Contains(readAll(t, good), `"path":"sys/mounts"`) {
		t.Error("the good device has recorded nothing")
	}
}

func TestADeviceThatWasEnabledAnewIsAnother(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(dir, name)
		h.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+path+`"}}`)
		h.must(logical.Write, "secret/"+name, `{"v":1}`)
		h.must(logical.Delete, "sys/audit/file", "")
		if !strings.Contains(readAll(t, path), "secret/"+name) {
			t.Errorf("nothing of secret/%s in %s", name, name)
		}
	}
}

func TestSecretsStayOutOfTheRecord(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	const value = "canary-5f3a91bc"
	h.must(logical.Write, "secret/a", `{"password":"`+value+`","list":["`+value+`"],"deep":{"x":"`+value+`"}}`)
	h.must(logical.Read, "secret/a", "")
	tok := h.token(`{"policies":["default"],"meta":{"k":"v"}}`)
	h.must(logical.Write, "auth/token/lookup", `{"token":"`+tok+`"}`)
	wrapped := h.call(rootText, logical.Read, "secret/a", "")
	wrapped.WrapTTL = time.Minute
	a, err := h.Handle(t.Context(), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	h.must(logical.Write, "sys/wrapping/unwrap", `{"token":"`+a.Wrap.Token+`"}`)
	if _, err := h.ask(value, logical.Read, "secret/a", ""); err == nil {
		t.Fatal("a secret is no token")
	}
	for _, text := range []string{value, tok, a.Wrap.Token} {
		if strings.Contains(readAll(t, link), text) {
			t.Errorf("the audit holds %q", text)
		}
		if strings.Contains(h.log.String(), text) {
			t.Errorf("the log holds %q", text)
		}
	}
}
