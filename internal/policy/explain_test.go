package policy

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func mustExplainer(t testing.TB, who *Identity, texts ...string) *Explainer {
	t.Helper()
	var policies []*Policy
	for i, text := range texts {
		policies = append(policies, mustParse(t, string(rune('a'+i)), text))
	}
	e, err := NewExplainer(policies, who)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExplainSaysWhy(t *testing.T) {
	read := Query{Op: logical.Read, Path: "secret/data/app"}
	for _, c := range []struct {
		name     string
		policies []string
		q        Query
		reason   string // part of it
		decided  string // pattern
	}{
		{"a rule grants", []string{`path "secret/data/app" { capabilities = ["read"] }`}, read, `policy "a" grants "read" on "secret/data/app"`, "secret/data/app"},
		{"two policies grant", []string{`path "secret/*" { capabilities = ["read"] }`, `path "secret/*" { capabilities = ["read"] }`}, read, `policies "a", "b" grant "read"`, "secret/*"},
		{"no rule matches", []string{`path "other" { capabilities = ["read"] }`}, read, "no rule matches the path", ""},
		{"there is no policy", nil, read, "there are no policies", ""},
		{"a denial wins, and says over whom", []string{`path "secret/*" { capabilities = ["read"] }`, `path "secret/*" { capabilities = ["deny"] }`}, read, `policy "b" denies "secret/*", and "deny" wins over what policy "a" grants`, "secret/*"},
		{"a capability is missing", []string{`path "secret/data/app" { capabilities = ["list"] }`}, read, `the rule "secret/data/app" lacks "read"`, "secret/data/app"},
		{"sudo is missing", []string{`path "sys/seal" { capabilities = ["update"] }`}, Query{Op: logical.Update, Path: "/sys/seal", Sudo: true}, `needs "sudo" beside "update"`, "sys/seal"},
		{"the answer must be wrapped", []string{`path "a" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }`}, Query{Op: logical.Read, Path: "a"}, "at least 1m0s and at most 1h0m0s, and the answer would not be wrapped", "a"},
		{"it is wrapped for too long", []string{`path "a" { capabilities = ["read"] max_wrapping_ttl = "1h" }`}, Query{Op: logical.Read, Path: "a", WrapTTL: 2 * time.Hour}, "asks for 2h0m0s", "a"},
		{"a parameter is missing", []string{`path "a" { capabilities = ["update"] required_parameters = ["x", "y"] }`}, Query{Op: logical.Update, Path: "a", Body: []byte(`{"X":1}`)}, `missing: "y"`, "a"},
		{"a parameter is forbidden, whose value is not told", []string{`path "a" { capabilities = ["update"] denied_parameters = { "x" = ["hunter2"] } }`}, Query{Op: logical.Update, Path: "a", Body: []byte(`{"x":"hunter2","z":1}`)}, `or their values: "x"`, "a"},
		{"the body is no object", []string{`path "a" { capabilities = ["update"] required_parameters = ["x"] }`}, Query{Op: logical.Update, Path: "a", Body: []byte(`[]`)}, "no JSON object", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := mustExplainer(t, nil, c.policies...).Explain(c.q, "")
			decided := ""
			if x.Decided != nil {
				decided = x.Decided.Pattern
			}
			if !strings.Contains(x.Reason, c.reason) || decided != c.decided {
				t.Errorf("got %q by %q, want …%s… by %q", x.Reason, decided, c.reason, c.decided)
			}
			if strings.Contains(x.Reason, "hunter2") {
				t.Errorf("a value is told: %s", x.Reason)
			}
		})
	}
}

func TestExplainRoot(t *testing.T) {
	e, err := NewExplainer([]*Policy{Root()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := e.Explain(Query{Op: logical.Delete, Path: "sys/mounts/secret", Sudo: true}, "")
	if !x.Allowed || x.Decided != nil || !strings.Contains(x.Reason, "root") {
		t.Errorf("got %+v", x)
	}
	if _, err := NewExplainer([]*Policy{Root(), mustParse(t, "a", "")}, nil); err == nil {
		t.Error("root and another policy are taken")
	}
}

// Vault's order of rules, told by the rules that lose.
func TestExplainSaysWhyRulesLost(t *testing.T) {
	e := mustExplainer(t, nil, `
path "a/b/c/" { capabilities = ["list"] }
path "a/b/c" { capabilities = ["list"] }
path "a/b/+/" { capabilities = ["list"] }
path "a/b/*" { capabilities = ["list"] }
path "a/+/+/" { capabilities = ["list"] }
path "a/+/c/" { capabilities = ["list"] }
path "a/+/c*" { capabilities = ["list"] }
path "+/b/c/*" { capabilities = ["list"] }
path "+/b/*" { capabilities = ["list"] }
path "z/*" { capabilities = ["list"] }
`)
	left, first := "its first wildcard stands further to the left", "a path without wildcards comes first"
	for _, c := range []struct {
		name, path, decided string
		lost                [][2]string
	}{
		{"a path comes before all patterns", "a/b/c/", "a/b/c/", [][2]string{
			{"a/b/c", "the path with its slash comes first"},
			{"a/b/+/", first}, {"a/b/*", first}, {"a/+/c/", first}, {"a/+/+/", first}, {"a/+/c*", first}, {"+/b/c/*", first}, {"+/b/*", first},
		}},
		{"a star comes last of those that begin alike", "a/b/d/", "a/b/+/", [][2]string{
			{"a/b/*", `it ends in "*"`}, {"a/+/+/", left}, {"+/b/*", left},
		}},
		{"fewer plus signs come first", "a/x/c/", "a/+/c/", [][2]string{
			{"a/+/+/", `it has more "+" segments`}, {"a/+/c*", `it ends in "*"`},
		}},
		{"the longer comes first", "x/b/c/d", "+/b/c/*", [][2]string{{"+/b/*", "it is shorter"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := e.Explain(Query{Op: logical.List, Path: c.path}, "")
			if x.Decided == nil || x.Decided.Pattern != c.decided {
				t.Fatalf("got %+v, want %q to decide", x.Decided, c.decided)
			}
			var lost [][2]string
			for _, m := range x.Lost {
				lost = append(lost, [2]string{m.Pattern, m.Why})
			}
			if diff := cmp.Diff(c.lost, lost); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplainNamesStanzasByLine(t *testing.T) {
	e := mustExplainer(t, nil, "# web\npath \"a/*\" {\n  capabilities = [\"read\"]\n}\npath \"/a/*\" { capabilities = [\"list\"] }", `{"path": {"a/*": {"capabilities": ["update"]}}}`)
	x := e.Explain(Query{Op: logical.Read, Path: "a/b"}, "")
	want := &Match{
		Pattern: "a/*", Capabilities: []string{"list", "read", "update"},
		Stanzas: []Source{{"a", 2, "a/*"}, {"a", 5, "/a/*"}, {"b", 1, "a/*"}},
	}
	if diff := cmp.Diff(want, x.Decided); diff != "" {
		t.Error(diff)
	}
}

func TestExplainHints(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		op           logical.Op
		path, kv     string
		want         string // part of a hint; empty: no hint
	}{
		{"a policy without data/", `path "secret/app" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", `leaves out "data/"`},
		{"a request without data/", `path "secret/data/app" { capabilities = ["read"] }`, logical.Read, "secret/app", "", `"secret/data/app" is allowed, by policy "a" line 1`},
		{"a request without data/, on a known KV v2", `path "x" { capabilities = ["read"] }`, logical.Read, "secret/app", "secret/", `"secret/" is KV v2: requests and policies must name "secret/data/app"`},
		{"a list below data/", `path "secret/metadata/*" { capabilities = ["list"] }`, logical.List, "secret/data/app/", "", `lists them below "metadata/"`},
		{"a mount with a percent sign", `path "a%2/app" { capabilities = ["read"] }`, logical.Read, "a%2/data/app", "", `if "a%2/" is KV v2`},
		{"a star below the path", `path "secret/data/app/*" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", "matches what is below the path, not the path itself"},
		{"a slash too much", `path "secret/metadata/app" { capabilities = ["read"] }`, logical.Read, "secret/metadata/app/", "", "without the slash at its end"},
		{"a slash too few", `path "secret/metadata/app/" { capabilities = ["list"] }`, logical.List, "secret/metadata/app", "", "with a slash at its end"},
		{"a policy with v1", `path "v1/secret/data/app" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", `names a path with "v1/"`},
		{"a request with v1", `path "secret/data/app" { capabilities = ["read"] }`, logical.Read, "v1/secret/data/app", "", `paths without "v1/"`},
		{"upper case", `path "secret/data/App" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", "upper and lower case"},
		{"a namespace in the policy", `path "team/secret/data/app" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", `if that is a namespace`},
		{"create for update", `path "secret/data/app" { capabilities = ["create"] }`, logical.Update, "secret/data/app", "", `"create" is granted`},
		{"update for create", `path "secret/data/app" { capabilities = ["update"] }`, logical.Create, "secret/data/app", "", `"update" is granted`},
		{"a template of nobody", `path "secret/data/{{identity.entity.name}}" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "", "its template names what the caller does not have"},
		{"nothing is near", `path "kv/x" { capabilities = ["read"] }`, logical.Read, "secret/data/app", "secret/", ""},
		{"write for update, where only that is granted", `path "secret/data/app" { capabilities = ["create"] }`, logical.Write, "secret/data/app", "", `"create" is granted`},
		{"a denial has none", `path "secret/data/*" { capabilities = ["deny"] }`, logical.Read, "secret/data/app", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := mustExplainer(t, nil, c.policy).Explain(Query{Op: c.op, Path: c.path}, c.kv)
			all := strings.Join(x.Hints, "\n")
			if x.Allowed || !strings.Contains(all, c.want) || c.want == "" && all != "" {
				t.Errorf("allowed %v, hints %q, want …%s…", x.Allowed, all, c.want)
			}
			if strings.Contains(all, "%!") || strings.Contains(all, unlikely) {
				t.Errorf("a hint is badly written: %q", all)
			}
		})
	}
}

func TestExplainGrants(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		q            Query
		kv, want     string
	}{
		{"a path that no rule matches", ``, Query{Op: logical.Read, Path: "a/b"}, "", `path "a/b" { capabilities = ["read"] }`},
		{"a path of KV v2 with what is missing", ``, Query{Op: logical.List, Path: "kv/b/"}, "kv/", `path "kv/metadata/b/" { capabilities = ["list"] }`},
		{"what a path lacks is added to it", `path "a" { capabilities = ["read"] }`, Query{Op: logical.Update, Path: "a", Sudo: true}, "", `path "a" { capabilities = ["sudo", "update"] }`},
		{"what a pattern gives stays", `path "a/*" { capabilities = ["list"] }`, Query{Op: logical.Read, Path: "a/b"}, "", `path "a/b" { capabilities = ["list", "read"] }`},
		{"what a pattern restricts stays restricted", `path "a/*" { capabilities = ["read"] denied_parameters = { x = [] } }`, Query{Op: logical.Update, Path: "a/b"}, "", `path "a/*" { capabilities = ["update"] }`},
		{"nothing helps against a denial", `path "a/*" { capabilities = ["deny"] }`, Query{Op: logical.Read, Path: "a/b"}, "", ``},
		{"nothing helps against a forbidden parameter", `path "a" { capabilities = ["update"] denied_parameters = { x = [] } }`, Query{Op: logical.Update, Path: "a", Body: []byte(`{"x":1}`)}, "", ``},
		{"a star in a path is not made a pattern", ``, Query{Op: logical.Read, Path: "a/*"}, "", ``},
		{"braces in a path are not made a template", ``, Query{Op: logical.Read, Path: "a/{{identity.entity.id}}"}, "", ``},
		{"quotes are kept quoted", ``, Query{Op: logical.Read, Path: `a"b`}, "", `path "a\"b" { capabilities = ["read"] }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := mustExplainer(t, nil, c.policy).Explain(c.q, c.kv)
			if got := strings.Join(strings.Fields(x.Grant), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestExplainTellsWhereAWriteIsRefused(t *testing.T) {
	e := mustExplainer(t, nil, `path "a" { capabilities = ["update"] } path "b" { capabilities = ["update", "create"] }`)
	for _, c := range []struct {
		op    logical.Op
		path  string
		hints int
	}{{logical.Write, "a", 1}, {logical.Update, "a", 0}, {logical.Write, "b", 0}} {
		if x := e.Explain(Query{Op: c.op, Path: c.path}, ""); !x.Allowed || len(x.Hints) != c.hints {
			t.Errorf("%d %s: got %+v, want %d hints", c.op, c.path, x, c.hints)
		}
	}
}

// What Explain says is what Check does, its rule is the one that the naive reading
// of the documentation finds, and what it would grant is granted.
func FuzzExplainAgreesWithCheck(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		rules := randomNaive(rng)
		cut := rng.IntN(len(rules) + 1)
		acl := mustCompile(t, rules[cut:].text(), rules[:cut].text())
		e := mustExplainer(t, nil, rules[cut:].text(), rules[:cut].text())
		for range 15 {
			path := randomPath(rng, []string{"a", "b", "ab", "abc", "c", "data", ""})
			for _, op := range []logical.Op{logical.Read, logical.List, logical.Update} {
				q := Query{Op: op, Path: path, Sudo: rng.IntN(4) == 0}
				kv := []string{"", "a/"}[rng.IntN(2)]
				x := e.Explain(q, kv)
				if diff := cmp.Diff(acl.Check(q), x.Verdict()); diff != "" || x.Allowed != x.Verdict().Allowed {
					t.Fatalf("%v %q: %s\n%s", op, path, diff, rules.text())
				}
				checkExplanation(t, rules, q, x)
				if q.Path = x.Path; kv == "" && x.Grant != "" && !mustCompile(t, rules.text(), x.Grant).Check(q).Allowed {
					t.Fatalf("%v %q: %s grants nothing beside\n%s", op, path, x.Grant, rules.text())
				}
			}
		}
	})
}

func checkExplanation(t *testing.T, rules naive, q Query, x *Explanation) {
	t.Helper()
	trimmed := strings.TrimLeft(q.Path, "/")
	if x.Decided == nil {
		if len(x.Lost) > 0 || x.Verdict().Reason != NoRule {
			t.Fatalf("%q: no rule decides, and yet %+v", q.Path, x)
		}
	} else if want, got := rules.find(trimmed, q.Op == logical.List), x.Decided.Capabilities; !cmp.Equal(want, got) {
		t.Fatalf("%q: the rule that decides may %v, want %v\n%s", q.Path, got, want, rules.text())
	}
	for _, lost := range x.Lost {
		if lost.Why == "" || lost.Pattern == x.Decided.Pattern {
			t.Fatalf("%q: %+v lost against %+v", q.Path, lost, x.Decided)
		}
		if naiveMatch(x.Decided.Pattern, trimmed) && naiveMatch(lost.Pattern, trimmed) && naiveLess(x.Decided.Pattern, lost.Pattern) {
			t.Fatalf("%q: %q lost against %q", q.Path, lost.Pattern, x.Decided.Pattern)
		}
	}
	if x.Allowed && (x.Grant != "" || len(x.Hints) > 0) {
		t.Fatalf("%q is allowed, and yet %+v", q.Path, x)
	}
}
