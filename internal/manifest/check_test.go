package manifest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// refusing is a Resolver that has nothing for some names, and no values.
type refusing struct{ failures []secrets.Failure }

func (r refusing) Resolve(ctx context.Context, templates map[string]secrets.Template) (*secrets.Resolved, error) {
	var left []secrets.Failure
	for _, f := range r.failures {
		if _, asked := templates[f.Name]; asked {
			left = append(left, f)
		}
	}
	if len(left) > 0 {
		return nil, &secrets.ResolveError{Failures: left}
	}
	return secrets.NewResolver(nil).Resolve(ctx, templates)
}

func TestEachEntryHasItsOwnState(t *testing.T) {
	m, err := Parse("m.yml", []byte(`secrets:
  ABSENT: {reference: "vault:a/b#c"}
  DENIED: {reference: "vault:a/b#d"}
  DOWN: {reference: "vault:a/b#e"}
  EMPTY: {}
  NUL: {}
  BAD: {}
  WRONG: {type: int}
  GOOD: {type: int}
  OPTIONAL: {required: false, type: int}
  DEFAULT: {default: 5, type: int}
`))
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{"EMPTY": "", "NUL": "a\x00", "BAD": "vault:hunter2", "WRONG": "hunter2", "GOOD": "5"}
	lookup := func(name string) (string, bool) { v, ok := given[name]; return v, ok }
	r := refusing{[]secrets.Failure{
		{Name: "ABSENT", Err: secrets.ErrAbsent},
		{Name: "DENIED", Err: &client.Error{Status: 403, Path: "a/data/b"}},
		{Name: "DOWN", Err: errors.New("no route to host")},
	}}
	findings, _ := m.Check(t.Context(), r, lookup)
	got := map[string]State{}
	for _, f := range findings {
		got[f.Name] = f.State
		if strings.Contains(f.Text, "hunter2") {
			t.Errorf("%s: %s", f.Name, f.Text)
		}
	}
	want := map[string]State{
		"ABSENT": Missing, "DENIED": Denied, "DOWN": Failed, "EMPTY": Missing, "NUL": WrongType, "BAD": Malformed, "WRONG": WrongType,
		"GOOD": OK, "OPTIONAL": OK, "DEFAULT": OK,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	findings, _ = m.Check(t.Context(), nil, lookup)
	for _, f := range findings {
		if asked := f.State == Unasked; asked != (f.Reference != "") {
			t.Errorf("without a server: %s is %s", f.Name, f.State)
		}
	}
}

func TestPoliciesGrantWhatWasDenied(t *testing.T) {
	findings := []Finding{
		{State: Denied, Path: "secret/data/b"}, {State: Denied, Path: "secret/data/a"}, {State: Denied, Path: "secret/data/b"},
		{State: Denied, Path: "hidden/x"}, {State: Missing, Path: "secret/data/c"},
	}
	want := `# The token may not see what is mounted there. This is for a key-value engine of version 2;
# for any other, leave out data/.
path "hidden/data/x" {
  capabilities = ["read"]
}
path "secret/data/a" {
  capabilities = ["read"]
}
path "secret/data/b" {
  capabilities = ["read"]
}`
	got := Policy(findings, func(path string) bool { return strings.HasPrefix(path, "secret/") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Policy(nil, nil); got != "" {
		t.Errorf("%q", got)
	}
}
