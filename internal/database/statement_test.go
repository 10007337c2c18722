package database_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

func TestStatementsAreSplit(t *testing.T) {
	both := []database.Dialect{database.PostgreSQL, database.MySQL}
	tests := []struct {
		name     string
		dialects []database.Dialect
		in       []string
		want     []string
	}{
		{"none", both, nil, nil},
		{"an empty one", both, []string{" ; ;\n"}, nil},
		{"two, separated", both, []string{"A; B;"}, []string{"A", "B"}},
		{"two, in a list", both, []string{"A", "B"}, []string{"A", "B"}},
		{"two, as JSON", both, []string{`["A;", "B"]`}, []string{"A", "B"}},
		{"two, in base64", both, []string{base64.StdEncoding.EncodeToString([]byte("A 1; B 2"))}, []string{"A 1", "B 2"}},
		{"two, as JSON in base64", both, []string{base64.StdEncoding.EncodeToString([]byte(`["A","B"]`))}, []string{"A", "B"}},
		{"a semicolon in a text", both, []string{"A 'x;y'; B"}, []string{"A 'x;y'", "B"}},
		{"a doubled quote", both, []string{"A 'x'';y'; B"}, []string{"A 'x'';y'", "B"}},
		{"a semicolon in a comment", both, []string{"A -- x;y\n; /* ; */ B"}, []string{"A -- x;y", "/* ; */ B"}},
		{"nothing but a comment", both, []string{"A; -- the end"}, []string{"A"}},
		{"a semicolon in a name", both, []string{`A "x;y"; B`}, []string{`A "x;y"`, "B"}},
		{"a backslash before a quote of MySQL", both[1:], []string{`A 'x\';y'; B`}, []string{`A 'x\';y'`, "B"}},
		{"a backslash before a quote of PostgreSQL", both[:1], []string{`A 'x\'; B`}, []string{`A 'x\'`, "B"}},
		{"a backslash before a quote of an escape string", both[:1], []string{`A E'x\';''\';y'; B`}, []string{`A E'x\';''\';y'`, "B"}},
		{"a backtick", both[1:], []string{"A `x;y`; B"}, []string{"A `x;y`", "B"}},
		{"a comment after a hash", both[1:], []string{"A # x;y\n; B"}, []string{"A # x;y", "B"}},
		{"a block in dollars", both[:1], []string{"DO $$ x; y; $$; B"}, []string{"DO $$ x; y; $$", "B"}},
		{"a block in dollars with a tag", both[:1], []string{"DO $a$ x; $$ y; $a$; B $1; C"}, []string{"DO $a$ x; $$ y; $a$", "B $1", "C"}},
		{"a comment in a comment", both[:1], []string{"/* a /* ; */ ; */ A; B"}, []string{"/* a /* ; */ ; */ A", "B"}},
		{"a quotation without an end", both, []string{"A 'x; B"}, []string{"A 'x; B"}},
	}
	for _, test := range tests {
		for _, d := range test.dialects {
			t.Run(test.name, func(t *testing.T) {
				if got := d.Split(test.in); !slices.Equal(got, test.want) {
					t.Errorf("%q, want %q", got, test.want)
				}
			})
		}
	}
}

func TestValuesAreQuotedForTheirPlace(t *testing.T) {
	const nasty = `a'b"c\d{{name}};` + "`--"
	tests := []struct {
		name            string
		d               database.Dialect
		statement, want string
	}{
		{"in a text of PostgreSQL", database.PostgreSQL, `X '{{password}}'`, `X 'a''b"c\d{{name}};` + "`--'"},
		{"in a text of MySQL", database.MySQL, `X '{{password}}'`, `X 'a''b"c\\d{{name}};` + "`--'"},
		{"in an escape string", database.PostgreSQL, `X e'{{password}}'`, `X e'a''b"c\\d{{name}};` + "`--'"},
		{"in a name of PostgreSQL", database.PostgreSQL, `X "{{password}}"`, `X "a'b""c\d{{name}};` + "`--\""},
		{"in a name of MySQL", database.MySQL, "X `{{password}}`", "X `a'b\"c\\d{{name}};``--`"},
		{"in a block", database.PostgreSQL, `X $$ '{{password}}' $$`, `X $$ 'a''b"c\d{{name}};` + "`--' $$"},
		{"in a comment it stays", database.PostgreSQL, "X -- {{password}}\n/*{{password}}*/", "X -- {{password}}\n/*{{password}}*/"},
		{"a word may stand alone", database.PostgreSQL, "X {{word}};", "X some_word1;"},
		{"unknown ones stay", database.PostgreSQL, "X {{other}} '{{'", "X {{other}} '{{'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.d.Expand(test.statement, database.Values{"password": nasty, "name": "n", "word": "some_word1"})
			if err != nil || got != test.want {
				t.Errorf("%s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestValuesThatCannotBeWrittenAreRefused(t *testing.T) {
	tests := []struct {
		name, value, statement string
		d                      database.Dialect
	}{
		{"odd characters without quotes", "v-x", "DROP ROLE {{v}}", database.PostgreSQL},
		{"a word beside a quotation", "E", `{{v}}'\'`, database.PostgreSQL},
		{"a word that would make a quotation", "a", "${{v}}$ x", database.PostgreSQL},
		{"the end of the block it stands in", "$$", "DO $$ '{{v}}' $$", database.PostgreSQL},
		{"half of the end of the block", "x$", "DO $$ {{v}}$$", database.PostgreSQL},
		{"after a backslash", "'", `X '\{{v}}'`, database.MySQL},
		{"a backslash in double quotes", `\`, `X "{{v}}"`, database.MySQL},
		{"a backslash in Unicode escapes", `\`, `X U&'{{v}}'`, database.PostgreSQL},
		{"a zero byte", "a\x00", "'{{v}}'", database.PostgreSQL},
		{"no text", "a\xff", "'{{v}}'", database.MySQL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := test.d.Expand(test.statement, database.Values{"v": test.value}); !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// What a value is must not change how the statement around it is read.
func FuzzExpandKeepsStructure(f *testing.F) {
	f.Add(true, `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{name}}'`, `it's \`)
	f.Add(false, `DO $x$ '{{name}}' $x$; E'\\{{name}}' U&"{{name}}" {{name}}, $$`, `"a"; DROP`)
	f.Add(false, `/* {{name}} */ -- {{name}}`, "\n")
	f.Fuzz(func(t *testing.T, mysql bool, statement, value string) {
		d := database.Dialect{Backslash: mysql}
		const harmless = "x"
		calm, err := d.Expand(statement, database.Values{"name": harmless})
		if err != nil {
			return
		}
		text, err := d.Expand(statement, database.Values{"name": value})
		if err != nil {
			if !errors.Is(err, logical.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if got, want := d.Shape(text), d.Shape(calm); got != want {
			t.Errorf("%q became %q: %s, not %s", statement, text, got, want)
		}
	})
}

func FuzzSplitLosesNothing(f *testing.F) {
	f.Add(true, "A; B 'x;' # c;\n; D")
	f.Add(false, "A; $$ ; $$ /* ; */")
	f.Fuzz(func(t *testing.T, mysql bool, text string) {
		d := database.Dialect{Backslash: mysql}
		for _, one := range d.Split([]string{text}) {
			if again := d.Split([]string{one}); !slices.Equal(again, []string{one}) && len(database.Decode([]string{one})) == 1 &&
				database.Decode([]string{one})[0] == one {
				t.Errorf("%q is split again: %q", one, again)
			}
		}
	})
}

func TestCreationStatementsNeedPlaceholders(t *testing.T) {
	const good = `CREATE ROLE "{{name}}" PASSWORD '{{password}}'`
	tests := []struct {
		name  string
		s     database.Statements
		wants string // in the problem; empty: none
	}{
		{"defaults", database.Statements{}, ""},
		{"good ones", database.Statements{Create: []string{good}, Revoke: []string{`DROP "{{username}}"`}}, ""},
		{"good ones in base64", database.Statements{Create: []string{base64.StdEncoding.EncodeToString([]byte(good))}}, ""},
		{"no password", database.Statements{Create: []string{`CREATE ROLE "{{name}}"`}}, "creation_statements: the placeholder {{password}}"},
		{"no name", database.Statements{Rotate: []string{`ALTER '{{password}}'`}}, "rotation_statements: the placeholder {{name}}"},
		{"a drop of nobody", database.Statements{Revoke: []string{`DROP x`}}, "revocation_statements: the placeholder {{name}}"},
	}
	k := database.Kind{CheckStatements: database.CheckSQL}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := k.Refuse(test.s)
			if (err == nil) != (test.wants == "") || err != nil && (!errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), test.wants)) {
				t.Errorf("%v, want %q", err, test.wants)
			}
		})
	}
}
