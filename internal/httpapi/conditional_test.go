package httpapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reader returns a token that may read what path names.
func (s *server) reader(path string) string {
	s.t.Helper()
	s.must(http.MethodPut, "/v1/sys/policies/acl/reader", `{"policy":"path \"`+path+`\" { capabilities = [\"read\"] }"}`)
	return s.must(http.MethodPost, "/v1/auth/token/create", `{"policies":["reader"]}`).text(s.t, "auth.client_token")
}

func TestWhoHasTheNewestVersionIsSentNothing(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/sys/mounts/old", `{"type":"kv"}`)
	s.must(http.MethodPost, "/v1/secret/data/db", `{"data":{"password":"one"}}`)
	s.must(http.MethodPost, "/v1/old/db", `{"password":"one"}`)
	for _, path := range []string{"/v1/secret/data/db", "/v1/old/db"} {
		t.Run(path, func(t *testing.T) {
			first := s.must(http.MethodGet, path, "").header.Get("ETag")
			if !strings.HasPrefix(first, `W/"`) {
				t.Fatalf("the tag is %q", first)
			}
			a := s.do(http.MethodGet, path, "", "If-None-Match", `"other", `+first)
			if a.status != http.StatusNotModified || len(a.body) > 0 || a.header.Get("ETag") != first || a.header.Get("Content-Type") != "" {
				t.Errorf("the same again: %d %s %v", a.status, a.body, a.header)
			}
			if a := s.do(http.MethodGet, path, "", "If-None-Match", `W/"other"`); a.status != http.StatusOK {
				t.Errorf("who has another: %d", a.status)
			}
			s.clock.advance(1)
			s.must(http.MethodPost, path, `{"data":{"password":"two"},"password":"two"}`)
			next := s.do(http.MethodGet, path, "", "If-None-Match", first)
			if next.status != http.StatusOK || next.header.Get("ETag") == first || !strings.Contains(string(next.body), "two") {
				t.Errorf("after a write: %d %s", next.status, next.body)
			}
		})
	}
}

func TestWhenATagDoesNotCount(t *testing.T) {
	s := newServer(t)
	const path = "/v1/secret/data/db"
	s.must(http.MethodPost, path, `{"data":{"password":"one"}}`)
	first := s.must(http.MethodGet, path, "").header.Get("ETag")
	s.must(http.MethodPost, path, `{"data":{"password":"two"}}`)
	second := s.must(http.MethodGet, path, "").header.Get("ETag")
	stranger := s.must(http.MethodPost, "/v1/auth/token/create", `{"policies":["none"]}`).text(t, "auth.client_token")
	for _, tt := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"an older version keeps its tag", "GET", path + "?version=1", []string{"If-None-Match", first}, 304},
		{"an older version is not the newest", "GET", path + "?version=1", []string{"If-None-Match", second}, 200},
		{"any will do", "GET", path, []string{"If-None-Match", "*"}, 304},
		{"who may not read is refused", "GET", path, []string{"If-None-Match", second, "X-Vault-Token", stranger}, 403},
		{"an answer that is wrapped is whole", "GET", path, []string{"If-None-Match", second, "X-Vault-Wrap-TTL", "60s"}, 200},
		{"what is nowhere is not found", "GET", "/v1/secret/data/none", []string{"If-None-Match", "*"}, 404},
		{"HEAD is not supported, as ever", "HEAD", path, []string{"If-None-Match", second}, 405},
		{"what does not parse is no tag", "GET", path, []string{"If-None-Match", `W/"` + second}, 200},
		{"another read has no tags", "GET", "/v1/secret/metadata/db", []string{"If-None-Match", "*"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do(tt.method, tt.path, "", tt.header...)
			if a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
			if wrapped := strings.Contains(tt.name, "wrapped"); wrapped && a.header.Get("ETag") != "" {
				t.Error("a wrapping token has a tag")
			}
		})
	}

	s.must(http.MethodDelete, path, "")
	if a := s.do(http.MethodGet, path, "", "If-None-Match", second); a.status != http.StatusNotFound || !strings.Contains(string(a.body), "deletion_time") {
		t.Errorf("deleted: %d %s", a.status, a.body)
	}
	s.must(http.MethodDelete, "/v1/secret/metadata/db", "")
	s.must(http.MethodPost, path, `{"data":{"password":"new"}}`)
	if a := s.do(http.MethodGet, path, "", "If-None-Match", first); a.status != http.StatusOK {
		t.Errorf("another secret with that path and version: %d", a.status)
	}
}

// Not being sent a version again is reading it: in the audit, and to rotations.
func TestANotModifiedAnswerIsOnRecord(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	s.must(http.MethodPut, "/v1/sys/audit/file", `{"type":"file","options":{"file_path":"`+file+`"}}`)
	const path = "/v1/secret/data/db"
	s.must(http.MethodPost, path, `{"data":{"password":"one"}}`)
	tag := s.must(http.MethodGet, path, "").header.Get("ETag")
	token := s.reader("secret/data/db")
	if a := s.do(http.MethodGet, path, "", "X-Vault-Token", token, "If-None-Match", tag); a.status != http.StatusNotModified {
		t.Fatalf("%d %s", a.status, a.body)
	}
	audit, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(audit), `"not_modified":true`); n != 1 {
		t.Errorf("%d lines of the audit tell of it", n)
	}
	consumers := s.must(http.MethodGet, "/v1/sys/coffer/consumers/secret/db", "")
	if !strings.Contains(string(consumers.body), `"version_read":1`) {
		t.Errorf("it is no consumer: %s", consumers.body)
	}
}
