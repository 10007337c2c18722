package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Parameters  []struct{ Name, In string }
		RequestBody *struct {
			Content map[string]struct {
				Schema struct{ Properties map[string]any }
			}
		}
		Sudo bool `json:"x-vault-sudo"`
	}
}

func readDocument(t *testing.T, s *server) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(s.must(http.MethodGet, "/v1/sys/internal/specs/openapi", "").body, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAPIListsEveryPath(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/sys/auth/approle", `{"type":"approle"}`)
	d := readDocument(t, s)
	if !strings.HasPrefix(d.OpenAPI, "3.") {
		t.Errorf("version %q", d.OpenAPI)
	}
	for _, tt := range []struct{ path, method string }{
		{"/sys/health", "get"}, {"/sys/init", "post"}, {"/sys/unseal", "post"}, {"/sys/mounts", "get"},
		{"/sys/mounts/{path}", "post"}, {"/sys/policies/acl/", "get"}, {"/sys/policies/acl/{name}", "post"},
		{"/secret/data/{path}", "patch"}, {"/secret/metadata/{path}/", "get"}, {"/cubbyhole/{path}", "delete"},
		{"/auth/token/create", "post"}, {"/auth/approle/login", "post"}, {"/sys/internal/specs/openapi", "get"},
	} {
		if _, ok := d.Paths[tt.path][tt.method]; !ok {
			t.Errorf("no %s %s", tt.method, tt.path)
		}
	}
	if !d.Paths["/sys/seal"]["post"].Sudo {
		t.Error("sys/seal is told not to need sudo")
	}
	create := d.Paths["/auth/token/create"]["post"].RequestBody.Content["application/json"].Schema.Properties
	if create["ttl"] == nil || create["policies"] == nil {
		t.Errorf("fields of auth/token/create: %v", create)
	}
}

var braces = regexp.MustCompile(`\{([^}]+)\}`)

// Tools that generate clients insist on both.
func TestOpenAPIIsSound(t *testing.T) {
	ids := map[string]string{}
	for path, item := range readDocument(t, newServer(t)).Paths {
		for method, op := range item {
			if other, taken := ids[op.OperationID]; taken {
				t.Errorf("%s is the id of %s %s and of %s", op.OperationID, method, path, other)
			}
			ids[op.OperationID] = method + " " + path
			var declared []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					declared = append(declared, p.Name)
				}
			}
			for _, m := range braces.FindAllStringSubmatch(path, -1) {
				if !slices.Contains(declared, m[1]) {
					t.Errorf("%s %s: {%s} is not declared", method, path, m[1])
				}
			}
		}
	}
}
