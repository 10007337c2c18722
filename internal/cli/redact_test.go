package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/redact"
)

func TestRedact(t *testing.T) {
	const token = "VAULT_TOKEN=token"
	files := map[string]string{
		"db.env":      "URL=postgres://app:${vault:secret/db#long}@db/app\nLEVEL=verbose-level\n",
		"bad.env":     "URL=${vault:x}\n",
		"values.json": `{"PIN": 918273645, "KEY": "hunter2!x"}`,
		"list.json":   `["hunter2!x"]`,
		"lines":       "hunter2!x\r\n\n  other-value\n",
		"broken.json": `{"KEY": "hunter2!x"`,
		"deep.json":   `{"KEY": {"deep": "hunter2!x"}}`,
		"log":         "from a file: hunter2!x\n",
	}
	tests := []struct {
		name  string
		env   []string
		args  []string
		stdin string
		code  int
		out   string
		err   string // contained in the errors; empty: there are none
	}{
		{"a reference", []string{token}, []string{"-ref=vault:secret/db#long"}, "pw=s3cr3t%2Fpass s3cr3t/pass czNjcjN0L3Bhc3M=\n", 0, "pw=[redacted] [redacted] [redacted]=\n", ""},
		{"its name", []string{token}, []string{"-names", "-ref=vault:secret/db#long"}, "s3cr3t/pass", 0, "[redacted:vault:secret/db#long]", ""},
		{"a file with references, whole and in parts", []string{token}, []string{"-names", "-env-file=db.env"}, "postgres://app:s3cr3t/pass@db/app; s3cr3t/pass; verbose-level", 0, "[redacted:URL]; [redacted:URL]; verbose-level", ""},
		{"a file's other values", []string{token}, []string{"-names", "-plain", "-env-file=db.env"}, "verbose-level", 0, "[redacted:LEVEL]", ""},
		{"values as JSON", nil, []string{"-names", "-values=values.json"}, "918273645 hunter2!x", 0, "[redacted:PIN] [redacted:KEY]", ""},
		{"values as a list", nil, []string{"-names", "-values=list.json"}, "hunter2!x", 0, "[redacted:list.json:1]", ""},
		{"values a line each, and a log in a file", nil, []string{"-names", "-values=lines", "log", "log"}, "", 0, "from a file: [redacted:lines:1]\nfrom a file: [redacted:lines:1]\n", ""},
		{"values on the standard input", nil, []string{"-values=-", "log"}, "hunter2!x\n", 0, "from a file: [redacted]\n", ""},
		{"the last login", nil, []string{"-ref=vault:secret/db#long"}, "s3cr3t/pass", 0, "[redacted]", ""},
		{"a value that is too short", nil, []string{"-values=-", "log"}, "a\n", 0, "from a file: hunter2!x\n", "coffer redact: standard input:1 is not removed from output: it has less than 6 bytes"},

		{"nothing to remove", nil, nil, "log", 1, "", "Nothing to remove"},
		{"a value in the arguments", nil, []string{"-ref=hunter2!x"}, "log", 1, "", "-ref takes references"},
		{"a malformed reference", nil, []string{"-ref=vault:x"}, "log", 1, "", "-ref: malformed reference"},
		{"a malformed reference in a file", nil, []string{"-env-file=bad.env"}, "log", 1, "", "URL (bad.env): malformed reference"},
		{"values and log on the standard input", nil, []string{"-values=-"}, "log", 1, "", "name a file for one of them"},
		{"broken JSON", nil, []string{"-values=broken.json"}, "log", 1, "", "broken.json: begins as JSON does and is none"},
		{"deep JSON", nil, []string{"-values=deep.json"}, "log", 1, "", "deep.json: KEY: want a text or a number"},
		{"a file of values that is not there", nil, []string{"-values=none"}, "log", 1, "", "none: no such file"},
		{"a log that is not there", nil, []string{"-values=lines", "none"}, "", 1, "", "none: no such file"},
		{"an absent field: nothing is printed", []string{token}, []string{"-ref=vault:secret/db#none"}, "s3cr3t/pass", 2, "", "the secret has no such field"},
		{"a refusal: nothing is printed", []string{"VAULT_TOKEN=wrong"}, []string{"-ref=vault:secret/db#long"}, "s3cr3t/pass", 2, "", "403"},
		{"a time that is none", nil, []string{"-values=lines", "-interval=0"}, "", 1, "", "-interval must be more than zero"},
		{"a dry run", nil, []string{"-output-policy", "-ref=vault:secret/db#long"}, "", 1, "", "Redacting makes many requests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prepareRun(t, tt.env)
			for name, content := range files {
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := Main(append([]string{"redact"}, tt.args...), System{
				Stdin: strings.NewReader(tt.stdin), Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Environ: os.Environ,
			})
			if d := cmp.Diff(tt.out, out.String()); d != "" || code != tt.code {
				t.Errorf("code %d, want %d: %s %s", code, tt.code, d, &errs)
			}
			if got := errs.String(); tt.err == "" && got != "" || !strings.Contains(got, tt.err) {
				t.Errorf("errors %q, want %q", got, tt.err)
			}
			for _, value := range []string{"hunter2", "s3cr3t"} {
				if strings.Contains(errs.String(), value) {
					t.Errorf("an error shows a value: %s", &errs)
				}
			}
		})
	}
}

// Nothing of a file of values gets into an error.
func FuzzParseValues(f *testing.F) {
	f.Add([]byte("one-value\r\nanother-value\n"))
	f.Add([]byte(`{"NAME":"canary-value", "N": 12345678}`))
	f.Add([]byte(`["canary-value", null]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		values, err := parseValues("file", content)
		if err != nil {
			return
		}
		redact.New(redact.WithNames()).Set(values...)
	})
}
