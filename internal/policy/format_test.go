package policy

import (
	"reflect"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing stays nothing", " \n", ""},
		{"a rule on one line is broken up", `path "a" { capabilities = ["read"] }`, "path \"a\" {\n  capabilities = [\"read\"]\n}\n"},
		{"equals signs are aligned and comments stay",
			"# why\npath \"a\" {\ncapabilities=[\"read\"]\n  min_wrapping_ttl=\"1m\" # short\n}",
			"# why\npath \"a\" {\n  capabilities     = [\"read\"]\n  min_wrapping_ttl = \"1m\"     # short\n}\n"},
		{"rules for one path stay two", "path \"a\" { policy = \"read\" }\npath \"a\" { policy = \"write\" }",
			"path \"a\" {\n  policy = \"read\"\n}\n\npath \"a\" {\n  policy = \"write\"\n}\n"},
		{"JSON stays JSON", `{"path":{"a":{"policy":"read"}}}`, "{\n  \"path\": {\n    \"a\": {\n      \"policy\": \"read\"\n    }\n  }\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Format(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

func TestFormatRefusesWhatIsNoPolicy(t *testing.T) {
	for _, text := range []string{`path "a" {`, `path "a" { capabilities = ["reed"] }`, `{"path":`, "rule {}"} {
		if got, err := Format(text); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Formatting loses no rule, and what is formatted stays as it is.
func FuzzFormatKeepsThePolicy(f *testing.F) {
	for _, seed := range []string{
		`path "a" { capabilities = ["read"] }`, "# c\npath \"a\" { # d\n policy = \"read\" }", `{"path":{"a":{"policy":"read"}}}`,
		"path \"a\" {\n  allowed_parameters = {\n    \"x\" = [\"1\", 2, true]\n  }\n}", DefaultText,
		"path \"a\" { capabilities = [\"read\", # r\n \"list\"] }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, err := Parse("", text)
		if err != nil {
			return
		}
		formatted, err := Format(text)
		if err != nil {
			t.Fatalf("%q is a policy, but: %v", text, err)
		}
		after, err := Parse("", formatted)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, formatted, err)
		}
		if len(before.paths) != len(after.paths) {
			t.Fatalf("%q became %q", text, formatted)
		}
		for i := range before.paths {
			if strings.Contains(text, "\r") {
				continue // which HCL drops from texts of several lines
			}
			was, is := before.paths[i], after.paths[i]
			was.line, is.line = 0, 0
			if !reflect.DeepEqual(was, is) {
				t.Errorf("%+v became %+v in %q", was, is, formatted)
			}
		}
		if twice, err := Format(formatted); err != nil || twice != formatted {
			t.Errorf("%q is formatted as %q, %v", formatted, twice, err)
		}
	})
}
