package canary_test

import (
	"bufio"
	"io"
	"strings"
)

// application prints its secrets when it is told to, and waits until it is.
const application = `echo ready; read line; echo "$DB_PASSWORD"; test -z "$1" || cat "$1"`

// runs runs an application with its secrets, looks at all processes and files
// while it lives, and returns what it printed.
func (w *world) runs(env []string, args ...string) string {
	w.t.Helper()
	cmd := w.make(command{args: append([]string{"run"}, args...), env: env})
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		w.t.Fatalf("%s: %q, %v\n%s", w.at.name, line, err, cmd.Wait())
	}
	if n := w.lookAtProcesses(); n < 3 {
		w.t.Errorf("%s: %d processes, want the server, the runner and the application at least", w.at.name, n)
	}
	w.lookAtFiles()
	if _, err := io.WriteString(in, "go on\n"); err != nil {
		w.t.Fatal(err)
	}
	printed, err := io.ReadAll(lines)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Errorf("%s: %v\n%s", w.at.name, err, &errs)
	}
	w.note("%s", printed)
	w.saw(output, "run: what we print", []byte(errs.String()))
	w.emptied(w.shm)
	return string(printed)
}

var runDoors = []*door{
	{name: "value in the environment of a program", shows: shows{variables: isGiven}, plant: func(w *world, s string) {
		w.must("POST", "secret/data/run", `{"data":{"password":"`+s+`"}}`)
		if printed := w.runs([]string{"DB_PASSWORD=vault:secret/run#password"}, "-scrub=false", "--", "sh", "-c", application); !strings.Contains(printed, s) {
			w.t.Errorf("the application does not have its secret: %s", printed)
		}
	}},
	{name: "value in the config of a program", shows: shows{disk: isGiven}, plant: func(w *world, s string) {
		w.must("POST", "secret/data/run", `{"data":{"password":"`+s+`"}}`)
		config := w.file("app.yaml", "db:\n  password: vault:secret/run#password\n")
		if printed := w.runs(nil, "-scrub=false", "-config="+config, "--", "sh", "-c", application, "sh", "{}"); !strings.Contains(printed, s) {
			w.t.Errorf("the application does not have its secret: %s", printed)
		}
	}},
	{name: "what a run logs in with", madeByServer: true, plant: func(w *world, _ string) {
		w.must("POST", "auth/approle/role/run", `{"token_policies":"reader"}`)
		role := w.must("GET", "auth/approle/role/run/role-id", "").text("data.role_id")
		id := w.must("POST", "auth/approle/role/run/secret-id", `{}`).text("data.secret_id")
		w.watch("role id of a run", role)
		w.watch("secret id of a run", id)
		w.must("POST", "secret/data/run", `{"data":{"password":"no canary"}}`)
		w.runs([]string{
			"DB_PASSWORD=vault:secret/run#password", "VAULT_ROLE_ID_FILE=" + w.file("role-id", role), "VAULT_SECRET_ID_FILE=" + w.file("run-secret-id", id),
		}, "--", "sh", "-c", application)
	}},
	{name: "wrong login of a run", plant: func(w *world, s string) {
		reference := "DB_PASSWORD=vault:secret/run#password"
		for _, env := range [][]string{
			{reference, "VAULT_TOKEN=" + s}, {reference, "VAULT_ROLE_ID=" + s, "VAULT_SECRET_ID=" + s}, {reference, "VAULT_WRAPPED_TOKEN=" + s},
			{reference, "VAULT_ROLE_ID=x", "VAULT_WRAPPED_SECRET_ID=" + s}, {reference, "VAULT_SECRET_ID=" + s},
			{reference, "VAULT_TOKEN=" + s + "\x01"},
		} {
			w.failsOnce(env, "", "run", "--", "true")
		}
	}},
	{name: "value beside a reference that fails", plant: func(w *world, s string) {
		for _, text := range []string{
			"vault:" + s, "vault:secret/run#nothing?default=" + s, "vault:secret/none?default=" + s + "#x#y", "${vault:secret/run#" + s, "postgres://u:" + s + "@x/${vault:secret/none#x}",
			"ref+vault://" + s, "coffer://" + s + "@", "vault:secret/none?x=" + s + "#k", s + "${vault:}" + s,
		} {
			env := w.file("run.env", "DB_PASSWORD='"+text+"'\nOTHER='vault:nowhere/none#x'\n")
			w.failsOnce(nil, "", "run", "-env-file="+env, "--", "true")
			w.failsOnce(nil, "", "run", "-config="+w.file("run.json", `{"a":{"b":["`+text+`","vault:nowhere/none#x"]}}`), "--", "true", "{}")
		}
	}},
	{name: "value in a broken .env file", plant: func(w *world, s string) {
		for _, content := range []string{
			s, "A=1\n" + s + "\n", "A=\"" + s, "A='" + s + "\nB=2", s + "=\"", "=" + s, "A B=" + s, "A=1\nexport " + s + "\n", "A=$" + s + "{\n'" + s, "\x00" + s + "=1",
		} {
			w.failsOnce(nil, "", "run", "-env-file="+w.file("broken.env", content), "--", "true")
		}
	}},
	{name: "value in a broken config of a program", plant: func(w *world, s string) {
		for name, contents := range map[string][]string{
			"broken.yaml": {"a: \"" + s, "a: b: " + s, "a:\n\t" + s + ": 1", "a: *" + s, "a: !!int " + s + "\nb: [", "? [" + s, "%" + s},
			"broken.json": {`{"a":"` + s, `{"a": ` + s + `}`, `{"a":1}` + s, s, `{"a":"\x` + s + `"}`},
			"broken.toml": {`a = "` + s, "a = " + s, "[" + s, s, `a = """` + s, "a = 1\na = \"" + s + "\""},
			"broken.conf": {"${vault:" + s, "x ${vault:secret/none#x} " + s, s + " ${vault:secret/run#none} ${"},
		} {
			for _, content := range contents {
				w.failsOnce(nil, "", "run", "-config="+w.file(name, content), "--", "true", "{}")
			}
		}
	}},
}

// unknownStorage keeps a server from starting where the rest of a configuration
// would let it.
const unknownStorage = "storage \"nothing\" { }\n"

var parseDoors = []*door{
	{name: "value in a broken configuration of the server", plant: func(w *world, s string) {
		for _, content := range []string{
			s, "password = " + s, "storage \"pebble\" { path = \"" + s, "storage \"pebble\" { path = " + s + " }", "storage \"postgresql\" { connection_url = \"postgres://u:" + s + "@x\" }",
			"seal \"transit\" { token = \"" + s + "\" }", "listener \"tcp\" { address = \"127.0.0.1:" + s + "\" }", "listener \"tcp\" { tls_disable = \"" + s + "\" }",
			"default_lease_ttl = \"" + s + "\"", "seal \"keyfile\" { token = \"" + s + "\" }", "listener \"tcp\" { tls_min_version = \"" + s + "\" }", "log_level = \"" + s + "\"",
			"a = <<EOF\n" + s, "audit \"file\" { options { file_path = \"/x\" prefix = \"" + s + "\" log_raw = \"" + s + "\" } }", "storage \"consul\" { token = \"" + s + "\" }",
			`{"seal": {"transit": {"token": "` + s + `"}}}`, `{"seal": {"transit": {"token": ` + s + `}}}`, `{"password": "` + s, "/* " + s, "telemetry { circonus_api_token = \"" + s + "\" ",
			"max_lease_ttl = [\"" + s + "\"]", "api_addr = \"http://u:" + s + "@%zz\"", "cluster_addr = \"" + s + "\" x",
		} {
			if !strings.HasPrefix(content, "{") {
				content = unknownStorage + content
			}
			w.failsOnce(nil, "", "server", "-config="+w.file("broken.hcl", content+"\n"))
		}
	}},
}
