package scan

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/scan/rules"
)

// examplePath is a name that a rule looks into, and that says nothing else.
func examplePath(r *rules.Rule) string {
	if len(r.Files) > 0 {
		return strings.ReplaceAll(r.Files[0], "*", "x")
	}
	return "src/file"
}

func newScanner(t testing.TB, o Options) *Scanner {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRulesCompile(t *testing.T) {
	if err := newScanner(t, Options{}).Check(); err != nil {
		t.Error(err)
	}
}

func TestEveryRuleFindsItsExamplesAndNothingElse(t *testing.T) {
	s := newScanner(t, Options{})
	for _, r := range rules.All() {
		t.Run(r.ID, func(t *testing.T) {
			if len(r.Examples) == 0 || len(r.Not) == 0 {
				t.Error("wants an example, and one of what it is not")
			}
			for _, text := range r.Examples {
				text = expand(text)
				found := s.Bytes(examplePath(&r), []byte(text))
				if len(found) != 1 || found[0].RuleID != r.ID {
					t.Errorf("%q: %s", text, describe(found))
				}
			}
			for _, text := range r.Not {
				text = expand(text)
				for _, f := range s.Bytes(examplePath(&r), []byte(text)) {
					if f.RuleID == r.ID {
						t.Errorf("%q: %s", text, describe([]Finding{f}))
					}
				}
			}
		})
	}
}

// describe shows findings of tests, with their secrets.
func describe(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString("\n\t" + f.RuleID + " " + f.Secret.Reveal() + ": " + strings.Join(f.Reasons, "; "))
	}
	if len(found) == 0 {
		return "nothing"
	}
	return b.String()
}
