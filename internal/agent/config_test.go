package agent

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/config"
)

func TestVaultAgentsConfigurationIsUnderstood(t *testing.T) {
	cfg, warnings, err := Load("testdata/vault-agent.hcl", ParseOptions{ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	wantServer := Server{Address: "https://vault.example.com:8200", Namespace: "team", CACert: "/etc/ssl/ca.pem", Retries: 5}
	if d := cmp.Diff(wantServer, cfg.Server); d != "" {
		t.Error(d)
	}
	wantMethod := &Method{
		Kind: AppRole, Mount: "approle-prod", MinBackOff: 2 * time.Second, MaxBackOff: time.Minute,
		RoleIDFile: "roleid", SecretIDFile: "secretid", KeepSecretIDFile: true, WrappingPath: "auth/approle/role/app/secret-id",
	}
	if d := cmp.Diff(wantMethod, cfg.Method); d != "" {
		t.Error(d)
	}
	if len(cfg.Sinks) != 2 || cfg.Sinks[0].Mode != 0o600 || cfg.Sinks[0].WrapTTL != 5*time.Minute || cfg.Sinks[1].Mode != 0o640 || cfg.Sinks[1].Path != "/tmp/file-bar" {
		t.Errorf("sinks %+v", cfg.Sinks)
	}
	if len(cfg.Listeners) != 2 || cfg.Listeners[0].Network != config.Unix || cfg.Listeners[0].Socket.Mode != 0o660 || !cfg.Listeners[1].RequireHeader {
		t.Errorf("listeners %+v", cfg.Listeners)
	}
	if !cfg.Cache || cfg.Proxy != (Proxy{UseToken: true, Force: true}) || !cfg.EnableQuit || !cfg.ExitOnRetryFailure || cfg.Interval != 10*time.Minute {
		t.Errorf("%+v", cfg)
	}
	one := cfg.Templates[0]
	if d := one.Destination; d.Mode != 0o640 || d.User != "root" || d.Group != "0" || !d.Backup || d.CreateDirs {
		t.Errorf("%+v", d)
	}
	if d := cmp.Diff([]string{"systemctl", "reload", "app"}, one.Command); d != "" || one.Timeout != 20*time.Second {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/bin/sh", "-c", "true"}, cfg.Templates[1].Command); d != "" || !cfg.Templates[1].Destination.CreateDirs {
		t.Error(d)
	}
	if len(cfg.EnvTemplates) != 1 || cfg.EnvTemplates[0].Name != "DB_PASSWORD" || cfg.Exec.StopSignal != "SIGINT" || cfg.LogLevel != slog.LevelInfo {
		t.Errorf("%+v", cfg)
	}
	var fields []string
	for _, w := range warnings {
		fields = append(fields, w.Field)
	}
	want := []string{
		"log_file", "cache.persist", "api_proxy.enforce_consistency", "template_config.max_connections_per_host",
		"template.wait", "template.perms",
	}
	if d := cmp.Diff(want, fields); d != "" {
		t.Error(d)
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	const text = `
vault { adress = "x" }
auto_auth {
  method "kubernetes" { config = { role = "a" } }
  sink "file" { config = { mode = "0999" } }
}
template {
  contents = "{{ nope }}"
  source   = "x"
}
template {
  contents    = "{{ nope }}"
  destination = "/tmp/x"
}
listener "tcp" { tls_disable = "maybe" }
listener "ftp" {}
exec { restart_on_secret_changes = "sometimes" }
wrapt = 1
`
	_, _, err := Parse("a.hcl", []byte(text), ParseOptions{ReadFile: os.ReadFile})
	for _, want := range []string{
		"a.hcl:2: vault.adress: unknown; known here: address, ca_cert",
		`a.hcl:4: auto_auth.method: "kubernetes" is not supported; known are approle and token_file`,
		"a.hcl:5: auto_auth.sink \"file\".config.mode: expected permissions",
		"a.hcl:5: auto_auth.sink \"file\".config.path: is missing",
		"a.hcl:7: template.destination: is missing",
		"a.hcl:7: template: wants either source or contents",
		`a.hcl:11: template: contents of /tmp/x:1: there is no function "nope"`,
		`"ftp" is not supported`, "exec.restart_on_secret_changes: expected always or never", "exec.command: is missing",
		"wrapt: unknown",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in:\n%v", want, err)
		}
	}
}

func TestProblemsOfTheWhole(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing to do", ``, "there is nothing to do"},
		{"a template without a login", `template { contents = "x" destination = "y" }`, "needs auto_auth with a method"},
		{"a variable without a program", `env_template "A" { contents = "x" }`, "exec is missing"},
		{"no name of a variable", `env_template "A=B" { contents = "x" }`, "is no name of a variable"},
		{"two templates for one file", "template { contents = \"x\"\n destination = \"y\" }\ntemplate { contents = \"x\"\n destination = \"y\" }", "another template has it, too"},
		{"a role id that is not named", `auto_auth { method "approle" {} }`, "role_id_file_path: is missing"},
		{"what would leave a token open", `auto_auth { sink "file" { dh_type = "curve25519" } }`, "is not supported: tokens are not encrypted"},
		{"broken", `template {`, "a.hcl:1: object expected closing RBRACE"},
		{"no object", `{"a"`, "the text ends before a value does"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Parse("a.hcl", []byte(tt.text), ParseOptions{ReadFile: os.ReadFile})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestATemplateReadsFilesOfItsSandboxOnly(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "in"), 0o700), os.WriteFile(filepath.Join(dir, "in", "a"), []byte("x"), 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "in", "out"))); err != nil {
		t.Fatal(err)
	}
	_, url := newFake(t)
	for path, want := range map[string]string{"a": "x", "../x": "", "out": "", filepath.Join(dir, "in", "a"): "x"} {
		r := start(t, url, "exit_after_auth = true\n"+login+"}\ntemplate_config { exit_on_retry_failure = true }\n"+
			strings.NewReplacer("IN", filepath.Join(dir, "in"), "PATH", path).Replace(`
template {
  sandbox_path = "IN"
  contents     = "{{ file \"PATH\" }}"
  destination  = "$DIR/app"
}`))
		if want == "" {
			eventually(t, "a refusal", func() bool { return strings.Contains(r.log.String(), "not everything could be rendered") })
			continue
		}
		<-r.over
		if got := r.read("app"); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// Whatever the text, there is a configuration or a reason.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("testdata/vault-agent.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(example), "", "{", `{"template": [{"contents": "x"}]}`, "listener \"tcp\" { address = [] }", "template = 1", "exec { command = [] }"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, _, err := Parse("f", text, ParseOptions{ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
		if problems := new(ConfigError); err != nil && (!errors.As(err, &problems) || len(problems.Problems) == 0) || (err == nil) != (cfg != nil) {
			t.Errorf("%v", err)
		}
	})
}
