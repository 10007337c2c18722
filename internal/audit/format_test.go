package audit

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

func testEntry() *Entry {
	mount := Mount{Point: "secret/", Type: "kv", Accessor: "kv_1", Class: "secret"}
	return &Entry{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600)),
		Auth: &Auth{
			ClientToken: "cfs.token", Accessor: "acc", DisplayName: "token",
			Policies: []string{"default", "dev"}, TokenPolicies: []string{"default", "dev"},
			Results:  &PolicyResults{Allowed: true, Granting: []string{"dev"}},
			Metadata: map[string]string{"role": "web"}, EntityID: "e-1",
			TokenType: logical.TokenService, TokenTTL: time.Hour, TokenIssueTime: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		},
		Request: Request{
			ID: "r-1", Op: logical.Update, Mount: mount, ClientToken: "cfs.token", TokenAccessor: "acc",
			Namespace: Namespace{ID: "root"}, Path: "secret/data/db",
			Data:    json.RawMessage(`{"data":{"password":"s3cret"},"options":{"cas":3}}`),
			Remote:  netip.MustParseAddrPort("127.0.0.1:4711"),
			Headers: []Header{{Name: "user-agent", Values: []string{"x"}, Hash: true}, {Name: "x-id", Values: []string{"1", "2"}}},
			WrapTTL: time.Minute,
		},
	}
}

func testResponse() *Response {
	return &Response{
		Auth:     &Auth{ClientToken: "cfs.new", Accessor: "acc2", NumUses: 3},
		Data:     json.RawMessage(`{"version":4}`),
		LeaseID:  "secret/data/db/1",
		Wrap:     &Wrap{Token: "cfs.wrap", Accessor: "acc3", WrappedAccessor: "acc4", TTL: time.Minute, CreationTime: time.Unix(0, 0), CreationPath: "p"},
		Warnings: []string{"look\nout"},
	}
}

// openTest returns a device on a file and what reads the file.
func openTest(t testing.TB, options map[string]string) (*Device, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	all := map[string]string{"file_path": path}
	for name, text := range options {
		all[name] = text
	}
	d, err := Open(Declared{Path: "file/", Type: "file", Options: all}, secret.Text(testSalt))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, func() string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// The whole of both entries, as Vault documents them.
func TestEntries(t *testing.T) {
	h := hashOf
	auth := map[string]any{
		"client_token": h("cfs.token"), "accessor": h("acc"), "display_name": "token",
		"policies": []any{"default", "dev"}, "token_policies": []any{"default", "dev"},
		"policy_results": map[string]any{
			"allowed":           true,
			"granting_policies": []any{map[string]any{"name": "dev", "namespace_id": "root", "type": "acl"}},
		},
		"metadata": map[string]any{"role": "web"}, "entity_id": "e-1",
		"token_type": "service", "token_ttl": json.Number("3600"), "token_issue_time": "2026-03-01T00:00:00Z",
	}
	request := map[string]any{
		"id": "r-1", "operation": "update",
		"mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_1", "mount_class": "secret",
		"client_token": h("cfs.token"), "client_token_accessor": h("acc"),
		"namespace": map[string]any{"id": "root"}, "path": "secret/data/db",
		"data":           map[string]any{"data": map[string]any{"password": h("s3cret")}, "options": map[string]any{"cas": json.Number("3")}},
		"remote_address": "127.0.0.1", "remote_port": json.Number("4711"),
		"headers":  map[string]any{"user-agent": []any{h("x")}, "x-id": []any{"1", "2"}},
		"wrap_ttl": json.Number("60"),
	}
	response := map[string]any{
		"auth":        map[string]any{"client_token": h("cfs.new"), "accessor": h("acc2"), "num_uses": json.Number("3")},
		"mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_1", "mount_class": "secret",
		"data":   map[string]any{"version": json.Number("4")},
		"secret": map[string]any{"lease_id": "secret/data/db/1"},
		"wrap_info": map[string]any{
			"token": h("cfs.wrap"), "accessor": h("acc3"), "wrapped_accessor": h("acc4"),
			"ttl": json.Number("60"), "creation_time": "1970-01-01T00:00:00Z", "creation_path": "p",
		},
		"warnings": []any{"look\nout"},
	}
	const at = "2026-03-01T11:00:00.000000005Z"
	want := []any{
		map[string]any{"time": at, "type": "request", "auth": auth, "request": request},
		map[string]any{"time": at, "type": "response", "auth": auth, "request": request, "response": response},
		map[string]any{"time": at, "type": "response", "auth": auth, "request": request, "error": "permission denied"},
	}

	d, read := openTest(t, nil)
	b := NewBroker()
	if err := b.Enable("file/", d); err != nil {
		t.Fatal(err)
	}
	e := testEntry()
	ctx := context.Background()
	if err := b.LogRequest(ctx, e); err != nil {
		t.Fatal(err)
	}
	e.Response = testResponse()
	if err := b.LogResponse(ctx, e); err != nil {
		t.Fatal(err)
	}
	e.Response, e.Error = nil, "permission denied"
	if err := b.LogResponse(ctx, e); err != nil {
		t.Fatal(err)
	}
	var got []any
	for line := range strings.Lines(read()) {
		got = append(got, decode(t, []byte(line)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOptionsChangeTheLine(t *testing.T) {
	list := func(e *Entry) {
		e.Request.Op = logical.List
		e.Response = &Response{Data: json.RawMessage(`{"keys":["k1","k2"]}`)}
	}
	for _, c := range []struct {
		name    string
		options map[string]string
		change  func(e *Entry)
		has     []string
		lacks   []string
	}{
		{"as it is", nil, nil, []string{hashOf("cfs.token"), hashOf("acc"), hashOf("s3cret")}, []string{"cfs.token", `"acc"`, "s3cret"}},
		{"raw", map[string]string{"log_raw": "true"}, nil, []string{"cfs.token", `"acc"`, "s3cret"}, []string{"hmac-sha256"}},
		{"accessors", map[string]string{"hmac_accessor": "false"}, nil, []string{`"acc"`, hashOf("cfs.token")}, []string{hashOf("acc")}},
		{"prefix", map[string]string{"prefix": "@cee: "}, nil, []string{"@cee: {"}, nil},
		{"plain request keys", nil, func(e *Entry) { e.PlainRequestKeys = []string{"data"} }, []string{"s3cret"}, nil},
		{"plain response keys", nil, func(e *Entry) { list(e); e.PlainResponseKeys = []string{"keys"} }, []string{`["k1","k2"]`}, nil},
		{"lists", nil, list, []string{hashOf("k1")}, []string{"k1"}},
		{"elided lists", map[string]string{"elide_list_responses": "true"}, list, []string{`{"keys":2}`}, []string{hashOf("k1")}},
		{"no caller", nil, func(e *Entry) { e.Auth, e.Request.ClientToken = nil, "" }, nil, []string{`"auth"`, "client_token\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, read := openTest(t, c.options)
			e := testEntry()
			if c.change != nil {
				c.change(e)
			}
			if err := d.log(context.Background(), e, typeResponse); err != nil {
				t.Fatal(err)
			}
			got := read()
			for _, want := range c.has {
				if !strings.Contains(got, want) {
					t.Errorf("lacks %s: %s", want, got)
				}
			}
			for _, bad := range c.lacks {
				if strings.Contains(got, bad) {
					t.Errorf("has %s: %s", bad, got)
				}
			}
		})
	}
}

// Secrets are planted wherever one may be, and looked for in every form. Names
// of members are the exception: they are written, as Vault does.
func TestCanary(t *testing.T) {
	var planted []string
	plant := func() string {
		s := "canary-" + hex.EncodeToString([]byte{byte(len(planted)), 0xc4}) + "-\"\\\n"
		planted = append(planted, s)
		return s
	}
	text := func() string { b, _ := json.Marshal(plant()); return string(b) }
	e := testEntry()
	e.Auth.ClientToken, e.Auth.Accessor = plant(), plant()
	e.Request.ClientToken, e.Request.TokenAccessor = plant(), plant()
	e.Request.Data = json.RawMessage(`{"a":` + text() + `,"b":[` + text() + `,{"c":{"d":` + text() + `}}]}`)
	e.Request.Headers[0].Values = []string{plant()}
	e.Response = testResponse()
	e.Response.Auth.ClientToken, e.Response.Auth.Accessor = plant(), plant()
	e.Response.Wrap.Token, e.Response.Wrap.Accessor, e.Response.Wrap.WrappedAccessor = plant(), plant(), plant()
	e.Response.Data = json.RawMessage(`[` + text() + `,{"keys":` + text() + `}]`)

	d, read := openTest(t, nil)
	if err := d.log(context.Background(), e, typeResponse); err != nil {
		t.Fatal(err)
	}
	got := read()
	if strings.Contains(got, "canary") {
		t.Errorf("a secret: %s", got)
	}
	for _, s := range planted {
		for _, form := range []string{base64.StdEncoding.EncodeToString([]byte(s))[:12], hex.EncodeToString([]byte(s))[:16]} {
			if strings.Contains(got, form) {
				t.Errorf("%q as %s: %s", s, form, got)
			}
		}
		if !strings.Contains(got, hashOf(s)) {
			t.Errorf("%q has no hash: %s", s, got)
		}
	}
}

func TestOptionsAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.log")
	for _, c := range []struct {
		name, typ string
		options   map[string]string
		want      string
	}{
		{"another type", "kafka", nil, `unknown backend type: "kafka"`},
		{"no address", "socket", nil, `"address" is required`},
		{"another type of socket", "socket", map[string]string{"address": "x", "socket_type": "sctp"}, `option "socket_type"`},
		{"no time", "socket", map[string]string{"address": "x", "write_timeout": "soon"}, `option "write_timeout"`},
		{"a time without end", "socket", map[string]string{"address": "x", "write_timeout": "2h"}, `option "write_timeout"`},
		{"no time at all", "socket", map[string]string{"address": "x", "write_timeout": "0"}, `option "write_timeout"`},
		{"a file's option", "socket", map[string]string{"address": "x", "mode": "0600"}, `unknown option "mode"`},
		{"an unknown facility", "syslog", map[string]string{"facility": "LOCAL8"}, `option "facility"`},
		{"a tag that ends early", "syslog", map[string]string{"tag": "a: b"}, `option "tag"`},
		{"a socket's option", "syslog", map[string]string{"address": "x"}, `unknown option "address"`},
		{"another way to sync", "file", map[string]string{"file_path": file, "sync": "sometimes"}, `option "sync"`},
		{"no path", "file", nil, `"file_path" is required`},
		{"an unknown option", "file", map[string]string{"file_path": file, "fille": "x"}, `unknown option "fille"`},
		{"no boolean", "file", map[string]string{"file_path": file, "log_raw": "maybe"}, `option "log_raw"`},
		{"another format", "file", map[string]string{"file_path": file, "format": "jsonx"}, `only "json"`},
		{"a mode that is none", "file", map[string]string{"file_path": file, "mode": "rw"}, `option "mode"`},
		{"an executable mode", "file", map[string]string{"file_path": file, "mode": "0700"}, `option "mode"`},
		{"a prefix of two lines", "file", map[string]string{"file_path": file, "prefix": "a\nb"}, "must not break the line"},
		{"a folder", "file", map[string]string{"file_path": dir}, "is a directory"},
		{"a folder that is missing", "file", map[string]string{"file_path": filepath.Join(dir, "no", "a.log")}, "no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(Declared{Path: "x/", Type: c.typ, Options: c.options}, secret.Text(testSalt))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want …%s…", err, c.want)
			}
			if kind, ok := err.(*logical.Error); !ok || kind.Kind != logical.ErrInvalid {
				t.Errorf("kind of %#v", err)
			}
		})
	}
}
