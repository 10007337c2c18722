package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/client"
)

// outcome is what a run did, with the canary looked for.
type outcome struct {
	code     int
	err      string
	out      string
	warnings []string
	requests []string
}

// try runs the test binary as the program. Env is beside the server's address.
func try(t *testing.T, env []string, args []string, change func(*Options)) outcome {
	t.Helper()
	fake, url := startFake(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	var mu sync.Mutex
	var o outcome
	opts := Options{
		Command: append([]string{self}, args...),
		Env:     append(append(asProgram(), "VAULT_ADDR="+url), env...),
		Connect: connect, HelperToken: func() (string, error) { return "helped", nil },
		Stdout: &out, Stderr: &stderr, AllowDisk: true,
		Warn: func(text string) { mu.Lock(); defer mu.Unlock(); o.warnings = append(o.warnings, text) },
	}
	if change != nil {
		change(&opts)
	}
	code, err := Run(t.Context(), opts)
	o.code, o.out, o.requests = code, strings.ReplaceAll(out.String(), url, "URL"), fake.requests()
	if err != nil {
		o.err = err.Error()
	}
	if text := o.err + stderr.String() + fmt.Sprint(o.warnings); strings.Contains(text, canary) {
		t.Errorf("the secret shows: %s", text)
	}
	return o
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lines(s string) []string {
	l := slices.DeleteFunc(strings.Split(strings.TrimSpace(s), "\n"), func(s string) bool {
		return slices.Contains(asProgram(), s) || strings.HasPrefix(s, "GOCOVERDIR=") || s == ""
	})
	slices.Sort(l)
	return l
}

func TestTheProgramGetsValues(t *testing.T) {
	tests := []struct {
		name     string
		env      []string
		files    []string
		override bool
		want     []string // beside VAULT_ADDR
	}{
		{"a reference and a plain text", []string{"A=vault:secret/db#password", "B=b=c"}, nil, false, []string{"A=c4n4ry-pw", "B=b=c"}},
		{"a text with references", []string{"A=${vault:secret/db#user}:${vault:secret/db#password}@$${vault:x}"}, nil, false, []string{"A=app:c4n4ry-pw@${vault:x}"}},
		{"an optional variable is not set", []string{"A=vault:secret/db?optional#none", "B=vault:secret/none?default=d#k"}, nil, false, []string{"B=d"}},
		{"a ciphertext", []string{"A=vault:v1:abc="}, nil, false, []string{"A=vault:v1:abc="}},
		{"a file", nil, []string{"# comment\nexport A=vault:secret/db#user # why\nB=\"x ${vault:secret/db#password}\"\nC='$D'\n"}, false, []string{"A=app", "B=x c4n4ry-pw", "C=$D"}},
		{"a later file wins", nil, []string{"A=1\nB=1\n", "A=2\n"}, false, []string{"A=2", "B=1"}},
		{"the environment wins", []string{"A=0"}, []string{"A=vault:none/x#y\n"}, false, []string{"A=0"}},
		{"the files win if asked to", []string{"A=vault:none/x#y"}, []string{"A=1\n"}, true, []string{"A=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var files []string
			for _, content := range tt.files {
				files = append(files, write(t, ".env", content))
			}
			o := try(t, tt.env, []string{"env"}, func(o *Options) { o.EnvFiles, o.Override = files, tt.override })
			if o.code != 0 || o.err != "" {
				t.Fatalf("code %d: %s", o.code, o.err)
			}
			if d := cmp.Diff(append(tt.want, "VAULT_ADDR=URL"), lines(o.out)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLogins(t *testing.T) {
	file := func(text string) string { return write(t, "credential", text+"\n") }
	tests := []struct {
		name string
		env  []string
		want []string // requests
		err  string
		code int
	}{
		{"a token", []string{"VAULT_TOKEN=given"}, []string{"GET secret/data/db given"}, "", 0},
		{"ours wins over Vault's", []string{"VAULT_TOKEN=none", "COFFER_TOKEN=given"}, []string{"GET secret/data/db given"}, "", 0},
		{"a token in a file", []string{"VAULT_TOKEN_FILE=" + file("given")}, []string{"GET secret/data/db given"}, "", 0},
		{"a token wins over a role", []string{"VAULT_TOKEN=given", "COFFER_ROLE_ID=role"}, []string{"GET secret/data/db given"}, "", 0},
		{"a role", []string{"VAULT_ROLE_ID=role", "COFFER_SECRET_ID_FILE=" + file("sid")}, []string{"PUT auth/approle/login ", "GET secret/data/db earned", "PUT auth/token/revoke-self earned"}, "", 0},
		{"a role elsewhere", []string{"VAULT_ROLE_ID=role", "VAULT_SECRET_ID=sid", "VAULT_APPROLE_MOUNT=auth/other/"}, []string{"PUT auth/other/login ", "GET secret/data/db earned", "PUT auth/token/revoke-self earned"}, "", 0},
		{"a wrapped secret id", []string{"VAULT_ROLE_ID=role", "VAULT_SECRET_ID_WRAPPED=wrap-sid"}, []string{"PUT sys/wrapping/unwrap wrap-sid", "PUT auth/approle/login ", "GET secret/data/db earned", "PUT auth/token/revoke-self earned"}, "", 0},
		{"a wrapped secret id, the other name", []string{"VAULT_ROLE_ID=role", "COFFER_WRAPPED_SECRET_ID=wrap-sid"}, []string{"PUT sys/wrapping/unwrap wrap-sid", "PUT auth/approle/login ", "GET secret/data/db earned", "PUT auth/token/revoke-self earned"}, "", 0},
		{"a wrapped token", []string{"COFFER_WRAPPED_TOKEN=wrap-token"}, []string{"PUT sys/wrapping/unwrap wrap-token", "GET secret/data/db unwrapped", "PUT auth/token/revoke-self unwrapped"}, "", 0},
		{"the last login", nil, []string{"GET secret/data/db helped"}, "", 0},

		{"a wrong secret id", []string{"VAULT_ROLE_ID=role", "VAULT_SECRET_ID=" + canary}, []string{"PUT auth/approle/login "}, "log in with VAULT_ROLE_ID: PUT auth/approle/login: 400: invalid role or secret ID", 2},
		{"a used wrapping token", []string{"VAULT_WRAPPED_TOKEN=" + canary}, []string{"PUT sys/wrapping/unwrap " + canary}, "unwrap VAULT_WRAPPED_TOKEN: PUT sys/wrapping/unwrap: 400: wrapping token is not valid or does not exist (it has expired or was used: if not by you, then by somebody who now has what it held)", 2},
		{"a wrapping token with something else", []string{"VAULT_WRAPPED_TOKEN=wrap-sid"}, []string{"PUT sys/wrapping/unwrap wrap-sid"}, "unwrap VAULT_WRAPPED_TOKEN: it holds no token", 2},
		{"a secret id without a role", []string{"VAULT_SECRET_ID=" + canary}, nil, "VAULT_SECRET_ID is set, and the role is not: set COFFER_ROLE_ID", 1},
		{"a file that is missing", []string{"VAULT_TOKEN_FILE=/none"}, nil, "VAULT_TOKEN_FILE: open /none: no such file or directory", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := try(t, append(tt.env, "A=vault:secret/db#user", "VAULT_NAMESPACE=", "COFFER_X_TOKEN=stays"), []string{"env"}, nil)
			if o.code != tt.code || o.err != tt.err {
				t.Fatalf("code %d: %s", o.code, o.err)
			}
			requests := slices.DeleteFunc(o.requests, func(s string) bool { return strings.Contains(s, "lookup-self") })
			if d := cmp.Diff(tt.want, requests); d != "" {
				t.Error(d)
			}
			if tt.code != 0 {
				return
			}
			for _, line := range lines(o.out) {
				if name, _, _ := strings.Cut(line, "="); isLogin(name) {
					t.Errorf("the program sees %s", name)
				}
			}
			if !strings.Contains(o.out, "A=app\n") || !strings.Contains(o.out, "VAULT_NAMESPACE=\n") || !strings.Contains(o.out, "COFFER_X_TOKEN=stays\n") {
				t.Errorf("the program sees %s", o.out)
			}
		})
	}
}

func TestAFileMaySayWhereTheServerIsAndWhoWeAre(t *testing.T) {
	_, url := startFake(t)
	file := write(t, ".env", "COFFER_ADDR="+url+"\nCOFFER_ROLE_ID=role\nCOFFER_SECRET_ID=sid\nA=vault:secret/db#user\n")
	o := try(t, []string{"VAULT_ADDR=http://127.0.0.1:1"}, []string{"env"}, func(o *Options) { o.EnvFiles = []string{file} })
	if o.err != "" || !strings.Contains(o.out, "A=app\n") || strings.Contains(o.out, "ROLE_ID") {
		t.Errorf("%s, %s", o.err, o.out)
	}
}

func TestNobodyLogsInWithoutAReference(t *testing.T) {
	o := try(t, []string{"VAULT_ROLE_ID=wrong", "A=b", "B=$${vault:x}"}, []string{"env"}, func(o *Options) {
		o.Connect = func(func(string) string) (*client.Client, error) { return nil, errors.New("asked") }
	})
	if o.code != 0 || o.err != "" || len(o.requests) != 0 || !strings.Contains(o.out, "B=${vault:x}\n") {
		t.Errorf("%+v", o)
	}
}

func TestFailuresNameEverythingAndShowNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	here := func(name, content string) string {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	config := here("app.yaml", "db:\n  user: vault:secret/db#user\n  hosts: [{pw: 'vault:secret/db?default=#pw', x: vault:secret/none#k}]\n")
	tests := []struct {
		name   string
		env    []string
		files  string
		config string
		args   []string
		code   int
		want   string
	}{
		{"what the server refuses", []string{"A=vault:secret/denied?default=c4n4ry#k", "B=vault:secret/db#password"}, "C=x${vault:secret/db#c}c4n4ry\n", config, []string{"cat", "{}"}, 2,
			"3 references cannot be resolved:\n" +
				"  A: vault:secret/denied?default=…#k: GET secret/data/denied: 403: permission denied\n" +
				"  C (.env): vault:secret/db#c: the secret has no such field\n" +
				"  app.yaml: db.hosts[0].x: vault:secret/none#k: no such secret\n" +
				"These lines in a policy of the token would grant what is refused:\n" +
				"  path \"secret/data/denied\" { capabilities = [\"read\"] }\n" +
				"What is absent may be written first, or have ?optional or ?default=… in its reference."},
		{"what is malformed", []string{"A=${vault:c4n4ry}"}, "B=vault:\nC=coffer://c4n4ry\n", "", nil, 1,
			"A: malformed reference vault:…: it has no #KEY; want vault:PATH#KEY[#VERSION]\n" +
				"B (.env): malformed reference vault:…: it has no #KEY; want vault:PATH#KEY[#VERSION]\n" +
				"C (.env): malformed reference coffer://…: it has no #KEY; want coffer://[NAMESPACE@]PATH#KEY"},
		{"a malformed file", nil, "A=1\n\nB='a\nb'\nc4n4ry!=2\n", "", nil, 1, ".env, line 5: want NAME=VALUE"},
		{"a line without a name", nil, "A=1\njust c4n4ry\n", "", nil, 1, ".env, line 2: want NAME=VALUE"},
		{"an open quote", nil, "A=1\nB=\"c4n4ry\nC=2\n", "", nil, 1, ".env, line 2: want NAME=VALUE"},
		{"a malformed config", nil, "", here("bad.yaml", "a: 1\nb: *c4n4ry\n"), []string{"cat", "{}"}, 1, "bad.yaml: not valid YAML"},
		{"a reference in a text", nil, "", here("app.conf", "a\n\nb ${vault:c4n4ry\n"), []string{"cat", "{}"}, 1, "app.conf, line 3: malformed reference vault:…: its ${ has no }; want vault:PATH#KEY[#VERSION]"},
		{"a config that goes nowhere", nil, "", config, []string{"cat"}, 1, "-config is given, and nothing tells the command where the copy with the secrets is: write {} where it takes its config file, as in \"-- SELF --config {}\""},
		{"a reference in an argument", nil, "", "", []string{"cat", "--password=${vault:secret/db#c4n4ry}"}, 1, "argument 2 of the command has a reference to a secret, and every user of this machine could read its value there: put it into an environment variable, or into a file for -config"},
		{"a bare reference in an argument", nil, "", "", []string{"vault:secret/db#c4n4ry"}, 1, "argument 1 of the command has a reference to a secret, and every user of this machine could read its value there: put it into an environment variable, or into a file for -config"},
		{"a value that no environment can hold", []string{"A=vault:secret/db#zero"}, "", "", nil, 1, "A: the value holds a zero byte, which no environment can: give it as a file, with -file A=…"},
		{"a config that is not there", nil, "", "/none.yaml", []string{"cat", "{}"}, 1, "open /none.yaml: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.args == nil {
				tt.args = []string{"exit", "0"}
			}
			o := try(t, append(tt.env, "VAULT_TOKEN=given"), tt.args, func(o *Options) {
				o.ConfigFile = tt.config
				if tt.files != "" {
					o.EnvFiles = []string{here(".env", tt.files)}
				}
				tt.want = strings.ReplaceAll(tt.want, "SELF", o.Command[0])
			})
			if d := cmp.Diff(tt.want, o.err); d != "" || o.code != tt.code {
				t.Errorf("code %d, want %d: %s", o.code, tt.code, d)
			}
			if o.out != "" {
				t.Errorf("something was started: %s", o.out)
			}
		})
	}
}

func TestInheritedTextsThatLookLikeReferencesStay(t *testing.T) {
	o := try(t, []string{"A=vault: c4n4ry", "B=vault:x"}, []string{"env"}, nil)
	if o.code != 0 || !strings.Contains(o.out, "A=vault: c4n4ry\nB=vault:x\n") {
		t.Errorf("%d, %s, %s", o.code, o.err, o.out)
	}
	want := []string{
		"A looks like a reference to a secret and is left as it is: malformed reference vault:…: it has no #KEY; want vault:PATH#KEY[#VERSION]",
		"B looks like a reference to a secret and is left as it is: malformed reference vault:…: it has no #KEY; want vault:PATH#KEY[#VERSION]",
	}
	if d := cmp.Diff(want, o.warnings); d != "" {
		t.Error(d)
	}
}

func TestExitCodes(t *testing.T) {
	notExecutable := write(t, "script", "exit 0\n")
	broken := write(t, "broken", "c4n4ry")
	if err := os.Chmod(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		args    []string
		command string // in place of the test's binary
		code    int
		err     string
	}{
		{"success", []string{"exit", "0"}, "", 0, ""},
		{"the program's own", []string{"exit", "42"}, "", 42, ""},
		{"killed by a signal", []string{"die"}, "", 137, ""},
		{"not found", nil, "no-such-program", 127, "no-such-program: command not found"},
		{"not found at a path", nil, "/no/such/program", 127, "/no/such/program: command not found"},
		{"not executable", nil, notExecutable, 126, notExecutable + ": cannot be executed: permission denied"},
		{"no program", nil, broken, 126, broken + ": cannot be executed: exec format error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := try(t, []string{"A=vault:secret/db#user"}, tt.args, func(o *Options) {
				if tt.command != "" {
					o.Command[0] = tt.command
				}
			})
			if o.code != tt.code || o.err != tt.err {
				t.Errorf("%d %q, want %d %q", o.code, o.err, tt.code, tt.err)
			}
		})
	}
}

func TestTheConfigIsACopyThatGoesWithTheProgram(t *testing.T) {
	tests := []struct{ name, file, content, want string }{
		{"YAML", "app.yaml", "# top\ndb:\n  user: vault:secret/db#user # who\n  password: vault:secret/db#password\n",
			"# top\ndb:\n  user: \"app\" # who\n  password: \"c4n4ry-pw\"\n"},
		{"JSON", "app.json", `{"db": ["${vault:secret/db#user}@h",  1.0]}`, `{"db": ["app@h",  1.0]}`},
		{"TOML", "app.toml", "[db]\nport = 1\npw = 'vault:secret/db#password'\n", "[db]\n  port = 1\n  pw = \"c4n4ry-pw\"\n"},
		{"text", "app.ini", "vault: ${vault:secret/db#user}\n", "vault: app\n"},
		{"nothing to resolve", "app.yaml", "a:   1\n", "a:   1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := write(t, tt.file, tt.content)
			o := try(t, nil, []string{"cat", "--config={}"}, func(o *Options) { o.ConfigFile = config })
			path, rest, _ := strings.Cut(o.out, "\n")
			if want := "-rw------- drwx------\n" + tt.want; o.code != 0 || rest != want {
				t.Errorf("code %d %s:\n%s\nwant:\n%s", o.code, o.err, rest, want)
			}
			if path == config || filepath.Base(path) != tt.file {
				t.Errorf("the copy is at %s", path)
			}
			if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the copy is still there: %v", err)
			}
		})
	}
}
