package client

import (
	"errors"
	"net/http"
	"testing"
)

const (
	mountV2 = `200 {"request_id":"r","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`
	mountV1 = `200 {"request_id":"r","data":{"path":"old/kv/","type":"kv","options":null}}`
)

func TestReadKVFindsTheSecretOnEveryKindOfMount(t *testing.T) {
	v2 := `200 {"request_id":"r","data":{"data":{"k":"v"},"metadata":{"version":3,"created_time":"2026-01-02T03:04:05.6Z","deletion_time":"","destroyed":false,"custom_metadata":{"o":"p"}}}}`
	deleted := `404 {"request_id":"r","data":{"data":null,"metadata":{"version":2,"created_time":"2026-01-02T03:04:05Z","deletion_time":"2026-02-02T03:04:05Z","destroyed":false}}}`
	v1 := `200 {"request_id":"r","data":{"k":"v"}}`
	tests := []struct {
		name, path string
		version    int
		answers    []string
		asked      string
		mount, sub string
	}{
		{"version 2", "secret/db", 0, []string{mountV2, v2}, "/v1/secret/data/db", "secret/", "db"},
		{"version 2 with the infix", "secret/data/db", 0, []string{mountV2, v2}, "/v1/secret/data/db", "secret/", "db"},
		{"one of the versions", "secret/db", 3, []string{mountV2, v2}, "/v1/secret/data/db?version=3", "secret/", "db"},
		{"a deleted one", "secret/db", 0, []string{mountV2, deleted}, "/v1/secret/data/db", "secret/", "db"},
		{"version 1", "old/kv/db", 0, []string{mountV1, v1}, "/v1/old/kv/db", "old/kv/", "db"},
		{"an old server", "secret/db", 0, []string{`404 {"errors":[]}`, v1}, "/v1/secret/db", "", "secret/db"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{answers: tt.answers}
			kv, err := f.client(t, Config{}).ReadKV(t.Context(), tt.path, tt.version)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.seen[1].URL.RequestURI(); got != tt.asked {
				t.Errorf("asked %s, want %s", got, tt.asked)
			}
			if kv.Mount != tt.mount || kv.Path != tt.sub {
				t.Errorf("mount %q path %q", kv.Mount, kv.Path)
			}
			switch tt.name {
			case "version 2":
				if kv.Version != 3 || kv.Created.IsZero() || !kv.Deleted.IsZero() || kv.Data["k"] != "v" || kv.CustomMetadata["o"] != "p" {
					t.Errorf("%+v", kv)
				}
			case "a deleted one":
				if !kv.Gone() || kv.Version != 2 || kv.Deleted.IsZero() {
					t.Errorf("%+v", kv)
				}
			}
		})
	}
}

func TestReadKVTellsWhyThereIsNothing(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		f := &fake{answers: []string{mountV2, `404 {"errors":[]}`}}
		if _, err := f.client(t, Config{}).ReadKV(t.Context(), "secret/db", 0); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("refused before", func(t *testing.T) {
		f := &fake{answers: []string{`403 {"errors":["preflight capability check returned 403"]}`}}
		if _, err := f.client(t, Config{}).ReadKV(t.Context(), "secret/db", 0); StatusOf(err) != http.StatusForbidden {
			t.Error(err)
		}
	})
	t.Run("a version where there are none", func(t *testing.T) {
		f := &fake{answers: []string{mountV1}}
		if _, err := f.client(t, Config{}).ReadKV(t.Context(), "old/kv/db", 2); err == nil {
			t.Error("no error")
		}
	})
	t.Run("another mount", func(t *testing.T) {
		f := &fake{answers: []string{mountV2}}
		if _, err := f.client(t, Config{}).ReadKV(t.Context(), "other/db", 0); err == nil {
			t.Error("no error")
		}
	})
}

func TestPreflightIsNeverWrapped(t *testing.T) {
	f := &fake{answers: []string{mountV2}}
	if _, _, err := f.client(t, Config{WrapTTL: "1m"}).KVMount(t.Context(), "secret/db"); err != nil {
		t.Fatal(err)
	}
	if got := f.seen[0].Header.Get("X-Vault-Wrap-TTL"); got != "" {
		t.Error(got)
	}
}

func TestMountWithinDropsTheNamespace(t *testing.T) {
	for _, tt := range []struct{ path, mount, want string }{
		{"secret/db", "secret/", "secret/"},
		{"secret", "secret/", "secret/"},
		{"secret/db", "team/secret/", "secret/"},
		{"secrets/db", "secret/", ""},
		{"secret/db", "", ""},
	} {
		if got := mountWithin(tt.path, tt.mount); got != tt.want {
			t.Errorf("%s in %s: %q, want %q", tt.path, tt.mount, got, tt.want)
		}
	}
}
