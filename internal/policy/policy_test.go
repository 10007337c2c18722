package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

func mustParse(t testing.TB, name, text string) *Policy {
	t.Helper()
	p, err := Parse(name, text)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return p
}

func mustCompile(t testing.TB, texts ...string) *ACL {
	t.Helper()
	return mustCompileFor(t, nil, texts...)
}

func mustCompileFor(t testing.TB, who *Identity, texts ...string) *ACL {
	t.Helper()
	var policies []*Policy
	for i, text := range texts {
		policies = append(policies, mustParse(t, string(rune('a'+i)), text))
	}
	acl, err := Compile(policies, who)
	if err != nil {
		t.Fatal(err)
	}
	return acl
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for _, c := range []struct{ name, text, want string }{
		{"an unknown key at the top", "path \"a\" {}\nrule \"b\" {}", `line 2: invalid key "rule"`},
		{"an unknown key in a stanza", "path \"a\" {\n capabilites = [\"read\"]\n}", `line 2: path "a": invalid key "capabilites"`},
		{"an unknown capability", "path \"a\" {\n capabilities = [\"reed\"]\n}", `line 2: path "a": "capabilities": invalid capability "reed"`},
		{"an unknown legacy policy", `path "a" { policy = "all" }`, `invalid policy "all"`},
		{"a wildcard and a glob together", `path "a/+*" { capabilities = ["read"] }`, `"+*" is forbidden`},
		{"a key that is given twice", "path \"a\" {\n policy = \"read\"\n policy = \"deny\"\n}", `line 3: path "a": key "policy" was already set`},
		{"a key that JSON gives twice", `{"path":{"a":{"policy":"read","policy":"deny"}}}`, `key "policy" was already set`},
		{"a parameter that is given twice", `path "a" { allowed_parameters = { "x" = [] "X" = ["1"] } }`, `parameter "X" was already set`},
		{"a maximum below the minimum", `path "a" { min_wrapping_ttl = "2m" max_wrapping_ttl = 60 }`, "max_wrapping_ttl cannot be less"},
		{"a duration that is none", `path "a" { min_wrapping_ttl = "soon" }`, `"min_wrapping_ttl": expected a duration`},
		{"a control group", "path \"a\" {\n capabilities = [\"read\"]\n control_group = { ttl = \"1h\" }\n}", `line 3: path "a": "control_group": is not supported`},
		{"a second factor", `path "a" { mfa_methods = ["totp"] }`, "not supported"},
		{"a path without a block", `path = "a"`, "expected a path and a block"},
		{"a path without a name", `path { capabilities = ["read"] }`, `path "capabilities": expected a block`},
		{"an open template", `path "a/{{identity.entity.id" {}`, "unbalanced"},
		{"a closing template alone", `path "a/}}" {}`, "unbalanced"},
		{"an empty template", `path "a/{{ }}" {}`, "empty"},
		{"a glob after a wildcard in a template", `path "{{identity.entity.id}}/+*" {}`, "forbidden"},
		{"an open block", "path \"a\" {", "line 1"},
		{"an open text", "path \"a", "line 1"},
		{"a bad escape", "path \"\\q\" {}", "line 1"},
		{"no JSON", `{"path": }`, "malformed JSON"},
		{"half of JSON", "{\"path\":\n{", "ends before"},
		{"text after JSON", "{}\n{}", "line 2: text after the end"},
		{"a word instead of a value", "path \"a\" {\n capabilities = [\"read\"]\n comment = hunter2\n}", "line 3: expected a value: a text in quotes"},
		{"a null byte that hides the depth", "a {\x00} b = " + deep, "line 1: unexpected null character"},
		{"deep HCL", `path "a" { capabilities = ` + deep, "nested deeper"},
		{"deep JSON", `{"path": ` + deep, "nested deeper"},
		{"a long text", strings.Repeat(" ", MaxTextBytes+1), "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("test", c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

// The same policy in each of the ways in which it may be written.
func TestParseReadsEveryForm(t *testing.T) {
	for name, text := range map[string]string{
		"HCL":            `path "secret/a" { capabilities = ["read", "list"] }`,
		"legacy":         `path "secret/a" { policy = "read" }`,
		"leading slash":  `path "/secret/a" { capabilities = ["list", "read"] }`,
		"two stanzas":    `path "secret/a" { capabilities = ["read"] } path "secret/a" { capabilities = ["list"] }`,
		"both keys":      `path "secret/a" { policy = "read" capabilities = ["list"] }`,
		"with a name":    "name = \"x\"\npath \"secret/a\" { capabilities = [\"read\", \"list\"] comment = \"why\" }",
		"heredoc":        "path \"secret/a\" { capabilities = [\"read\", \"list\"]\n comment = <<EOT\nwhy\nEOT\n}",
		"JSON":           `{"path": {"secret/a": {"capabilities": ["read", "list"]}}}`,
		"JSON in a list": `{"path": [{"secret/a": {"capabilities": ["read"]}}, {"secret/a": {"capabilities": "list"}}]}`,
		"JSON, stanzas":  `{"path": {"secret/a": [{"capabilities": ["read"]}, {"policy": "read", "control_group": null}]}}`,
		"line endings":   "path \"secret/a\" {\r\n capabilities = [\"read\", \"list\"]\r\n}\r\n",
		"with a comment": "# one\n// two\n/* three */ path \"secret/a\" { policy = \"read\" } # four",
	} {
		t.Run(name, func(t *testing.T) {
			acl := mustCompile(t, text)
			if got := acl.Capabilities("secret/a"); !slices.Equal(got, []string{"list", "read"}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	const text = `
path "secret/*"             { capabilities = ["read"] }
path "secret/super-secret"  { capabilities = ["deny"] }
path "secret/zip-*"         { capabilities = ["read", "list"] }
path "secret/metadata"      { capabilities = ["list"] }
path "secret/nothing"       { capabilities = [] }
path "legacy/write"         { policy = "write" }
path "legacy/sudo"          { policy = "sudo" }
path "new"                  { capabilities = ["patch", "subscribe", "recover"] }
path "mixed"                { capabilities = ["read", "deny"] }
path "a*b"                  { capabilities = ["read"] }
`
	acl := mustCompile(t, text)
	for path, want := range map[string]string{
		"secret/foo":          "read",
		"/secret/foo":         "read",
		"secret/":             "read",
		"secret":              "deny",
		"secret/super-secret": "deny",
		"secret/zip-code":     "list read",
		"secret/zip":          "read",
		"secret/metadata":     "list",
		"secret/metadata/":    "list", // as a list is asked for
		"secret/nothing":      "deny",
		"legacy/write":        "create delete list read update",
		"legacy/sudo":         "create delete list read sudo update",
		"new":                 "patch recover subscribe",
		"mixed":               "deny",
		"a*b":                 "read",
		"axb":                 "deny", // only at the end is a star a glob
		"other":               "deny",
	} {
		if got := strings.Join(acl.Capabilities(path), " "); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// The order in which Vault's documentation ranks two paths that both match.
func TestPriority(t *testing.T) {
	for _, c := range []struct{ name, path, winner, loser string }{
		{"exact before a glob", "secret/foo", "secret/foo", "secret/*"},
		{"exact before a wildcard", "secret/foo", "secret/foo", "secret/+"},
		{"the longer glob", "secret/foo/bar", "secret/foo/*", "secret/*"},
		{"the later first wildcard", "secret/foo/bar", "secret/foo/+", "secret/+/bar"},
		{"the later first wildcard of glob and plus", "secret/foo/bar", "secret/foo/*", "secret/+/bar"},
		{"the later first wildcard of plus and glob", "secret/foo/bar", "secret/foo/+", "secret/fo*"},
		{"no glob before a glob", "secret/a/b/c", "secret/+/b/c", "secret/+/b/*"},
		{"no glob before a glob at the same place", "secret/a", "secret/+", "secret/*"},
		{"fewer wildcards", "secret/a/b/c", "secret/+/b/c", "secret/+/+/c"},
		{"fewer wildcards with globs", "secret/a/b/c", "secret/+/b/*", "secret/+/+/*"},
		{"a glob before a wildcard and a glob", "secret/a/b", "secret/*", "secret/+/*"},
		{"the longer", "secret/a/bcd/e", "secret/+/bcd*", "secret/+/b*"},
		{"the documented example", "secret/foo/bar/baz", "secret/foo/+/baz", "secret/+/+/baz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			winner := `path "` + c.winner + `" { capabilities = ["read"] }`
			loser := `path "` + c.loser + `" { capabilities = ["update"] }`
			for _, texts := range [][]string{{winner, loser}, {loser, winner}, {winner + loser}} {
				acl := mustCompile(t, texts...)
				if got := acl.Capabilities(c.path); !slices.Equal(got, []string{"read"}) {
					t.Errorf("%q: got %v", texts, got)
				}
			}
		})
	}
}

func TestWildcardsMatchWholeSegments(t *testing.T) {
	acl := mustCompile(t, `
path "a/+/c"     { capabilities = ["read"] }
path "b/+"       { capabilities = ["read"] }
path "+/config"  { capabilities = ["read"] }
path "d/+/e*"    { capabilities = ["read"] }
path "f/x+/g"    { capabilities = ["read"] }
path "g/+x/h"    { capabilities = ["read"] }
`)
	for path, want := range map[string]bool{
		"a/b/c": true, "a//c": true, "a/b/c/": false, "a/b/d": false, "a/b/b/c": false, "a/c": false, "a/b": false,
		"b/x": true, "b/": true, "b": false, "b/x/y": false,
		"any/config": true, "config": false, "any/config/x": false,
		"d/x/e": true, "d/x/ee/f": true, "d/x/f": false, "d/x": false,
		"f/x+/g": true, "f/xy/g": false,
		"g/+x/h": true, "g/yx/h": false,
	} {
		if got := acl.Check(Query{Op: logical.Read, Path: path}).Allowed; got != want {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

func TestListAlsoTakesTheRuleWithoutASlash(t *testing.T) {
	acl := mustCompile(t, `
path "secret/a"   { capabilities = ["list", "read"] }
path "secret/b"   { capabilities = ["list"] }
path "secret/b/"  { capabilities = ["deny"] }
path "secret/c*"  { capabilities = ["deny"] }
path "secret/c"   { capabilities = ["list"] }
`)
	for _, c := range []struct {
		op   logical.Op
		path string
		want bool
	}{
		{logical.List, "secret/a", true},
		{logical.List, "secret/a/", true},
		{logical.Read, "secret/a/", false},
		{logical.List, "secret/b/", false}, // it has a rule of its own
		{logical.List, "secret/c/", true},  // exact goes before glob
	} {
		if got := acl.Check(Query{Op: c.op, Path: c.path}).Allowed; got != c.want {
			t.Errorf("%v %s: got %v", c.op, c.path, got)
		}
	}
}

func TestPoliciesUniteAndDenyWins(t *testing.T) {
	read := `path "x" { capabilities = ["read"] } path "y/*" { capabilities = ["read"] }`
	update := `path "x" { capabilities = ["update", "sudo"] }`
	deny := `path "y/*" { capabilities = ["deny"] }`
	acl := mustCompile(t, read, update, deny, read)
	if got := acl.Capabilities("x"); !slices.Equal(got, []string{"read", "sudo", "update"}) {
		t.Errorf("x: %v", got)
	}
	if v := acl.Check(Query{Op: logical.Read, Path: "y/z"}); v.Allowed || v.Reason != DenyRule {
		t.Errorf("y/z: %+v", v)
	}
	if v := acl.Check(Query{Op: logical.Read, Path: "x"}); !v.Allowed || !slices.Equal(v.Policies, []string{"a", "d"}) {
		t.Errorf("x: %+v", v)
	}
}

func TestReasons(t *testing.T) {
	acl := mustCompile(t, `
path "p"    { capabilities = ["update"] }
path "root" { capabilities = ["update", "sudo"] }
path "w"    { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }
path "d"    { capabilities = ["deny"] }
path "req"  { capabilities = ["update"] required_parameters = ["Name"] denied_parameters = { "bad" = [] } }
`)
	for _, c := range []struct {
		name string
		q    Query
		want Reason
	}{
		{"granted", Query{Op: logical.Update, Path: "p"}, ByRule},
		{"write is update", Query{Op: logical.Write, Path: "p"}, ByRule},
		{"create is not update", Query{Op: logical.Create, Path: "p"}, MissingCapability},
		{"no rule", Query{Op: logical.Read, Path: "q"}, NoRule},
		{"denied", Query{Op: logical.Read, Path: "d"}, DenyRule},
		{"sudo", Query{Op: logical.Update, Path: "root", Sudo: true}, ByRule},
		{"no sudo", Query{Op: logical.Update, Path: "p", Sudo: true}, MissingSudo},
		{"not wrapped", Query{Op: logical.Read, Path: "w"}, WrapTTLOutOfRange},
		{"wrapped too short", Query{Op: logical.Read, Path: "w", WrapTTL: time.Second}, WrapTTLOutOfRange},
		{"wrapped too long", Query{Op: logical.Read, Path: "w", WrapTTL: 2 * time.Hour}, WrapTTLOutOfRange},
		{"wrapped well", Query{Op: logical.Read, Path: "w", WrapTTL: time.Hour}, ByRule},
		{"required is there", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`{"name":null}`)}, ByRule},
		{"required is missing", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`{"x":1}`)}, MissingParameter},
		{"no body", Query{Op: logical.Update, Path: "req"}, MissingParameter},
		{"a denied one", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`{"name":1,"BAD":1}`)}, ForbiddenParameter},
		{"no object", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`[1]`)}, UnreadableBody},
		{"half an object", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`{"name":1`)}, UnreadableBody},
		{"two objects", Query{Op: logical.Update, Path: "req", Body: json.RawMessage(`{"name":1}{}`)}, UnreadableBody},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := acl.Check(c.q)
			if v.Reason != c.want || v.Allowed != (c.want == ByRule) {
				t.Errorf("got %+v, want %v", v, c.want)
			}
		})
	}
}

func TestRoot(t *testing.T) {
	acl, err := Compile([]*Policy{Root()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := acl.Check(Query{Op: logical.Delete, Path: "sys/anything", Sudo: true})
	if !v.Allowed || v.Reason != ByRoot || !slices.Equal(v.Policies, []string{"root"}) {
		t.Errorf("%+v", v)
	}
	if got := acl.Capabilities("x"); !slices.Equal(got, []string{"root"}) {
		t.Errorf("%v", got)
	}
	if !acl.AnyBelow("nowhere/") {
		t.Error("root sees nothing")
	}
	if _, err := Compile([]*Policy{Root(), mustParse(t, "a", "")}, nil); err == nil {
		t.Error("root goes together with others")
	}
}

func TestNilAndEmptyAllowNothing(t *testing.T) {
	empty := mustCompile(t)
	for _, acl := range []*ACL{nil, empty} {
		if acl.Check(Query{Op: logical.Read, Path: "x"}).Allowed || acl.AnyBelow("") || acl.EventTypes("x") != nil {
			t.Error("something is allowed")
		}
		if got := acl.Capabilities("x"); !slices.Equal(got, []string{"deny"}) {
			t.Error(got)
		}
	}
}

func TestEventTypes(t *testing.T) {
	acl := mustCompile(t,
		`path "secret/*" { capabilities = ["subscribe"] subscribe_event_types = ["kv*"] }`,
		`path "secret/*" { capabilities = ["subscribe"] subscribe_event_types = ["a", "kv*"] }
		 path "other" { capabilities = ["read"] subscribe_event_types = ["*"] }`)
	if got := acl.EventTypes("secret/x"); !slices.Equal(got, []string{"a", "kv*"}) {
		t.Errorf("secret: %v", got)
	}
	if got := acl.EventTypes("other"); got != nil {
		t.Errorf("other: %v", got)
	}
}

func TestResultantShape(t *testing.T) {
	acl := mustCompile(t, `
path "a"     { capabilities = ["read", "create"] }
path "b/*"   { capabilities = ["list"] }
path "c/+/d" { capabilities = ["read"] }
path "c/+/*" { capabilities = ["deny"] }
`)
	got, err := json.Marshal(acl.Resultant())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"root":false,` +
		`"exact_paths":{"a":{"capabilities":["create","read"]},"c/+/d":{"capabilities":["read"]}},` +
		`"glob_paths":{"b/":{"capabilities":["list"]},"c/+/":{"capabilities":["deny"]}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	root, err := json.Marshal((&ACL{root: true}).Resultant())
	if err != nil || string(root) != `{"root":true}` {
		t.Errorf("root: %s, %v", root, err)
	}
}

func TestDefaultTextParses(t *testing.T) {
	p := mustParse(t, "default", DefaultText)
	if p.Templated() {
		t.Error("it depends on who asks, so that it can't be cached")
	}
	acl, err := Compile([]*Policy{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{
		{Op: logical.Read, Path: "auth/token/lookup-self"},
		{Op: logical.Update, Path: "auth/token/renew-self"},
		{Op: logical.Update, Path: "sys/capabilities-self"},
		{Op: logical.List, Path: "cubbyhole/"},
		{Op: logical.Update, Path: "sys/wrapping/unwrap"},
		{Op: logical.Update, Path: "sys/tools/hash/sha2-512"},
	} {
		if !acl.Check(q).Allowed {
			t.Errorf("%v %s is not allowed", q.Op, q.Path)
		}
	}
	for _, path := range []string{"secret/data/x", "sys/policies/acl/x", "auth/token/create"} {
		if got := acl.Capabilities(path); !slices.Equal(got, []string{"deny"}) {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	acl := mustCompile(t, benchmarkText)
	q := Query{Op: logical.Read, Path: "secret/data/team-7/app/config"}
	if !acl.Check(q).Allowed {
		t.Fatal("not allowed")
	}
	if n := testing.AllocsPerRun(100, func() { acl.Check(q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse holds Parse to its promise for hostile texts, and what it accepts to
// being usable.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		DefaultText, benchmarkText,
		`{"path": {"a/+/*": {"capabilities": ["read"], "allowed_parameters": {"a": [1, true, "x*", ["y"]]}}}}`,
		"path \"a\" { comment = <<-E\n x\n E\n min_wrapping_ttl = 0x7fffffffffffffffffff }",
		"path \"{{identity.entity.id}}\" \"b\" {}", "path \"\\U00110000\" {}", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("fuzz", text)
		if (p == nil) == (err == nil) {
			t.Fatalf("both or neither: %v, %v", p, err)
		}
		if err != nil {
			return
		}
		again, err := Parse("fuzz", text)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("read twice, it differs: %v", err)
		}
		acl, err := Compile([]*Policy{p}, &Identity{ID: "id", Name: "name"})
		if err != nil {
			t.Fatal(err)
		}
		for path := range acl.exact {
			acl.Check(Query{Op: logical.Update, Path: path, Body: json.RawMessage(`{"a":1}`)})
		}
		acl.AnyBelow("a/")
	})
}

var benchmarkText = DefaultText + `
path "secret/data/team-7/*"     { capabilities = ["create", "read", "update", "delete", "list"] }
path "secret/metadata/team-7/*" { capabilities = ["read", "list", "delete"] }
path "secret/data/+/shared/*"   { capabilities = ["read"] }
path "database/creds/+"         { capabilities = ["read"] }
path "transit/encrypt/team-7"   { capabilities = ["update"] }
`

func BenchmarkCheck(b *testing.B) {
	acl := mustCompile(b, benchmarkText)
	for name, path := range map[string]string{
		"exact": "auth/token/lookup-self",
		"glob":  "secret/data/team-7/app/config",
		"plus":  "secret/data/team-8/shared/x",
		"none":  "kv/data/x",
	} {
		q := Query{Op: logical.Read, Path: path}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				acl.Check(q)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	policies := []*Policy{mustParse(b, "a", benchmarkText)}
	for b.Loop() {
		if _, err := Compile(policies, nil); err != nil {
			b.Fatal(err)
		}
	}
}
