package rules

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/rules.md")

const document = "../../docs/rules.md"

// page is docs/rules.md.
func page() string {
	var b strings.Builder
	all := All()
	fmt.Fprintf(&b, "# What `coffer scan` looks for\n\n%d kinds of credentials. Written by `go test ./scan/rules -update` from the rules in `scan/rules`;\n", len(all))
	b.WriteString("the id is what baselines, ignore files and reports name. *Told by* is what gives the credential away: its own form, the name\n" +
		"that it is assigned to, or the place where it stands. *Proved* ones carry a checksum, which is verified offline.\n\n" +
		"| id | what it is | severity | told by |\n|---|---|---|---|\n")
	for _, r := range all {
		name := r.Description
		if r.Doc != "" {
			name = fmt.Sprintf("[%s](%s)", name, r.Doc)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, name, r.Severity, toldBy(&r))
	}
	return b.String()
}

func toldBy(r *Rule) string {
	switch {
	case r.Checksum != "":
		return "form, proved"
	case r.Token != "":
		return "form"
	case r.Value != "":
		return "name and form"
	case r.Parser == NamedPassword || r.Parser == NamedSecret:
		return "name and value"
	}
	return "place and form"
}

func TestTheDocumentListsTheRules(t *testing.T) {
	if *update {
		if err := os.WriteFile(document, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/rules.md is old; want go test ./scan/rules -update")
	}
}

func TestRulesAreWhole(t *testing.T) {
	if n := len(All()); n < 300 {
		t.Errorf("%d rules, want 300 and more", n)
	}
	id := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, r := range All() {
		switch {
		case !id.MatchString(r.ID):
			t.Errorf("%q is no id", r.ID)
		case seen[r.ID]:
			t.Errorf("%q stands there twice", r.ID)
		case r.Description == "", r.Severity == Unset:
			t.Errorf("%s: want a description and a severity", r.ID)
		case r.Parser == "" && !strings.HasPrefix(r.Doc, "https://"):
			t.Errorf("%s: want the page that says what it is", r.ID)
		case len(r.Examples) == 0 || len(r.Not) == 0:
			t.Errorf("%s: want an example, and one of what it is not", r.ID)
		case r.Base != 0 && (r.Base < 0.5 || r.Base > 1):
			t.Errorf("%s: base %v", r.ID, r.Base)
		}
		seen[r.ID] = true
	}
}
