package event

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func messageOf(r Record) *Message { return &Message{Record: r, Revision: 7, hub: NewHub(Options{})} }

func written(path string) *Message {
	return messageOf(Record{
		Type: "kv-v2/data-write", MountPath: "secret/", Path: path,
		Metadata: map[string]string{"data_path": path, "operation": "data-write"},
	})
}

func TestFiltersSayWhichEventsAreWanted(t *testing.T) {
	m := written("secret/data/db")
	bare := messageOf(Record{Type: "kv-v2/metadata-delete", MountPath: "secret/", Path: "secret/metadata/db"})
	tests := []struct {
		name, filter string
		holds, bare  bool
	}{
		{"nothing is asked", ``, true, true},
		{"the path is the one", `data_path == "secret/data/db"`, true, false},
		{"the path in Vault's example, without quotes", `data_path == secret/data/db`, true, false},
		{"in backticks", "data_path == `secret/data/db`", true, false},
		{"it is another", `data_path == "secret/data/other"`, false, false},
		{"it is not another", `data_path != "secret/data/other"`, true, true},
		{"both", `data_path == "secret/data/db" and operation != "delete"`, true, false},
		{"one of two", `data_path == "x" or data_path == "secret/data/db"`, true, false},
		{"not so", `not data_path == "secret/data/db"`, false, true},
		{"parts of texts", `data_path contains "data/"`, true, false},
		{"a text in the path", `"data/" in data_path`, true, false},
		{"a text that is not in the path", `"data/" not in data_path`, false, true},
		{"regular expressions", `data_path matches "^secret/data/d.$"`, true, false},
		{"regular expressions that don't match", `data_path not matches "^secret"`, false, true},
		{"what is not there", `data_path is empty`, false, true},
		{"the type", `event_type == "kv-v2/data-write"`, true, false},
		{"the mount", `source_plugin_mount == "secret/"`, true, true},
		{"the namespace", `namespace == ""`, true, true},
		{"in parentheses", `(operation == "a" or operation == "data-write") and (event_type contains "kv")`, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := ParseFilter(test.filter)
			if err != nil {
				t.Fatal(err)
			}
			for m, want := range map[*Message]bool{m: test.holds, bare: test.bare} {
				if got := f == nil || f.holds(m); got != want {
					t.Errorf("%s: %v", m.Type, got)
				}
			}
		})
	}
}

func TestFiltersThatAreNoneAreRefused(t *testing.T) {
	tests := []struct{ name, filter string }{
		{"no expression", `data_path`},
		{"a field that events don't have", `password == "x"`},
		{"a broken expression", `data_path == "a" and`},
		{"a collection", `any data_path as x { x == "a" }`},
		{"no regular expression", `data_path matches "("`},
		{"an operator for other things", `data_path is nil`},
		{"too long", `data_path == "` + strings.Repeat("x", MaxFilterBytes) + `"`},
		{"nested too deeply", strings.Repeat("(", 100) + `data_path == "a"` + strings.Repeat(")", 100)},
		{"nested so that the parser would take for ever", "(((((("},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseFilter(test.filter); !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The index by path must never lose an event that the filter wants.
func TestWhatAFilterIsIndexedBy(t *testing.T) {
	tests := []struct {
		filter string
		paths  []string
	}{
		{`data_path == "a"`, []string{"a"}},
		{`data_path == "a" or data_path == "b" or data_path == "c"`, []string{"a", "b", "c"}},
		{`data_path == "a" and operation == "x"`, []string{"a"}},
		{`operation == "x" and data_path == "a"`, []string{"a"}},
		{`(data_path == "a" or data_path == "b") and data_path == "b"`, []string{"b"}},
		{`data_path == "a" or operation == "x"`, nil},
		{`not data_path == "a"`, nil},
		{`data_path != "a"`, nil},
	}
	for _, test := range tests {
		t.Run(test.filter, func(t *testing.T) {
			f, err := ParseFilter(test.filter)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Sort(f.paths); !slices.Equal(f.paths, test.paths) {
				t.Errorf("paths %v", f.paths)
			}
		})
	}
}

func TestQuotesInPathsAreEscaped(t *testing.T) {
	f, err := ParseFilter(`data_path == "secret/data/\x22b\x22\\"`)
	if err != nil || !f.holds(written(`secret/data/"b"\`)) {
		t.Errorf("error %v", err)
	}
}

func TestAFilterOfManyPathsIsTaken(t *testing.T) {
	var terms []string
	for range 500 {
		terms = append(terms, `data_path == "secret/data/some/longer/path/of/a/secret"`)
	}
	if _, err := ParseFilter(strings.Join(terms, " or ")); err != nil {
		t.Error(err)
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`data_path == "a" or not (operation != b)`, `"x" in data_path`, "a matches `(`", `any data_path as x { x == 1 }`, `((((`,
	} {
		f.Add(s)
	}
	m := written("secret/data/db")
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err != nil && !errors.Is(err, logical.ErrInvalid) {
			t.Fatal(err)
		}
		if err == nil && filter != nil && filter.holds(m) && filter.paths != nil && !slices.Contains(filter.paths, "secret/data/db") {
			t.Errorf("%q holds, but not by its index", text)
		}
	})
}

func TestGlobs(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"kv-v2/data-write", "kv-v2/data-write", true},
		{"kv-v2/data-write", "kv-v2/data-writes", false},
		{"*", "", true},
		{"*", "kv-v2/data-write", true},
		{"kv*", "kv-v2/data-write", true},
		{"kv-v2/data-*", "kv-v2/delete", false},
		{"*/data-*", "kv-v2/data-patch", true},
		{"*-write", "kv-v2/data-write", true},
		{"a*a", "a", false},
		{"a*b*c", "axbybc", true},
		{"a**c", "abc", true},
		{"", "", true},
		{"", "a", false},
	}
	for _, test := range tests {
		if got := glob(test.pattern, test.s); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.s, got)
		}
	}
}
