package canary_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/servertest"
)

// proxy stands between the commands and the server, and notes the addresses that
// they ask for.
type proxy struct{ *httptest.Server }

func newProxy(w *world) *proxy {
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		to, err := url.Parse(w.url) // another in each life of the server
		if err != nil {
			panic("canary: internal error: " + err.Error())
		}
		r.SetURL(to)
	}}
	p := &proxy{httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.saw(addresses, "a request", []byte(r.Method+" "+r.Host+r.RequestURI))
		forward.ServeHTTP(rw, r)
	}))}
	w.t.Cleanup(p.Close)
	return p
}

// command is one call of the program.
type command struct {
	args  []string
	stdin string
	env   []string // beside what every call has
}

// environment is what every call has.
func (w *world) environment() []string {
	return []string{
		"HOME=" + w.path("home"), "TMPDIR=" + w.path("tmp"), "XDG_RUNTIME_DIR=" + w.shm, "PATH=" + os.Getenv("PATH"), "VAULT_ADDR=" + w.proxy.URL,
	}
}

// make returns a call that is not made yet, and is ended if it takes too long.
func (w *world) make(c command) *exec.Cmd {
	ctx, cancel := context.WithTimeout(w.t.Context(), servertest.StartTime)
	w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, w.server.Program(), c.args...)
	cmd.Env = append(w.environment(), c.env...)
	cmd.Dir = w.path("work")
	w.note("%q\n%q\n%s\n", c.args, c.env, c.stdin)
	return cmd
}

// call runs the program and returns what it printed, and its exit code.
func (w *world) call(c command) (string, int) {
	w.t.Helper()
	cmd := w.make(c)
	cmd.Stdin = strings.NewReader(c.stdin)
	printed, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	w.note("%s", printed)
	return string(printed), cmd.ProcessState.ExitCode()
}

// quietly runs the program, which must not print the secret.
func (w *world) quietly(stdin string, args ...string) int {
	w.t.Helper()
	printed, code := w.call(command{args: args, stdin: stdin})
	w.saw(output, strings.Join(args, " "), []byte(printed))
	return code
}

// fails is quietly for what must fail, in two forms of output.
func (w *world) fails(stdin string, args ...string) {
	w.t.Helper()
	w.failsWith(nil, stdin, args...)
}

func (w *world) failsWith(env []string, stdin string, args ...string) {
	w.t.Helper()
	w.failsOnce(env, stdin, args...)
	w.failsOnce(append(slices.Clone(env), "VAULT_FORMAT=json"), stdin, args...)
}

func (w *world) failsOnce(env []string, stdin string, args ...string) {
	w.t.Helper()
	printed, code := w.call(command{args: args, stdin: stdin, env: env})
	w.saw(output, strings.Join(args, " "), []byte(printed))
	if code == 0 {
		w.t.Errorf("%s: %q succeeds:\n%s", w.at.name, args, printed)
	}
}

// prints runs the program, which must succeed and may print the secret. It
// returns what it printed.
func (w *world) prints(stdin string, args ...string) string {
	w.t.Helper()
	printed, code := w.call(command{args: args, stdin: stdin})
	if code != 0 {
		w.t.Fatalf("%s: %q: code %d\n%s", w.at.name, args, code, printed)
	}
	return printed
}

// works is quietly for what must succeed.
func (w *world) works(stdin string, args ...string) {
	w.t.Helper()
	if code := w.quietly(stdin, args...); code != 0 {
		w.t.Errorf("%s: %q: code %d", w.at.name, args, code)
	}
}

// file writes a file of the test's own, which is no place, and returns its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.inputs, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.note("%s", content)
	return path
}

const inHelper = "the last login's token is kept in a file that only its user can read"

// helperScript stands in for a program that keeps tokens. It keeps none, and
// tells how it was called.
const helperScript = `#!/bin/sh
{ echo "$0" "$@"; tr '\0' '\n' </proc/$$/cmdline; tr '\0' '\n' </proc/$$/environ; } >>%q
cat >/dev/null
`

var commandDoors = []*door{
	{name: "token of a command line login", madeByServer: true, shows: shows{disk: inHelper}, plant: func(w *world, _ string) {
		token := w.must("POST", "auth/token/create", `{"policies":["root"]}`).text("auth.client_token")
		w.watch("token of the command line", token)
		w.works(token+"\n", "login", "-no-print", "-")
		file := w.path("home/.vault-token")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			w.t.Errorf("the file of the token: %v, %v", info, err)
		}
		w.prints(token+"\n", "login", "-")
		w.prints(token+"\n", "login", "-format=json", "-token-only", "-")
		w.works("", "kv", "put", "-output-curl-string", "secret/cli", "k=v")
		w.works("", "read", "-output-curl-string", "auth/token/lookup-self")
		w.works(token, "token", "capabilities", "secret/x")
	}},
	{name: "token given to a helper", madeByServer: true, plant: func(w *world, _ string) {
		token := w.must("POST", "auth/token/create", `{"policies":["default"]}`).text("auth.client_token")
		w.watch("token given to a helper", token)
		script, seen := w.file("helper", fmt.Sprintf(helperScript, w.path("work/helper.log"))), w.path("work/helper.log")
		if err := os.Chmod(script, 0o700); err != nil {
			w.t.Fatal(err)
		}
		config := w.file("vault.hcl", fmt.Sprintf("token_helper = %q\n", script))
		printed, code := w.call(command{args: []string{"login", "-no-print", "-"}, stdin: token, env: []string{"VAULT_CONFIG_PATH=" + config}})
		w.saw(output, "login", []byte(printed))
		text, err := os.ReadFile(seen)
		if err != nil || code != 0 || !strings.Contains(string(text), "store") {
			w.t.Fatalf("code %d, %v:\n%s\n%s", code, err, printed, text)
		}
		w.saw(arguments, "token helper", text)
	}},
	{name: "value of kv put from the standard input", plant: func(w *world, s string) {
		w.works(s, "kv", "put", "secret/cli", "password=-")
		w.works(`{"password":"`+s+`"}`, "kv", "put", "-format=json", "-mount=secret", "cli", "-")
		w.works(s, "kv", "patch", "secret/cli", "more=-")
		w.works(s, "write", "kv/cli", "password=-")
		for _, args := range [][]string{{"kv", "get", "secret/cli"}, {"kv", "get", "-format=json", "secret/cli"}, {"kv", "get", "-field=password", "secret/cli"}, {"read", "kv/cli"}} {
			if printed := w.prints("", args...); !strings.Contains(printed, s) {
				w.t.Errorf("%q does not print the value:\n%s", args, printed)
			}
		}
		w.works("", "kv", "metadata", "get", "secret/cli")
		w.fails(s, "kv", "put", "-cas=77", "secret/cli", "password=-")
		w.fails(s, "kv", "put", "nowhere/cli", "password=-")
		w.fails(s, "kv", "put", "-wrap-ttl=x", "secret/cli", "password=-")
		w.fails(s, "write", "sys/nothing", "password=-")
	}},
	{name: "value of kv put from a file", plant: func(w *world, s string) {
		w.works("", "kv", "put", "secret/cli", "password=@"+w.file("value", s))
		w.works("", "kv", "put", "secret/cli", "@"+w.file("value.json", `{"password":"`+s+`"}`))
		w.works("", "write", "kv/cli", "@"+w.file("value.json", `{"password":"`+s+`"}`))
		for _, content := range []string{s, `{"password":"` + s, `{"password": ` + s + `}`, `["` + s + `"]`, `{"a":1}` + s, `"` + s + `"`} {
			w.fails("", "kv", "put", "secret/cli", "@"+w.file("broken.json", content))
			w.fails(content, "write", "kv/cli", "-")
		}
	}},
	{name: "value in an argument that is wrong", plant: func(w *world, s string) {
		w.fails("", "kv", "put", "secret/cli", s)
		w.fails("", "kv", "put", "secret/cli", "="+s)
		w.fails("", "kv", "put", "secret/cli", "password=@"+s)
		w.fails("", "write", "kv/cli", "ok=1", s)
		w.fails("", "kv", "put", "-cas="+s, "secret/cli", "a=b")
		w.fails("", "kv", "put", "-pasword="+s, "secret/cli", "a=b")
		w.works("", "kv", "put", "secret/cli", "a=b", "-password="+s)
		w.fails("", "-token="+s, "kv", "get", "secret/cli")
		w.fails("", "kv", "-token="+s)
		w.fails("", "token", "create", "-ttl="+s)
		w.fails("", "token", "create", "-metadata="+s)
		w.fails("", "login", s, s)
		w.fails("", "login", "-method=userpass", "username=eve", s)
		w.fails("", "login", "-method="+s)
		w.fails("", "kv", "get", "-header=X-Vault-Token="+s, "secret/cli")
		w.works("", "__complete", "--", "kv", "put", "secret/cli", "password="+s)
		w.works("", "__complete", "--", "login", "-token="+s, "")
	}},
	{name: "password of a command line login", plant: func(w *world, s string) {
		w.must("POST", "auth/userpass/users/eve", `{"password":"`+s+`"}`)
		w.watch("wrong password of a command line login", s[8:]+s[:8])
		w.works(s, "login", "-no-store", "-no-print", "-method=userpass", "username=eve", "password=-")
		w.works(s, "login", "-no-store", "-no-print", "-method=userpass", "username=eve")
		w.fails(s[8:]+s[:8], "login", "-no-store", "-method=userpass", "username=eve", "password=-")
		w.fails(s[8:]+s[:8], "login", "-no-store", "-method=userpass", "-path=nowhere", "username=eve", "password=-")
	}},
	{name: "wrong secret id of a command line login", plant: func(w *world, s string) {
		w.fails(s, "login", "-no-store", "-method=approle", "role_id=x", "secret_id=-")
		w.fails("", "login", "-no-store", "-method=approle", "role_id=x", "secret_id=@"+w.file("secret-id", s))
	}},
	{name: "token that a command is about", plant: func(w *world, s string) {
		w.fails(s, "token", "lookup", "-")
		w.fails(s, "token", "renew", "-")
		w.fails(s, "unwrap", "-")
		w.fails(s, "login", "-")
		w.quietly(s, "operator", "unseal", "-") // which is unsealed already
		w.fails(s, "operator", "generate-root", "-nonce=x", "-")
		w.fails("", "operator", "generate-root", "-decode="+s, "-otp="+s)
	}},
	{name: "token in the environment", plant: func(w *world, s string) {
		w.failsWith([]string{"VAULT_TOKEN=" + s}, "", "kv", "get", "secret/cli")
		w.failsWith([]string{"COFFER_TOKEN=cfs." + s}, "", "token", "lookup")
		w.failsWith([]string{"VAULT_TOKEN=" + s + "\x01\n"}, "", "kv", "get", "secret/cli")
		w.failsWith([]string{"VAULT_TOKEN=" + s}, "", "login", "-method=userpass", "username=eve", "password=x")
		w.failsWith([]string{"VAULT_CACERT_BYTES=" + s}, "", "status")
		w.failsWith([]string{"VAULT_CLIENT_TIMEOUT=" + s, "VAULT_MAX_RETRIES=" + s, "VAULT_SKIP_VERIFY=" + s}, "", "kv", "get", "secret/cli")
	}},
	{name: "password in an address", plant: func(w *world, s string) {
		for _, address := range []string{
			"http://user:" + s + "@127.0.0.1:1", "http://user:" + s + "@127.0.0.1:port", "ftp://user:" + s + "@x", "http://user:" + s + "%zz@x", "http://[::1:" + s,
			"http://127.0.0.1:1/?token=" + s, "http://user:" + s + "@%41:1",
		} {
			w.failsWith([]string{"VAULT_ADDR=" + address}, "", "kv", "get", "secret/cli")
			w.failsWith([]string{"VAULT_ADDR=" + address}, "", "status")
		}
		for _, through := range []string{"http://user:" + s + "@127.0.0.1:1", "http://user:" + s + "@127.0.0.1:port", "x://user:" + s + "@%zz", "socks5://user:" + s + "@127.0.0.1:1"} {
			w.failsWith([]string{"HTTP_PROXY=" + through, "VAULT_ADDR=http://192.0.2.1:1"}, "", "kv", "get", "secret/cli")
		}
	}},
	{name: "text of a policy file that is no policy", plant: func(w *world, s string) {
		for _, content := range []string{
			"path \"x\" { capabilities = [\"read\"] " + s, s, "password = " + s, "path \"x\" {\n  token = " + s + "\n}", "path \"x\" { capabilities = [\"read\", \"" + s,
		} {
			path := w.file("policy.hcl", content)
			w.fails("", "policy", "write", "broken", path)
			w.fails("", "policy", "fmt", path)
			w.fails(content, "policy", "write", "broken", "-")
		}
	}},
}

// emptied fails the test if a folder has a file.
func (w *world) emptied(dir string) {
	w.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			w.t.Errorf("%s: %s is left", w.at.name, path)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}
