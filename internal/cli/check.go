package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/manifest"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

func checkCommand() Command {
	return Command{
		Name: "check", Flags: ClientFlags | FormatFlag,
		Short: "Say whether a program would get the secrets that its manifest lists",
		Long: `
The manifest, coffer.toml or coffer.yaml, says what a program needs: names, where
the values come from, their types. A variable of the environment, or else of
-env-file, wins over the manifest's reference, as it does when the program runs.
Every value is looked for, and none is printed.

For what the token may not read, the lines of a policy are printed that would let
it. We log in as "coffer run" does: with COFFER_TOKEN, an AppRole or the last
login; a secret id that has a number of uses has one less then. Leases of what was
read are revoked.

Exit codes: 0 if all is well; 1 if something here is wrong: the manifest, a
variable, the type of a value; 2 if the server refuses or lacks something.

  Before a deployment, as the program's own role:
      $ COFFER_ROLE_ID=… COFFER_SECRET_ID=… coffer check -env-file=.env
  The form only, without a server, in continuous integration:
      $ coffer check -offline
  What is missing in the policy, ready to be written:
      $ coffer check -format=json | jq -r .policy`,
		New: newCheck,
	}
}

type checkFlags struct {
	manifest, authMount *string
	envFiles            *[]string
	offline             *bool
}

func newCheck(f *Flags) Run {
	o := &checkFlags{
		manifest:  f.String("manifest", "", "The manifest. Default: coffer.toml, coffer.yaml or coffer.yml here."),
		envFiles:  f.List("env-file", "File of NAME=VALUE lines, as dotenv has them."),
		offline:   f.Bool("offline", false, "Ask no server: check the form of the manifest and of what is set."),
		authMount: f.String("auth-mount", "", "Where AppRole is mounted. Also COFFER_APPROLE_MOUNT. Default: approle."),
	}
	return o.run
}

func (o *checkFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("A check makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	m, err := loadManifest(*o.manifest)
	if err != nil {
		return err
	}
	given, err := c.overlay(*o.envFiles)
	if err != nil {
		return err
	}
	lookup := func(name string) (string, bool) { v := given(name); return v, v != "" }
	if *o.offline {
		findings, _ := m.Check(ctx, nil, lookup)
		return c.printCheck(m, findings, "")
	}
	r, err := c.openReader(ctx, given, *o.authMount)
	if err != nil {
		return err
	}
	defer r.close(ctx)
	findings, reads := m.Check(ctx, secrets.NewResolver(r.client), lookup)
	r.giveBack(ctx, reads)
	policy := manifest.Policy(findings, func(path string) bool {
		_, _, err := r.client.KVMount(ctx, path)
		return err == nil
	})
	return c.printCheck(m, findings, policy)
}

// loadManifest reads the manifest at path, or the one that is here.
func loadManifest(path string) (*manifest.Manifest, error) {
	var err error
	if path == "" {
		if path, err = manifest.Find("."); err != nil {
			f := &failure{code: exitLocal, text: err.Error()}
			if errors.Is(err, fs.ErrNotExist) {
				f.text = "No manifest here: " + strings.Join(manifest.Names, ", ")
				f.hint = "Say where it is: -manifest."
			}
			return nil, f
		}
	}
	m, err := manifest.Load(path)
	return m, local(err)
}

// overlay returns the environment, with the variables of files below it. A later
// file wins.
func (c *Call) overlay(files []string) (func(string) string, error) {
	below := map[string]secret.Bytes{}
	for _, path := range files {
		f, err := dotenv.Load(path)
		if err != nil {
			return nil, local(err)
		}
		values, err := f.Values()
		if err != nil {
			return nil, local(fmt.Errorf("%s, %w", path, err))
		}
		for name, value := range values {
			below[name] = value
		}
	}
	environment := c.Getenv
	return func(name string) string {
		if v := environment(name); v != "" {
			return v
		}
		return below[name].RevealText()
	}, nil
}

// checkAnswer is what -format=json prints.
type checkAnswer struct {
	Manifest string       `json:"manifest"`
	OK       bool         `json:"ok"`
	Secrets  []checkEntry `json:"secrets"`
	Policy   string       `json:"policy,omitempty"`
}

type checkEntry struct {
	Name      string `json:"name"`
	Line      int    `json:"line"`
	State     string `json:"state"`
	Reference string `json:"reference,omitempty"`
	Problem   string `json:"problem,omitempty"`
}

func (c *Call) printCheck(m *manifest.Manifest, findings []manifest.Finding, policy string) error {
	code := checkCode(findings)
	if !c.table() {
		answer := checkAnswer{Manifest: m.Path, OK: code == exitOK, Policy: policy}
		for _, f := range findings {
			answer.Secrets = append(answer.Secrets, checkEntry{f.Name, f.Line, string(f.State), f.Reference, f.Text})
		}
		if err := c.PrintValue(answer); err != nil || code == exitOK {
			return err
		}
		return silently(code)
	}
	rows := [][]string{{"Name", "State", "From", "Problem"}}
	wrong := 0
	for _, f := range findings {
		from := f.Reference
		if from == "" {
			from = "environment"
		}
		rows = append(rows, []string{f.Name, string(f.State), from, firstLine(f.Text)})
		if f.State != manifest.OK && f.State != manifest.Unasked {
			wrong++
		}
	}
	fmt.Fprint(c.Stdout, layout(rows))
	if policy != "" {
		c.Print("\nA policy with these lines would grant what is denied:\n\n" + policy)
	}
	if code == exitOK {
		return nil
	}
	return &failure{code: code, text: fmt.Sprintf("%s: %s not as they must be", m.Path, count(wrong, "secret is", "secrets are"))}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// checkCode is what findings earn: what the server lacks or refuses weighs more.
func checkCode(findings []manifest.Finding) int {
	code := exitOK
	for _, f := range findings {
		switch f.State {
		case manifest.OK, manifest.Unasked:
		case manifest.Denied, manifest.Failed:
			code = exitServer
		case manifest.Missing:
			if f.Reference != "" {
				code = exitServer
			} else {
				code = max(code, exitLocal)
			}
		default:
			code = max(code, exitLocal)
		}
	}
	return code
}

// reader is a client that has logged in as a program would.
type reader struct {
	client *client.Client
	own    bool // the token is ours to revoke
}

// openReader logs in with what getenv knows: a token, an AppRole, the last login.
// What can be unwrapped once only is left to the program.
func (c *Call) openReader(ctx context.Context, getenv func(string) string, mount string) (*reader, error) {
	c.Getenv = getenv // files may say where the server is
	cl, err := c.anonymous()
	if err != nil {
		return nil, err
	}
	cl = cl.WithWrapTTL("")
	if cl.Token() == "" {
		token, _, err := setting(getenv, "TOKEN")
		if err != nil {
			return nil, err
		}
		cl.SetToken(token)
	}
	if cl.Token() != "" {
		return &reader{client: cl}, nil
	}
	roleID, _, err := setting(getenv, "ROLE_ID")
	if err != nil {
		return nil, err
	}
	if roleID != "" {
		return c.loginAsRole(ctx, cl, getenv, mount, roleID)
	}
	for _, suffix := range []string{"WRAPPED_TOKEN", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED"} {
		if _, name, _ := setting(getenv, suffix); name != "" {
			return nil, usedOnce(name)
		}
	}
	token, err := c.tokens().load()
	if err != nil {
		return nil, local(err)
	}
	cl.SetToken(token)
	return &reader{client: cl}, nil
}

func usedOnce(name string) error {
	return &failure{code: exitLocal, text: name + " can be used once only, and the program needs it", hint: "Log in in another way: COFFER_TOKEN, or a secret id of its own."}
}

func (c *Call) loginAsRole(ctx context.Context, cl *client.Client, getenv func(string) string, mount, roleID string) (*reader, error) {
	secretID, _, err := setting(getenv, "SECRET_ID")
	if err != nil {
		return nil, err
	}
	if secretID == "" {
		for _, suffix := range []string{"WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED"} {
			if _, name, _ := setting(getenv, suffix); name != "" {
				return nil, usedOnce(name)
			}
		}
	}
	auth, err := cl.LoginAppRole(ctx, appRoleMount(getenv, mount), roleID, secretID)
	if err != nil {
		return nil, failed(err, "logging in with the AppRole")
	}
	cl.SetToken(auth.ClientToken)
	return &reader{client: cl, own: true}, nil
}

// appRoleMount returns where AppRole is.
func appRoleMount(getenv func(string) string, flag string) string {
	for _, m := range []string{flag, getenv("COFFER_APPROLE_MOUNT"), getenv("VAULT_APPROLE_MOUNT")} {
		if m = strings.TrimPrefix(cleanPath(m), "auth/"); m != "" {
			return m
		}
	}
	return "approle"
}

// setting returns COFFER_suffix or VAULT_suffix, or the content of the file that
// …_FILE names, and the variable's name.
func setting(getenv func(string) string, suffix string) (value, name string, err error) {
	for _, name := range []string{"COFFER_" + suffix, "VAULT_" + suffix} {
		if v := getenv(name); v != "" {
			return v, name, nil
		}
		path := getenv(name + "_FILE")
		if path == "" {
			continue
		}
		content, err := file.Read(path, maxInput>>20)
		if err != nil {
			return "", "", local(fmt.Errorf("%s_FILE: %w", name, err))
		}
		return strings.TrimSpace(string(content)), name + "_FILE", nil
	}
	return "", "", nil
}

// giveBack revokes the leases of what was read. What cannot be revoked ends by
// itself.
func (r *reader) giveBack(ctx context.Context, reads []secrets.Read) {
	if r.own {
		return // they end with the token
	}
	for _, read := range reads {
		if read.LeaseID != "" {
			_, _ = r.client.Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": read.LeaseID})
		}
	}
}

func (r *reader) close(ctx context.Context) {
	if r.own {
		_, _ = r.client.Write(ctx, "auth/token/revoke-self", nil)
	}
}
