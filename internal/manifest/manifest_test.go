package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const asTOML = `version = 1

# The database.
[secrets.DB_PASSWORD]
reference = "vault:secret/app#password"
description = "of the user app"

[secrets.PORT]
type = "port"
default = 8080
required = false

[secrets.tls-key]
reference = "vault:secret/tls#key"
type = "pem"
file = "tls.key"
env = "TLS_KEY_FILE"
mode = "0440"

[secrets]
DB_URL = { reference = "postgres://app:${vault:secret/app#password}@db/app", type = "url" }
`

const asYAML = `version: 1
secrets:
  # The database.
  DB_PASSWORD:
    reference: vault:secret/app#password
    description: of the user app
  PORT: {type: port, default: 8080, required: false}
  tls-key:
    reference: vault:secret/tls#key
    type: pem
    file: tls.key
    env: TLS_KEY_FILE
    mode: 0440
  DB_URL:
    reference: postgres://app:${vault:secret/app#password}@db/app
    type: url
`

// flat is an entry as texts, without its line.
type flat struct {
	Name, Reference, Default, Type, Env, File, Description string
	Required                                               bool
	Mode                                                   fs.FileMode
}

func flatten(m *Manifest) (all []flat) {
	for _, e := range m.Entries {
		fallback, _ := e.Default()
		ref, _ := e.Reference()
		all = append(all, flat{e.Name, ref.Text(), fallback, string(e.Type), e.Env, e.File, e.Description, e.Required, e.Mode})
	}
	return all
}

func TestBothFormatsSayTheSame(t *testing.T) {
	want := []flat{
		{Name: "DB_PASSWORD", Reference: "vault:secret/app#password", Type: "string", Env: "DB_PASSWORD", Description: "of the user app", Required: true},
		{Name: "PORT", Default: "8080", Type: "port", Env: "PORT"},
		{Name: "tls-key", Reference: "vault:secret/tls#key", Type: "pem", Env: "TLS_KEY_FILE", File: "tls.key", Required: true, Mode: 0o440},
		{Name: "DB_URL", Reference: "postgres://app:${vault:secret/app#password}@db/app", Type: "url", Env: "DB_URL", Required: true},
	}
	for name, content := range map[string]string{"coffer.toml": asTOML, "coffer.yaml": asYAML} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse(name, []byte(content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, flatten(m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryProblemIsToldWithItsLine(t *testing.T) {
	tests := []struct {
		name, path, content string
		want                []string
	}{
		{"broken TOML", "m.toml", "a = \nb", []string{"m.toml, line 1: this is not TOML"}},
		{"a key twice in TOML", "m.toml", "version = 1\nversion = 1", []string{"line 2: this is not TOML, or a key stands there twice"}},
		{"broken YAML", "m.yaml", "a: b\n c: [", []string{"line 2: this is not YAML"}},
		{"a key twice in YAML", "m.yaml", "secrets:\n  A: {type: int}\n  A: {type: int}", []string{"line 3: A stands there twice"}},
		{"an empty file", "m.toml", "", []string{"m.toml: it has no entry"}},
		{"an empty YAML file", "m.yml", "", []string{"m.yml: it has no entry"}},
		{"a list", "m.yml", "- a", []string{"line 1: the file must be a mapping"}},
		{"secrets that are a list", "m.toml", "secrets = [1]", []string{"line 1: secrets must be a table"}},
		{"an entry that is a text", "m.toml", "[secrets]\nA = \"vault:a/b#c\"", []string{"line 2: A must be a table"}},
		{"an entry that is a text, in YAML", "m.yml", "secrets:\n  A: vault:a/b#c", []string{"line 2: A must be a mapping"}},
		{"an anchor", "m.yml", "secrets:\n  A: &a {type: int}\n  B: *a", []string{"line 3: B must be a mapping"}},
		{"a merge", "m.yml", "secrets:\n  A: &a {type: int}\n  B:\n    <<: *a", []string{"line 4: write keys out"}},
		{"unknown keys", "m.toml", "title = 1\n[secrets.A]\nreferense = \"x\"", []string{
			"line 1: unknown key title", "line 3: A: unknown key referense: want one of reference, ",
		}},
		{"another version", "m.toml", "version = 2\n[secrets.A]\n", []string{"line 1: version must be 1"}},
		{"wrong kinds of values", "m.toml", "[secrets.A]\nreference = 1\nrequired = \"yes\"\ndefault = 1.5\ntype = true\ndescription = []\nfile = 3\nenv = 4", []string{
			"line 2: A: reference must be a text", "line 3: A: required must be true or false", "line 4: A: default must be a text",
			"line 5: A: type must be a text", "line 6: A: description must be a text", "line 7: A: file must be a text", "line 8: A: env must be a text",
		}},
		{"a secret in place of a reference", "m.toml", "[secrets.A]\nreference = \"hunter2\"", []string{"line 2: A: reference must be, or hold, one"}},
		{"a malformed reference", "m.yml", "secrets:\n  A:\n    reference: vault:hunter2", []string{"line 3: A: malformed reference vault:…: it has no #KEY"}},
		{"an unknown type", "m.yml", "secrets:\n  A:\n    type: hunter2", []string{"line 3: A: unknown type: want one of string, int"}},
		{"a default of another type", "m.yml", "secrets:\n  A:\n    type: int\n    default: hunter2", []string{"line 4: A: the default is not of the type int"}},
		{"a default that is a reference", "m.yml", "secrets:\n  A: {default: 'vault:a/b#c'}", []string{"A: a default cannot be, or hold, a reference"}},
		{"a default for a text around a reference", "m.yml", "secrets:\n  A:\n    reference: x${vault:a/b#c}\n    default: y", []string{"line 4: A: a default can stand for a reference alone"}},
		{"an optional text around a reference", "m.yml", "secrets:\n  A:\n    reference: x${vault:a/b#c}\n    required: false", []string{"line 4: A: a text around"}},
		{"a name that no variable can have", "m.yml", "secrets:\n  a-b: {}", []string{"line 2: a-b is no name of a variable"}},
		{"a variable that is none", "m.yml", "secrets:\n  A: {env: a=b}", []string{"line 2: A: env must be the name"}},
		{"a file elsewhere", "m.yml", "secrets:\n  A: {file: ../x}", []string{"line 2: A: file must be a name without a folder"}},
		{"a mode without a file", "m.yml", "secrets:\n  A: {mode: '0400'}", []string{"line 2: A: mode is for a file"}},
		{"a mode that others can read", "m.toml", "[secrets.A]\nfile = \"x\"\nmode = \"0644\"", []string{"line 3: A: mode must let the owner read, and others nothing"}},
		{"a mode that may be meant in two ways", "m.toml", "[secrets.A]\nfile = \"x\"\nmode = 400", []string{"line 3: A: mode must be octal digits in quotes"}},
		{"a variable for two", "m.yml", "secrets:\n  A: {}\n  B: {env: A}", []string{"line 3: B: A has the variable A, too"}},
		{"a file for two", "m.yml", "secrets:\n  A: {file: x}\n  B: {file: x}", []string{"line 3: B: A has the file x, too"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(test.path, []byte(test.content))
			problems, ok := ProblemsOf(err)
			if !ok {
				t.Fatalf("%v", err)
			}
			if len(problems) != len(test.want) {
				t.Errorf("%d problems, want %d", len(problems), len(test.want))
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("lacks %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("repeats a value: %v", err)
			}
		})
	}
}

func TestWhatAValueIsMadeOf(t *testing.T) {
	m, err := Parse("m.yml", []byte(`secrets:
  PLAIN: {}
  DEFAULT: {default: of the manifest}
  REQUIRED: {reference: "vault:a/b#c"}
  OPTIONAL: {reference: "vault:a/b#c", required: false}
  BOTH: {reference: "vault:a/b#c", default: of the manifest}
`))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]Entry{}
	for _, e := range m.Entries {
		entries[e.Name] = e
	}
	tests := []struct {
		name, entry, given string
		isGiven            bool
		want               string
		ok                 bool
	}{
		{"nothing is there", "PLAIN", "", false, "", false},
		{"the environment alone", "PLAIN", "x", true, "x", true},
		{"the default", "DEFAULT", "", false, "of the manifest", true},
		{"the environment wins over the default", "DEFAULT", "", true, "", true},
		{"the reference", "REQUIRED", "", false, "vault:a/b#c", true},
		{"the environment wins over the reference", "REQUIRED", "vault:d/e#f", true, "vault:d/e#f", true},
		{"what is not required may be absent", "OPTIONAL", "", false, "vault:a/b?optional#c", true},
		{"a reference with a default", "BOTH", "", false, "vault:a/b?default=of%20the%20manifest#c", true},
		{"a reference of the environment has the default too", "BOTH", "coffer://d/e#f", true, "coffer://d/e?default=of%20the%20manifest#f", true},
		{"but not in place of its own", "BOTH", "vault:d/e?default=own#f", true, "vault:d/e?default=own#f", true},
		{"a text around a reference stays", "BOTH", "x${vault:a/b#c}", true, "x${vault:a/b#c}", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok, err := entries[test.entry].Template(test.given, test.isGiven)
			if err != nil || ok != test.ok || got.Text() != test.want {
				t.Errorf("%q %v %v, want %q", got.Text(), ok, err, test.want)
			}
		})
	}
	if _, _, err := entries["PLAIN"].Template("vault:a", true); err == nil {
		t.Error("a malformed reference of the environment is taken")
	}
}

func TestTheManifestOfAFolderIsFound(t *testing.T) {
	dir := t.TempDir()
	if _, err := Find(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(asYAML), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("coffer.yml")
	path, err := Find(dir)
	if err != nil || filepath.Base(path) != "coffer.yml" {
		t.Errorf("%s %v", path, err)
	}
	if m, err := Load(path); err != nil || len(m.Entries) != 4 {
		t.Errorf("%v", err)
	}
	write("coffer.toml")
	if _, err := Find(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("two: %v", err)
	}
}

// Nothing that is read makes the parser fall over, and what it takes keeps its own
// rules.
func FuzzParse(f *testing.F) {
	f.Add("m.toml", asTOML)
	f.Add("m.yaml", asYAML)
	f.Add("m.yaml", "secrets:\n  A: {mode: 0o400, file: x}")
	f.Fuzz(func(t *testing.T, path, content string) {
		m, err := Parse(path, []byte(content))
		if err != nil {
			if p, ok := ProblemsOf(err); !ok || len(p) == 0 || p.Error() == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		variables := map[string]bool{}
		for _, e := range m.Entries {
			if e.Env == "" && e.File == "" || variables[e.Env] && e.Env != "" || e.File == "" != (e.Mode == 0) {
				t.Errorf("%+v", e.Name)
			}
			variables[e.Env] = true
			if text, ok := e.Default(); ok && e.Type.Check(text) != nil {
				t.Errorf("%s has a default of another type", e.Name)
			}
		}
	})
}
