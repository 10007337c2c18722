package canary_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// unswept are paths that would end the test.
var unswept = []string{"/sys/seal", "/auth/token/revoke-self"}

// repeated are fields whose values the caller is told again, and so is the audit
// in the text of the error, when they are none that fits. They take one of a few
// words, a network, a path, or the name of a policy: which one did not fit is what
// helps.
var repeated = []string{
	"type", "plugin_name", "token_type", "format", "algorithm", "source", "listing_visibility", "level", "path", "target",
	"bound_cidrs", "bound_cidr_list", "token_bound_cidrs", "secret_id_bound_cidrs", "cidr_list",
	"policies", "token_policies", "allowed_policies", "disallowed_policies",
}

// labels are fields that say what a token is called and may do. Each request that
// it makes is on record with them.
var labels = []string{"meta", "metadata", "display_name", "policies", "token_policies", "entity_alias"}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// openAPI is as much of the server's description as the sweep needs.
type openAPI struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Schema struct {
					Properties map[string]json.RawMessage `json:"properties"`
				} `json:"schema"`
			} `json:"content"`
		} `json:"requestBody"`
		Parameters []struct {
			Name string `json:"name"`
			In   string `json:"in"`
		} `json:"parameters"`
	} `json:"paths"`
}

// sweep puts a secret of its own into each field of every request that the
// server describes. Who adds an endpoint adds doors.
func (w *world) sweep() {
	w.t.Helper()
	var doc openAPI
	if err := json.Unmarshal(w.must("GET", "sys/internal/specs/openapi", "").body, &doc); err != nil {
		w.t.Fatal(err)
	}
	fields := 0
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if slices.Contains(unswept, path) {
			continue
		}
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			about := doc.Paths[path][method]
			for kind, content := range about.RequestBody.Content {
				for _, field := range slices.Sorted(maps.Keys(content.Schema.Properties)) {
					w.sweepBody(strings.ToUpper(method), path, kind, field)
					fields++
				}
			}
			for _, p := range about.Parameters {
				if p.In == "query" && p.Name != "list" && method == "get" {
					w.sweepQuery(path, p.Name)
					fields++
				}
			}
		}
	}
	if fields < 200 {
		w.t.Errorf("only %d fields were swept", fields)
	}
}

func sweepDoor(method, path, field string, plant func(w *world, s string)) *door {
	d := &door{name: fmt.Sprintf("%s of %s %s", field, method, path), plant: plant, shows: shows{}, unproven: true}
	if slices.Contains(repeated, field) {
		d.shows[answers], d.shows[records] = isOwn, isOwn
	}
	if slices.Contains(labels, field) {
		d.shows[records] = isMeta
	}
	if strings.HasPrefix(path, "/sys/capabilities") && strings.HasPrefix(field, "path") {
		d.shows[records] = inKeys
	}
	if path == "/sys/quotas/config" {
		d.shows[state] = "who may read the settings of quotas sees them"
	}
	return d
}

func (w *world) sweepBody(method, path, kind, field string) {
	at := pathParameter.ReplaceAllString(path, "swept")[1:]
	w.use(sweepDoor(method, path, field, func(w *world, s string) {
		for _, value := range []string{`"` + s + `"`, `["` + s + `"]`, `{"k":"` + s + `"}`, `{"k":["` + s + `"]}`} {
			w.sweepAsk(method, at, fmt.Sprintf(`{%q:%s}`, field, value), kind)
		}
	}))
}

func (w *world) sweepQuery(path, field string) {
	at := pathParameter.ReplaceAllString(path, "swept")[1:]
	w.use(sweepDoor("GET", path, field, func(w *world, s string) {
		list := ""
		if strings.HasSuffix(path, "/") {
			list = "&list=true"
		}
		w.sweepAsk(http.MethodGet, at, "", "", field+"="+s+list)
	}))
}

func (w *world) sweepAsk(method, path, body, kind string, query ...string) {
	if len(query) > 0 {
		path += "?" + query[0]
	}
	a := w.ask(w.url, method, path, body, true, "Content-Type", kind)
	if a.status >= http.StatusInternalServerError {
		w.t.Errorf("%s %s %s: %d %s", method, path, body, a.status, a.body)
	}
}
