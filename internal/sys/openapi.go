package sys

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/version"
)

var specRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "internal/specs/openapi", Do: (*system).openAPI, Help: "Describe every path in the form of OpenAPI 3."},
	{Op: logical.Write, Path: "internal/specs/openapi", Do: (*system).openAPI, Help: "Describe every path in the form of OpenAPI 3."},
}

// bareEndpoints are what internal/httpapi serves itself, because it must answer
// while the server is sealed, or makes several calls of one request: path →
// operations → help.
var bareEndpoints = map[string]map[logical.Op]string{
	"sys/health":      {logical.Read: "Tell by the status whether the server serves."},
	"sys/seal-status": {logical.Read: "Tell how far the server is from being unsealed."},
	"sys/leader":      {logical.Read: "Tell which node leads."},
	"sys/init":        {logical.Read: "Tell whether the server is initialized.", logical.Write: "Initialize the server."},
	"sys/unseal":      {logical.Write: "Give one share of the unseal key, or begin again."},
	"sys/generate-root/attempt": {
		logical.Read: "Tell how far a new root token is.", logical.Write: "Begin to make a root token.",
		logical.Delete: "Cancel the making of a root token.",
	},
	"sys/generate-root/update": {logical.Write: "Give one share towards a root token."},
	"sys/coffer/batch":         {logical.Write: "Make many reads in one request, each authorised and recorded on its own."},
	"sys/rekey/init": {
		logical.Read: "Tell how far a change of the root key is.", logical.Write: "Begin to change the root key and its shares.",
		logical.Delete: "Cancel the change of the root key.",
	},
	"sys/rekey/update": {logical.Write: "Give one share of the root key in use."},
	"sys/rekey/verify": {
		logical.Read: "Tell how far the verification of new shares is.", logical.Write: "Give one of the new shares back.",
		logical.Delete: "Begin the verification anew.",
	},
	"sys/rekey-recovery-key/init": {
		logical.Read: "Tell how far a change of the recovery key is.", logical.Write: "Begin to change the recovery key and its shares.",
		logical.Delete: "Cancel the change of the recovery key.",
	},
	"sys/rekey-recovery-key/update": {logical.Write: "Give one share of the recovery key in use."},
	"sys/rekey-recovery-key/verify": {
		logical.Read: "Tell how far the verification of new shares is.", logical.Write: "Give one of the new shares back.",
		logical.Delete: "Begin the verification anew.",
	},
}

// openAPI answers without the envelope, as tools expect it.
func (s *system) openAPI(context.Context, *logical.Request) (*logical.Response, error) {
	paths := object{}
	for _, m := range s.House.Mounts().All() {
		for _, e := range m.Engine.Endpoints.All() {
			describeEndpoint(paths, m, e)
		}
	}
	for path, ops := range bareEndpoints {
		for op, help := range ops {
			addOperation(paths, "/"+path, op, &logical.Action{Open: true, Help: help}, "system", nil)
		}
	}
	body, err := json.Marshal(object{
		"openapi": "3.0.2",
		"info": object{
			"title": "coffer API", "version": version.Full(),
			"description": "HTTP API of coffer, which is that of HashiCorp Vault. All paths are below /v1/.",
		},
		"paths": paths,
	})
	if err != nil {
		return nil, err
	}
	return &logical.Response{Raw: &logical.Raw{Status: http.StatusOK, ContentType: "application/json", Body: body}}, nil
}

var pathField = regexp.MustCompile(`\{([^}.]+)(\.\.\.)?\}`)

func describeEndpoint(paths object, m *mount.Mounted, e *logical.Endpoint) {
	path := "/" + m.Path + pathField.ReplaceAllString(e.Pattern, "{$1}")
	var names []string
	for _, match := range pathField.FindAllStringSubmatch(e.Pattern, -1) {
		names = append(names, match[1])
	}
	for _, op := range []logical.Op{logical.Read, logical.List, logical.Write, logical.Patch, logical.Delete} {
		if a := e.Action(op); a != nil {
			addOperation(paths, path, op, a, m.Type, names)
		}
	}
}

var methods = map[logical.Op]string{
	logical.Read: "get", logical.List: "get", logical.Write: "post", logical.Patch: "patch", logical.Delete: "delete",
}

// addOperation describes one operation. A list is a GET of the path with a slash
// at its end, as in Vault's document.
func addOperation(paths object, path string, op logical.Op, a *logical.Action, tag string, names []string) {
	if op == logical.List {
		path = strings.TrimSuffix(path, "/") + "/"
	}
	about := object{
		"summary": a.Help, "tags": []string{tag}, "operationId": operationID(methods[op], path),
		"responses": object{"200": object{"description": "OK"}, "204": object{"description": "nothing to say"}},
	}
	if a.Sudo {
		about["x-vault-sudo"] = true
	}
	if a.Open {
		about["x-vault-unauthenticated"] = true
	}
	var parameters []object
	for _, name := range names {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	switch op {
	case logical.List:
		parameters = append(parameters, object{"name": "list", "in": "query", "required": true,
			"schema": object{"type": "string", "enum": []string{"true"}}})
		fallthrough
	case logical.Read, logical.Delete:
		parameters = append(parameters, queryParameters(a.Fields, names)...)
	case logical.Write, logical.Patch:
		if schema := bodySchema(a.Fields, names); schema != nil {
			about["requestBody"] = object{"content": object{bodyType(op): object{"schema": schema}}}
		}
	}
	if parameters != nil {
		about["parameters"] = parameters
	}
	item, ok := paths[path].(object)
	if !ok {
		item = object{}
		paths[path] = item
	}
	item[methods[op]] = about
}

func bodyType(op logical.Op) string {
	if op == logical.Patch {
		return "application/merge-patch+json"
	}
	return "application/json"
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// operationID keeps a-b/c and a/b-c apart.
func operationID(method, path string) string {
	path = strings.ReplaceAll(path, "-", "_")
	id := method + "-" + strings.Trim(notInID.ReplaceAllString(path, "-"), "-")
	if strings.HasSuffix(path, "/") {
		id += "-list"
	}
	return id
}

// fieldNames returns the fields that are not part of the path, sorted.
func fieldNames(fields logical.Fields, inPath []string) []string {
	var names []string
	for name := range fields {
		if !slices.Contains(inPath, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func queryParameters(fields logical.Fields, inPath []string) []object {
	var parameters []object
	for _, name := range fieldNames(fields, inPath) {
		parameters = append(parameters, object{
			"name": name, "in": "query", "description": fields[name].Help, "schema": fieldSchema(fields[name].Type),
		})
	}
	return parameters
}

func bodySchema(fields logical.Fields, inPath []string) object {
	properties := object{}
	for _, name := range fieldNames(fields, inPath) {
		schema := fieldSchema(fields[name].Type)
		schema["description"] = fields[name].Help
		properties[name] = schema
	}
	if len(properties) == 0 {
		return nil
	}
	return object{"type": "object", "properties": properties}
}

func fieldSchema(t logical.FieldType) object {
	switch t {
	case logical.Bool:
		return object{"type": "boolean"}
	case logical.Int:
		return object{"type": "integer"}
	case logical.Duration:
		return object{"type": "string", "format": "duration"}
	case logical.Texts:
		return object{"type": "array", "items": object{"type": "string"}}
	case logical.Ints:
		return object{"type": "array", "items": object{"type": "integer"}}
	case logical.TextMap, logical.Object:
		return object{"type": "object"}
	case logical.Any:
		return object{}
	case logical.Time:
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": "string"}
}
