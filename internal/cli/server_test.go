package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What a server started this way would ignore, it refuses before it touches
// anything.
func TestServerRefusesFlagsThatItWouldIgnore(t *testing.T) {
	for _, tt := range []struct{ name, args, text, hint string }{
		{"an address of another kind of server", "-dev -listen=127.0.0.1:0", "-listen is not for a -dev server", "-dev-listen-address"},
		{"data of a server that keeps none", "-dev -data=/nowhere", "-data is not for a -dev server", "Leave -dev out"},
		{"a key of a server that keeps none", "-dev -key-file=/nowhere", "-key-file is not for a -dev server", "Leave -dev out"},
		{"two ways at once", "-dev -config=/nowhere", "-config is not for a -dev server", "Leave out one"},
		{"an address beside the configuration", "-config=/nowhere -listen=127.0.0.1:0", "-listen is not for a server with -config", "configuration"},
		{"data beside the configuration", "-config=/nowhere -data=/nowhere", "-data is not for a server with -config", "configuration"},
		{"a key beside the configuration", "-config=/nowhere -key-file=/nowhere", "-key-file is not for a server with -config", "configuration"},
		{"a token chosen for a server that is no toy", "-dev-root-token-id=hunter2", "-dev-root-token-id is for a -dev server", "Add -dev."},
		{"a form of log that is none", "-dev -log-format=xml", "want one of standard, json", "-help"},
		{"a level of log that is none", "-dev -log-level=loud", `"loud" is none of`, ""},
		{"a log in a folder that is not there", "-dev -log-file=/nowhere/at/all.log", "log file: open /nowhere/at/all.log", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			env := map[string]string{"HOME": t.TempDir()}
			code := Main(append([]string{"server"}, strings.Fields(tt.args)...), System{
				Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return env[name] },
			})
			if code != exitLocal || out.Len() > 0 {
				t.Errorf("code %d, output %q", code, &out)
			}
			if got := errs.String(); !strings.Contains(got, tt.text) || !strings.Contains(got, tt.hint) || strings.Contains(got, "hunter2") {
				t.Errorf("told: %s", got)
			}
		})
	}
}

func TestWhereAServerWithoutConfigurationKeepsThings(t *testing.T) {
	call := &Call{System: System{Getenv: func(string) string { return "" }}}
	flags := func(args ...string) *serverFlags {
		f := newFlags()
		o := declareServer(f)
		if err := f.parse(args); err != nil {
			t.Fatal(err)
		}
		return o
	}
	cfg, _, err := flags("-data=/srv/data", "-key-file=/srv/keys/a.key", "-listen=0.0.0.0:8200").config(call)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Storage.Path != "/srv/data" || cfg.Seal.Path != "/srv/keys/a.key" || cfg.Listeners[0].TLS.SelfSignedDir != "/srv/keys/tls" {
		t.Errorf("%+v", cfg)
	}
	_, _, err = flags("-data=/srv/data", "-key-file=/srv/data/a.key").config(call)
	if err == nil || !strings.Contains(err.Error(), "would lie in the data folder") {
		t.Errorf("a key beside the data: %v", err)
	}
}
