package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	// The generated client brings the document that it was generated from.
	_ "github.com/hashicorp/vault-client-go"
)

// document is as much of Vault's own OpenAPI document as is needed to judge
// answers by it.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Responses map[string]struct {
		Content map[string]struct {
			Schema *schema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
}

func loadDocument(t *testing.T) *document {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/hashicorp/vault-client-go").Output()
	try(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "openapi.json"))
	try(t, err)
	var d document
	try(t, json.Unmarshal(text, &d))
	return &d
}

// exchange is one documented call. Names in braces are filled in from fields.
type exchange struct {
	method, path string
	body         string
}

// fields are what the braces of paths stand for.
var fields = map[string]string{
	"approle_mount_path": "approle", "kv_v2_mount_path": "secret", "kv_v1_mount_path": "old",
	"role_name": "web", "name": "web", "path": "app/db",
}

// exchanges are every documented call of what coffer has, in an order in which
// they succeed. A path may begin with other fields: "path=secret /sys/mounts/{path}".
var exchanges = []exchange{
	{"GET", "/sys/health", ""},
	{"GET", "/sys/seal-status", ""},
	{"GET", "/sys/leader", ""},
	{"GET", "/sys/ha-status", ""},
	{"GET", "/sys/init", ""},
	{"GET", "/sys/host-info", ""},
	{"GET", "/sys/key-status", ""},
	{"POST", "/sys/rotate", ""},
	{"GET", "/sys/mounts", ""},
	{"POST", "path=old /sys/mounts/{path}", `{"type":"kv","options":{"version":"1"}}`},
	{"GET", "path=old /sys/mounts/{path}", ""},
	{"POST", "path=old /sys/mounts/{path}/tune", `{"default_lease_ttl":"1h","description":"d"}`},
	{"GET", "path=old /sys/mounts/{path}/tune", ""},
	{"GET", "/sys/auth", ""},
	{"POST", "path=approle /sys/auth/{path}", `{"type":"approle"}`},
	{"GET", "path=approle /sys/auth/{path}", ""},
	{"POST", "path=approle /sys/auth/{path}/tune", `{"max_lease_ttl":"10h"}`},
	{"GET", "path=approle /sys/auth/{path}/tune", ""},
	{"GET", "/sys/audit", ""},
	{"POST", "path=file /sys/audit/{path}", `{"type":"file","options":{"file_path":"AUDITFILE"}}`},
	{"POST", "path=file /sys/audit-hash/{path}", `{"input":"x"}`},
	{"GET", "/sys/audit", ""},
	{"DELETE", "path=file /sys/audit/{path}", ""},
	{"POST", "/sys/policies/acl/{name}", `{"policy":"path \"secret/data/app/*\" { capabilities = [\"read\"] }"}`},
	{"GET", "/sys/policies/acl/{name}", ""},
	{"GET", "/sys/policies/acl/", ""},
	{"GET", "/sys/policy", ""},
	{"GET", "/sys/policy/{name}", ""},
	{"POST", "name=other /sys/policy/{name}", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`},
	{"DELETE", "name=other /sys/policy/{name}", ""},
	{"POST", "/sys/capabilities", `{"token":"ROOT","paths":["secret/data/x"]}`},
	{"POST", "/sys/capabilities-self", `{"paths":["secret/data/x"]}`},
	{"GET", "/sys/internal/ui/mounts", ""},
	{"GET", "path=secret/app/db /sys/internal/ui/mounts/{path}", ""},
	{"GET", "/sys/internal/ui/resultant-acl", ""},
	{"GET", "/sys/internal/ui/namespaces", ""},
	{"GET", "/sys/internal/ui/feature-flags", ""},
	{"GET", "/sys/version-history/", ""},
	{"GET", "/sys/plugins/catalog", ""},
	{"GET", "type=secret /sys/plugins/catalog/{type}/", ""},
	{"GET", "type=secret name=kv /sys/plugins/catalog/{type}/{name}", ""},
	{"GET", "/sys/replication/status", ""},
	{"GET", "/sys/leases/count", ""},
	{"POST", "/sys/tools/random", `{"format":"hex"}`},
	{"POST", "/sys/tools/hash", `{"input":"YQ=="}`},
	{"POST", "/sys/wrapping/wrap", `{"a":"b"}`},

	{"POST", "/{kv_v2_mount_path}/config", `{"max_versions":9}`},
	{"GET", "/{kv_v2_mount_path}/config", ""},
	{"POST", "/{kv_v2_mount_path}/data/{path}", `{"data":{"a":"b"},"options":{"cas":0}}`},
	{"POST", "/{kv_v2_mount_path}/data/{path}", `{"data":{"a":"c"}}`},
	{"GET", "/{kv_v2_mount_path}/data/{path}", ""},
	{"GET", "/{kv_v2_mount_path}/subkeys/{path}", ""},
	{"POST", "/{kv_v2_mount_path}/metadata/{path}", `{"custom_metadata":{"owner":"team"},"max_versions":5}`},
	{"GET", "/{kv_v2_mount_path}/metadata/{path}", ""},
	{"GET", "path=app /{kv_v2_mount_path}/metadata/{path}/", ""},
	{"POST", "/{kv_v2_mount_path}/delete/{path}", `{"versions":[1]}`},
	{"POST", "/{kv_v2_mount_path}/undelete/{path}", `{"versions":[1]}`},
	{"POST", "/{kv_v2_mount_path}/destroy/{path}", `{"versions":[1]}`},
	{"DELETE", "/{kv_v2_mount_path}/data/{path}", ""},
	{"DELETE", "/{kv_v2_mount_path}/metadata/{path}", ""},
	{"POST", "/{kv_v1_mount_path}/{path}", `{"a":"b"}`},
	{"GET", "/{kv_v1_mount_path}/{path}", ""},
	{"GET", "path=app /{kv_v1_mount_path}/{path}/", ""},
	{"DELETE", "/{kv_v1_mount_path}/{path}", ""},
	{"POST", "/cubbyhole/{path}", `{"a":"b"}`},
	{"GET", "/cubbyhole/{path}", ""},
	{"GET", "path=app /cubbyhole/{path}/", ""},
	{"DELETE", "/cubbyhole/{path}", ""},

	{"POST", "/auth/token/create", `{"policies":["default"],"ttl":"1h"}`},
	{"POST", "/auth/token/create-orphan", `{"policies":["default"]}`},
	{"POST", "/auth/token/roles/{role_name}", `{"allowed_policies":["default"]}`},
	{"GET", "/auth/token/roles/{role_name}", ""},
	{"GET", "/auth/token/roles/", ""},
	{"POST", "/auth/token/create/{role_name}", `{}`},
	{"GET", "/auth/token/accessors/", ""},
	{"GET", "/auth/token/lookup-self", ""},
	{"POST", "/auth/token/lookup", `{"token":"ROOT"}`},
	{"DELETE", "/auth/token/roles/{role_name}", ""},

	{"POST", "/auth/{approle_mount_path}/role/{role_name}", `{"token_policies":"web","token_ttl":"10m","secret_id_bound_cidrs":"127.0.0.0/8"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}", ""},
	{"GET", "/auth/{approle_mount_path}/role/", ""},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/role-id", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/role-id", `{"role_id":"chosen-role-id"}`},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id", `{"metadata":"{\"a\":\"b\"}"}`},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/custom-secret-id", `{"secret_id":"chosen-secret-id"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/secret-id/", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id/lookup", `{"secret_id":"chosen-secret-id"}`},
	{"POST", "/auth/{approle_mount_path}/login", `{"role_id":"chosen-role-id","secret_id":"chosen-secret-id"}`},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id/destroy", `{"secret_id":"chosen-secret-id"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/policies", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/policies", `{"token_policies":"a,b"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/bind-secret-id", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/bind-secret-id", `{"bind_secret_id":true}`},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/bind-secret-id", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/bound-cidr-list", `{"bound_cidr_list":"127.0.0.1/32"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/bound-cidr-list", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id-bound-cidrs", `{"secret_id_bound_cidrs":"127.0.0.1/32"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/secret-id-bound-cidrs", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/secret-id-bound-cidrs", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id-num-uses", `{"secret_id_num_uses":5}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/secret-id-num-uses", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/secret-id-num-uses", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/secret-id-ttl", `{"secret_id_ttl":"1h"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/secret-id-ttl", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/secret-id-ttl", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/token-ttl", `{"token_ttl":60}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/token-ttl", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/token-ttl", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/token-max-ttl", `{"token_max_ttl":"2h"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/token-max-ttl", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/token-max-ttl", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/token-num-uses", `{"token_num_uses":3}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/token-num-uses", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/token-num-uses", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/token-bound-cidrs", `{"token_bound_cidrs":"127.0.0.1/32"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/token-bound-cidrs", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/token-bound-cidrs", ""},
	{"POST", "/auth/{approle_mount_path}/role/{role_name}/period", `{"token_period":"1h"}`},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/period", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}/period", ""},
	{"GET", "/auth/{approle_mount_path}/role/{role_name}/local-secret-ids", ""},
	{"POST", "/auth/{approle_mount_path}/tidy/secret-id", ""},
	{"DELETE", "/auth/{approle_mount_path}/role/{role_name}", ""},

	{"DELETE", "/sys/policies/acl/{name}", ""},
	{"DELETE", "path=approle /sys/auth/{path}", ""},
	{"DELETE", "path=old /sys/mounts/{path}", ""},
}

// Every answer has the status, the fields and the types of Vault's own document.
func TestAnswersAreWhatTheOpenAPIDocumentSays(t *testing.T) {
	doc := loadDocument(t)
	addr := startDev(t)
	auditFile := filepath.Join(t.TempDir(), "audit.log")
	for _, x := range exchanges {
		t.Run(x.method+" "+x.path, func(t *testing.T) {
			template, path := x.fill()
			op := doc.operation(t, template, x.method)
			body := strings.NewReplacer("ROOT", rootToken, "AUDITFILE", auditFile).Replace(x.body)
			status, answer := ask(t, x.method, addr+"/v1"+path, body)
			response, ok := op.Responses[strconv.Itoa(status)]
			if !ok && !sameAs204(op, status) {
				t.Fatalf("status %d, want one of %v: %s", status, slices.Collect(keysOf(op.Responses)), answer)
			}
			s := response.Content["application/json"].Schema
			if s == nil || status == http.StatusNoContent {
				return
			}
			judge{t, doc, x.method + " " + template}.compare("", payload(t, answer), s)
		})
	}
}

// sameAs204 takes 200 and 204 for one: the document has 200 for many writes that
// Vault answers with no content, and the clients take both.
func sameAs204(op operation, status int) bool {
	_, ok200 := op.Responses["200"]
	_, ok204 := op.Responses["204"]
	return status == http.StatusNoContent && ok200 || status == http.StatusOK && ok204
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// fill returns the path of the document and that of the request.
func (x exchange) fill() (template, path string) {
	words := strings.Fields(x.path)
	template = words[len(words)-1]
	path = template
	for _, word := range words[:len(words)-1] {
		name, value, _ := strings.Cut(word, "=")
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	for name, value := range fields {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	if x.method == http.MethodGet && strings.HasSuffix(path, "/") {
		path += "?list=true"
	}
	return template, path
}

func (d *document) operation(t *testing.T, path, method string) operation {
	t.Helper()
	raw, ok := d.Paths[path][strings.ToLower(method)]
	if !ok {
		t.Fatalf("the document has no %s %s", method, path)
	}
	var op operation
	try(t, json.Unmarshal(raw, &op))
	return op
}

func ask(t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	try(t, err)
	req.Header.Set("X-Vault-Token", rootToken)
	if strings.HasSuffix(url, "/wrapping/wrap") {
		req.Header.Set("X-Vault-Wrap-TTL", "1m")
	}
	resp, err := http.DefaultClient.Do(req)
	try(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	try(t, err)
	return resp.StatusCode, answer
}

// payload is what the document describes: the data of an envelope, or all of an
// answer that has none.
func payload(t *testing.T, answer []byte) any {
	t.Helper()
	var all map[string]any
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	try(t, dec.Decode(&all))
	if _, enveloped := all["request_id"]; enveloped {
		return all["data"]
	}
	return all
}

// departures are fields of the document that an answer may lack, or have in
// another type. "*" stands for every field of the answer.
var departures = map[string]string{
	"GET /sys/seal-status .hcp_link_status":                     "a service of HashiCorp's; absent without it",
	"GET /sys/seal-status .hcp_link_resource_ID":                "a service of HashiCorp's; absent without it",
	"GET /sys/leader .raft_committed_index":                     "of one storage; absent with others",
	"GET /sys/leader .raft_applied_index":                       "of one storage; absent with others",
	"GET /sys/leader .last_wal":                                 "of replication; absent without it",
	"GET /sys/mounts/{path}/tune *":                             "what was never tuned is absent",
	"GET /sys/auth/{path}/tune *":                               "what was never tuned is absent",
	"GET /sys/policies/acl/{name} .rules":                       "of the older sys/policy/{name}",
	"GET /sys/policies/acl/ .policies":                          "of the older sys/policy",
	"GET /sys/policy/{name} .policy":                            "of the newer sys/policies/acl/{name}",
	"GET /sys/internal/ui/resultant-acl .exact_paths":           "absent for root",
	"GET /sys/internal/ui/resultant-acl .glob_paths":            "absent for root",
	"GET /sys/plugins/catalog .detailed":                        "the document has an object, servers send a list",
	"GET /sys/leases/count .counts":                             "the document has a number, servers send an object",
	"GET /auth/{approle_mount_path}/role/{role_name} .period":   "deprecated; only where it was set",
	"GET /auth/{approle_mount_path}/role/{role_name} .policies": "deprecated; only where it was set",
}

// judge compares an answer with the document.
type judge struct {
	t    *testing.T
	doc  *document
	call string // method and path of the document
}

func (j judge) departs(field string) bool {
	_, one := departures[j.call+" "+field]
	_, all := departures[j.call+" *"]
	return one || all
}

func (j judge) compare(at string, v any, s *schema) {
	j.t.Helper()
	if s.Ref != "" {
		s = j.doc.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	if v == nil || j.departs(at) {
		return // null stands for what is empty
	}
	good := true
	switch s.Type {
	case "object":
		var object map[string]any
		if object, good = v.(map[string]any); good {
			j.compareFields(at, object, s)
		}
	case "array":
		var list []any
		list, good = v.([]any)
		for i, item := range list {
			if s.Items != nil {
				j.compare(fmt.Sprintf("%s[%d]", at, i), item, s.Items)
			}
		}
	case "string":
		_, text := v.(string)
		_, number := v.(json.Number)
		// The document has texts for times, which servers send as seconds.
		good = text || number && (strings.HasSuffix(at, "_ttl") || strings.HasSuffix(at, "period"))
	case "integer", "number":
		_, good = v.(json.Number)
	case "boolean":
		_, good = v.(bool)
	}
	if !good {
		j.t.Errorf("%s is %T, want %s", at, v, s.Type)
	}
}

func (j judge) compareFields(at string, object map[string]any, s *schema) {
	j.t.Helper()
	for name, property := range s.Properties {
		field, ok := object[name]
		if !ok && !j.departs(at+"."+name) {
			j.t.Errorf("%s.%s is missing", at, name)
		}
		j.compare(at+"."+name, field, property)
	}
}
