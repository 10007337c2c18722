package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestParseTableReadsEveryForm(t *testing.T) {
	const asJSON = `{"policies": "web.hcl", "check": [
  {"as": ["web", "default"], "do": ["read", "write"], "path": "secret/data/a", "allow": true, "because": "it must"},
  {"as": "web", "do": "update", "path": "a", "allow": false, "parameters": {"n": 1}, "sudo": true, "wrap_ttl": "1m",
   "entity": {"id": "7", "name": "w", "metadata": {"team": "x"}}}]}`
	const asHCL = `
policies = "web.hcl"
check {
  as      = ["web", "default"]
  do      = ["read", "write"]
  path    = "secret/data/a"
  allow   = true
  because = "it must"
}
check {
  as         = "web"
  do         = "update"
  path       = "a"
  allow      = false
  parameters { n = 1 }
  sudo       = true
  wrap_ttl   = "1m"
  entity {
    id   = "7"
    name = "w"
    metadata { team = "x" }
  }
}`
	fromJSON, err := ParseTable([]byte(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	fromHCL, err := ParseTableHCL([]byte(asHCL))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []*Table{fromJSON, fromHCL} {
		table.Rows[1].Parameters = []byte(strings.Join(strings.Fields(string(table.Rows[1].Parameters)), ""))
	}
	if diff := cmp.Diff(fromJSON, fromHCL); diff != "" {
		t.Error(diff)
	}
	if got := fromJSON.Rows[0].Do; !cmp.Equal(got, []logical.Op{logical.Read, logical.Write}) {
		t.Errorf("got %v", got)
	}
}

func TestParseTableRefuses(t *testing.T) {
	row := func(text string) string { return `{"check": [` + text + `]}` }
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", `[`, "no table of checks"},
		{"text after the end", `{"check": []} {}`, "follows its end"},
		{"no check", `{"policies": ["a.hcl"]}`, "no check"},
		{"an unknown key", row(`{"ass": ["a"]}`), "ass"},
		{"nobody asks", row(`{"do": "read", "path": "a", "allow": true}`), `check 1: "as" is missing`},
		{"nothing is asked", row(`{"as": "a", "path": "a", "allow": true}`), `"do" is missing`},
		{"an unknown verb", row(`{"as": "a", "do": "look", "path": "a", "allow": true}`), `"look"`},
		{"no path", row(`{"as": "a", "do": "read", "path": "/", "allow": true}`), `"path" is missing`},
		{"no verdict", row(`{"as": "a", "do": "read", "path": "a"}`), `"allow" is missing`},
		{"parameters that are no object", row(`{"as": "a", "do": "read", "path": "a", "allow": true, "parameters": [1]}`), `"parameters" is no object`},
		{"a TTL that is none", row(`{"as": "a", "do": "read", "path": "a", "allow": true, "wrap_ttl": "soon"}`), `"wrap_ttl"`},
		{"the second check", row(`{"as": "a", "do": "read", "path": "a", "allow": true}, {}`), "check 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseTable([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, text, want string }{
		{"HCL: a check that is no block", `check = 1`, "expected a block"},
		{"HCL: a key twice", "policies = \"a\"\npolicies = \"b\"", "already set"},
		{"HCL: no HCL", `check {`, "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseTableHCL([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestRowChecksForAnEntity(t *testing.T) {
	table, err := ParseTable([]byte(`{"check": [{"as": "a", "do": ["read", "list"], "path": "home/ann", "allow": true, "entity": {"name": "ann"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := mustParse(t, "a", `path "home/{{identity.entity.name}}" { capabilities = ["read"] }`)
	got, err := table.Rows[0].Check([]*Policy{p})
	if err != nil || len(got) != 2 || !got[0].Allowed || got[1].Allowed {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCoverageKnowsWhatDecidedNothing(t *testing.T) {
	p := mustParse(t, "a", "path \"x/*\" { capabilities = [\"read\"] }\npath \"x/y\" { capabilities = [\"read\"] }\npath \"z\" { capabilities = [\"deny\"] }")
	e, err := NewExplainer([]*Policy{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var c Coverage
	if got := c.Untouched(p); len(got) != 3 {
		t.Errorf("got %v, want all", got)
	}
	for _, path := range []string{"x/y", "z", "nowhere"} {
		c.Add(e.Explain(Query{Op: logical.Read, Path: path}, ""))
	}
	if diff := cmp.Diff([]Source{{"a", 1, "x/*"}}, c.Untouched(p)); diff != "" {
		t.Error(diff)
	}
}

// Whatever the bytes, there is a table whose rows can be checked, or a reason.
func FuzzParseTable(f *testing.F) {
	f.Add([]byte(`{"check": [{"as": "a", "do": "read", "path": "a", "allow": true}]}`))
	f.Add([]byte("check {\n as = \"a\"\n do = \"read\"\n path = \"a\"\n allow = true\n}"))
	f.Add([]byte(`{"check": [{"as": null, "parameters": {"a": 1e999}}]}`))
	p := mustParse(f, "a", `path "a" { capabilities = ["read"] required_parameters = ["x"] }`)
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func([]byte) (*Table, error){ParseTable, ParseTableHCL} {
			table, err := parse(text)
			if err != nil {
				continue
			}
			for i := range table.Rows {
				if got, err := table.Rows[i].Check([]*Policy{p}); err != nil || len(got) != len(table.Rows[i].Do) {
					t.Fatalf("check %d: %v, %v", i+1, got, err)
				}
			}
		}
	})
}
