package dotenv

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLibrariesReadThingsDifferently(t *testing.T) {
	tests := []struct {
		name, line string
		reads      []string // of godotenv, compose-go, go-envparse, gotenv; nil: they agree
		fix        string
	}{
		{"a plain value", "A=b", nil, ""},
		{"an empty one", "A=", nil, ""},
		{"export in front", "export A=b", nil, ""},
		{"spaces around the sign", "A = b", nil, ""},
		{"a comment behind", "A=b # c", nil, ""},
		{"quotes, and a comment behind", `A="b c" # d`, nil, ""},
		{"a line end of Windows", "A=b\r", nil, ""},
		{"a # in a value", "A=pa#ss", []string{
			"as it stands: 5 characters", "as it stands: 5 characters", "cut at #: 2 characters", "cut at #: 2 characters",
		}, "write it in single quotes"},
		{"a $ in a value", "A=pa$SS", []string{
			"takes $ for a variable or an escape: 2 characters", "takes $ for a variable or an escape: 2 characters", "as it stands: 5 characters",
			"takes $ for a variable or an escape: 2 characters",
		}, "say what is meant by $"},
		{"a $ that one takes for a variable", "A=pa$ss", []string{
			"as it stands: 5 characters", "takes $ for a variable or an escape: 2 characters", "as it stands: 5 characters", "as it stands: 5 characters",
		}, "write it in single quotes"},
		{"a $ in single quotes", "A='pa$ss$SS'", nil, ""},
		{"an escape", `A="a\tb"`, []string{
			`takes \ for an escape: 3 characters`, `takes \ for an escape: 3 characters`, `takes \ for an escape: 3 characters`, `takes \ for an escape: 3 characters`,
		}, `say what is meant by \`},
		{"a backslash in single quotes", `A='a\b'`, nil, ""},
		{"a quote within", `A=it's`, []string{
			"as it stands: 4 characters", "as it stands: 4 characters", "cannot be read, and the file with it", "as it stands: 4 characters",
		}, "write it in double quotes"},
		{"several lines in quotes", "A=\"b\nc\"", []string{
			"as it stands: 3 characters", "as it stands: 3 characters", "cannot be read, and the file with it", "as it stands: 3 characters",
		}, `write it in double quotes, with \n for line ends`},
		{"a quote that does not end", `A="b`, []string{
			"cannot be read, and the file with it", "cannot be read, and the file with it", "cannot be read, and the file with it", "cannot be read, and the file with it",
		}, "close the quote"},
		{"a name alone", "A", []string{"", "", "", ""}, "write NAME=VALUE"},
		{"a name that is none", "A-B=c", []string{"", "", "", ""}, "write NAME=VALUE"},
		{"a reference without quotes", "A=vault:secret/db#password", []string{
			"as it stands: 24 characters", "as it stands: 24 characters", "cut at #: 15 characters", "cut at #: 15 characters",
		}, "write it in single quotes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := Parse([]byte(test.line + "\n"))
			var found []Finding
			for _, finding := range f.Lint() {
				if finding.Kind == Differs {
					found = append(found, finding)
				}
			}
			if len(found) == 0 && test.reads == nil {
				return
			}
			if len(found) != 1 || test.reads == nil {
				t.Fatalf("%+v", found)
			}
			for i, want := range test.reads {
				if got := found[0].Readings[i]; want != "" && got.Reads != want {
					t.Errorf("%s: %q, want %q", got.Dialect, got.Reads, want)
				}
			}
			if !strings.HasPrefix(found[0].Fix, test.fix) {
				t.Errorf("%q, want %q", found[0].Fix, test.fix)
			}
		})
	}
}

func TestWhatIsFixedKeepsTheRest(t *testing.T) {
	const before = "\ufeff# The database\n\n  export A=pa#ss  # of the user app\nB='x'\nC=it's # ours\nD=$B\nE=\"one\ntwo\"\nF=pa$ss"
	const after = "# The database\n\n  export A='pa#ss'  # of the user app\nB='x'\nC=\"it's\" # ours\nD=$B\nE=\"one\\ntwo\"\nF='pa$ss'"
	f := Parse([]byte(before))
	findings := f.Lint()
	if !f.Fix(findings) {
		t.Error("nothing is changed")
	}
	if diff := cmp.Diff(after, string(f.Content())); diff != "" {
		t.Error(diff)
	}
	for _, finding := range findings {
		if (finding.Kind == Differs || finding.Kind == ByteOrder) && finding.Fixed == (finding.Name == "D") {
			t.Errorf("%+v", finding)
		}
	}
	again := Parse(f.Content()).Lint()
	if left := slices.DeleteFunc(again, func(g Finding) bool { return g.Kind != Differs }); len(left) != 1 || left[0].Name != "D" {
		t.Errorf("%+v", left)
	}
}

func TestTheWholeFileHasValues(t *testing.T) {
	values, err := Parse([]byte("\ufeffA=b\nC=${A}c\nA=d\n")).Values()
	if err != nil || values["A"].RevealText() != "d" || values["C"].RevealText() != "bc" {
		t.Errorf("%v", err)
	}
	_, err = Parse([]byte("A=b\nB='hunter2\n")).Values()
	if err == nil || err.Error() != "line 2: want NAME=VALUE" {
		t.Errorf("%v", err)
	}
	if _, err := Parse([]byte("A=b\nhunter2\n")).Values(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestANameThatStandsThereTwiceIsTold(t *testing.T) {
	found := Parse([]byte("A=1\nB=2\nA=3\n")).Lint()
	if len(found) != 1 || found[0].Kind != Twice || found[0].Line != 3 || !strings.Contains(found[0].Text, "line 1") {
		t.Errorf("%+v", found)
	}
}

func TestPlainSecretsAreGuessed(t *testing.T) {
	tests := []struct {
		name, variable, value string
		want                  string
	}{
		{"a password by its name", "DB_PASSWORD", "hunter2", "its name says so"},
		{"a key by its name", "API_KEY", "abc", "its name says so"},
		{"a word that ends so", "PGPASSWORD", "abc", "its name says so"},
		{"an address with a password", "DATABASE_URL", "postgres://app:hunter2@db/app", "the value is an address with a password"},
		{"an address without one", "DATABASE_URL", "postgres://app@db/app", ""},
		{"a token by its shape", "X", "glpat-F8Kq02mZpL7vR3tYxW9s", "the value has the shape of: GitLab personal, project or group access token"},
		{"a private key", "X", "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAwxYzJ3qVt8s0Qm5nR7fKb2LdGh1PzXcVe9TaWu6y\n", 12) + "-----END RSA PRIVATE KEY-----", "the value has the shape of: private key"},
		{"what looks random", "X", "f8Kq02mZpL7vR3tYxW9sB1nC", "the value looks random"},
		{"a file of a secret", "DB_PASSWORD_FILE", "/run/secrets/db", ""},
		{"a public key", "PUBLIC_KEY", "abc", ""},
		{"the id of a key", "AWS_KEY_ID", "abc", ""},
		{"a placeholder", "DB_PASSWORD", "changeme", ""},
		{"another placeholder", "DB_PASSWORD", "<your password>", ""},
		{"nothing", "DB_PASSWORD", "", ""},
		{"a reference", "DB_PASSWORD", "vault:secret/app#password", ""},
		{"a text with a reference", "DATABASE_URL", "postgres://app:${vault:secret/app#password}@db/app", ""},
		{"a number", "TOKEN_TTL", "3600", ""},
		{"a UUID", "X", "123e4567-e89b-12d3-a456-426614174000", ""},
		{"words", "GREETING", "hello world, how are you today", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Suspicion(test.variable, test.value); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	login := Parse([]byte("COFFER_SECRET_ID=f8Kq02mZpL7vR3tYxW9sB1nC\nVAULT_TOKEN=hvs.x\n")).Lint()
	if len(login) != 1 || login[0].Name != "VAULT_TOKEN" {
		t.Errorf("%+v", login)
	}
}

var corpus = []string{
	"", "A=b", "A='b' # c\n", "export A=\"b\nc\"\nB=${A}\n", "\ufeffA=b\r\nB=c\r\n", "A=\"", "A='it\\'s'\n", "=x\nA\n# c\n\n", "A=b#c $D", "A: b\n", "A=\"a\"b\n",
}

// Cutting a file into statements loses nothing of it.
func FuzzParseKeepsEveryByte(f *testing.F) {
	for _, text := range corpus {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := Parse([]byte(text))
		if got := string(file.Content()); got != text {
			t.Fatalf("%q became %q", text, got)
		}
		for _, p := range file.pieces {
			if p.statement != nil && p.statement.text() != p.text.RevealText() {
				t.Fatalf("%q became %q", p.text.RevealText(), p.statement.text())
			}
		}
	})
}

// Findings are for logs: no value is in them.
func FuzzLintShowsNoValue(f *testing.F) {
	for _, text := range []string{"canary7", "can#ary7", "$canary7", "can\"ary7", "canary7\\", "'canary7"} {
		f.Add("A=", text)
		f.Add("A='", text+"'")
		f.Add("", text)
	}
	f.Fuzz(func(t *testing.T, head, value string) {
		if !strings.Contains(value, "canary7") || strings.ContainsAny(value, "=") || strings.Contains(head, "canary7") {
			return
		}
		file := Parse([]byte(head + value + "\n"))
		findings := file.Lint()
		file.Fix(findings)
		for _, finding := range findings {
			if text := finding.Text + finding.Fix + cmp.Diff(finding.Readings, nil); strings.Contains(text, "canary7") {
				t.Errorf("%q: %s", value, text)
			}
		}
	})
}

// What Spell returns, all libraries read alike; and there is something for most.
func FuzzSpell(f *testing.F) {
	for _, text := range []string{"", "x", "a b", "it's", `"`, "a#b", "$A", "a\nb", `\`, "é", " x ", "a=b", "'\"$\\\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s, ok := Spell(value)
		if !ok {
			return
		}
		for _, d := range Dialects {
			r := d.read("B=x\nN=" + s.text + "\nC=y\n")
			if r.failed || r.values["N"] != value || r.values["B"] != "x" || r.values["C"] != "y" {
				t.Errorf("%s reads %q of %q otherwise", d.Name, s.text, value)
			}
		}
	})
}

// A change of one statement leaves the others as they were.
func FuzzSet(f *testing.F) {
	for _, text := range corpus {
		f.Add(text, "va#lue")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		file := Parse([]byte(text))
		all := file.Statements()
		if len(all) == 0 {
			return
		}
		var before []string
		for _, s := range all[1:] {
			before = append(before, s.text())
		}
		if !file.Set(all[0], value) {
			return
		}
		after := Parse(file.Content()).Statements()
		if len(after) != len(all) || !agreeOn(after[0].text(), all[0].Name, value) {
			t.Fatalf("%q became %q", text, file.Content())
		}
		for i, s := range after[1:] {
			if s.text() != before[i] {
				t.Errorf("%q became %q", before[i], s.text())
			}
		}
	})
}

func FuzzValuesErrorsShowNothing(f *testing.F) {
	for _, v := range []string{"A=1\n", "A", "export A='x\ny'\n!c4n4ry", "\xff=\"", "A=$B ${vault:x}"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := Parse(content).Values(); err != nil {
			got := strings.Trim(err.Error(), "0123456789:")
			if !strings.HasPrefix(got, "line ") || !strings.HasSuffix(got, ": want NAME=VALUE") {
				t.Errorf("got %v", err)
			}
		}
	})
}

// What stands between single quotes is what the program sees.
func FuzzValuesKeepsWhatIsQuoted(f *testing.F) {
	for _, v := range []string{"", "a b", "$HOME ${X} #no comment", "\\n\"", "two\nlines=3", "export A=b", "é\u2028"} {
		f.Add(v, "before")
	}
	f.Fuzz(func(t *testing.T, value, other string) {
		if strings.ContainsAny(value+other, "'\\\r") {
			return // which end a value, escape in one, or are changed to a newline
		}
		content := "# a comment\nOTHER='" + other + "'\n export VALUE = '" + value + "' # and one more\nLAST=1\n"
		got, err := Parse([]byte(content)).Values()
		if err != nil || len(got) != 3 || got["VALUE"].RevealText() != value || got["OTHER"].RevealText() != other {
			t.Errorf("%q became %q: %v", content, got, err)
		}
	})
}
