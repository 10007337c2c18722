package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// loginMethod is a way to log in that the command line knows to ask for.
type loginMethod struct {
	mount  string   // where it lies unless -path says otherwise
	user   bool     // the field username goes into the path, not the body
	secret string   // the field to ask for if it is missing; empty: none
	fields []string // all that it takes
}

// loginMethods has all but "token", which is not a login but a token to keep.
var loginMethods = map[string]loginMethod{
	"approle":  {mount: "approle", secret: "secret_id", fields: []string{"role_id", "secret_id"}},
	"cert":     {mount: "cert", fields: []string{"name"}},
	"okta":     {mount: "okta", user: true, secret: "password", fields: []string{"username", "password"}},
	"radius":   {mount: "radius", user: true, secret: "password", fields: []string{"username", "password"}},
	"userpass": {mount: "userpass", user: true, secret: "password", fields: []string{"username", "password"}},
	"ldap":     {mount: "ldap", user: true, secret: "password", fields: []string{"username", "password"}},
	"github":   {mount: "github", secret: "token", fields: []string{"token"}},
}

type loginFlags struct {
	method, path *string
	noStore      *bool
	noPrint      *bool
	tokenOnly    *bool
}

func loginCommand() Command {
	return Command{
		Name: "login", Args: "[TOKEN | KEY=VALUE...]", MaxArgs: -1, Flags: outputFlags,
		Short: "Log in, and keep the token for the calls that follow",
		Long: `
The token is kept in ~/.vault-token. What is secret and missing is asked for and
not shown; KEY=@FILE and KEY=- keep secrets out of the list of processes.

  With a token, asked for:
      $ coffer login
  With an AppRole:
      $ coffer login -method=approle role_id=web secret_id=@secret-id
  With a password, asked for:
      $ coffer login -method=userpass username=ann
  For a script:
      $ COFFER_TOKEN=$(coffer login -token-only -method=approle role_id=web secret_id=-)`,
		New: func(f *Flags) Run {
			l := loginFlags{
				method:    f.Choice("method", "token", append(slices.Sorted(maps.Keys(loginMethods)), "token"), "How to log in."),
				path:      f.String("path", "", "Where the auth method is mounted, if not at its usual place."),
				noStore:   f.Bool("no-store", false, "Do not keep the token."),
				noPrint:   f.Bool("no-print", false, "Do not print the token."),
				tokenOnly: f.Bool("token-only", false, "Print the token only, and do not keep it."),
			}
			return func(ctx context.Context, c *Call) error { return runLogin(ctx, c, l) }
		},
	}
}

func runLogin(ctx context.Context, c *Call, l loginFlags) error {
	if *l.tokenOnly {
		*l.noStore = true
		*c.opts.field = "token"
	}
	cl, err := c.anonymous()
	if err != nil {
		return err
	}
	var s *api.Secret
	if *l.method == "token" {
		s, err = loginToken(ctx, c, cl)
	} else {
		s, err = loginMethods[*l.method].login(ctx, c, cl, *l.path)
	}
	if err != nil {
		return err
	}
	return c.keep(s, l)
}

// keep stores what was earned and prints it.
func (c *Call) keep(s *api.Secret, l loginFlags) error {
	if s.WrapInfo != nil {
		return c.PrintSecret(s)
	}
	if !*l.noStore {
		if err := c.tokens().store(s.Auth.ClientToken); err != nil {
			return &failure{code: exitLocal, text: fmt.Sprintf("Error storing token: %v", err)}
		}
		c.warnOfOverriding()
	}
	if *l.noPrint {
		return nil
	}
	if c.table() && c.field() == "" {
		c.Print(loginText(!*l.noStore))
	}
	return c.PrintSecret(s)
}

func loginText(stored bool) string {
	if !stored {
		return "Success! You are now authenticated. The token was not stored: set COFFER_TOKEN to the\ntoken below to use it.\n"
	}
	return "Success! You are now authenticated. The token below is stored: there is no need to log\nin again, the next calls will use it.\n"
}

// warnOfOverriding tells of a token in the environment, which wins over the
// stored one.
func (c *Call) warnOfOverriding() {
	for _, name := range []string{"COFFER_TOKEN", "VAULT_TOKEN"} {
		if c.Getenv(name) != "" {
			c.Warn(fmt.Sprintf("WARNING! The %s environment variable is set! It wins over the token that was just stored. Unset it to use that one.\n", name))
			return
		}
	}
}

// loginToken checks a token by looking it up.
func loginToken(ctx context.Context, c *Call, cl *client.Client) (*api.Secret, error) {
	token, err := c.givenToken()
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, usage("No token was given")
	}
	cl.SetToken(token)
	s, err := cl.WithWrapTTL("").Read(ctx, "auth/token/lookup-self")
	if err != nil {
		return nil, failed(err, "authenticating: error looking up token")
	}
	if s == nil {
		return nil, failed(errors.New("empty answer"), "authenticating: error looking up token")
	}
	s.Auth, err = lookedUp(token, s.Data)
	s.Data = nil
	return s, err
}

func (c *Call) givenToken() (string, error) {
	switch {
	case len(c.Args) == 0:
		return c.ask("Token")
	case len(c.Args) == 1 && !strings.Contains(c.Args[0], "="):
		return c.argument(0)
	}
	data, err := c.data(0)
	if err != nil {
		return "", err
	}
	token, _ := data["token"].(string)
	return strings.TrimSpace(token), nil
}

// lookedUp makes of a look-up what a login would have given.
func lookedUp(token string, data map[string]any) (*api.Auth, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return nil, local(err)
	}
	var d struct {
		Accessor         string            `json:"accessor"`
		Policies         []string          `json:"policies"`
		IdentityPolicies []string          `json:"identity_policies"`
		Meta             map[string]string `json:"meta"`
		TTL              int               `json:"ttl"`
		Renewable        bool              `json:"renewable"`
		EntityID         string            `json:"entity_id"`
		Type             string            `json:"type"`
		Orphan           bool              `json:"orphan"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, failed(errors.New("the answer cannot be read"), "looking up token")
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(d.Policies, d.IdentityPolicies))))
	return &api.Auth{
		ClientToken: token, Accessor: d.Accessor, Metadata: d.Meta, EntityID: d.EntityID, TokenType: d.Type,
		Policies: all, TokenPolicies: d.Policies, IdentityPolicies: d.IdentityPolicies,
		LeaseDuration: d.TTL, Renewable: d.Renewable, Orphan: d.Orphan,
	}, nil
}

// login asks for what is missing and logs in.
func (m loginMethod) login(ctx context.Context, c *Call, cl *client.Client, path string) (*api.Secret, error) {
	data, err := c.data(0)
	if err != nil {
		return nil, err
	}
	for name := range data {
		if !slices.Contains(m.fields, name) {
			return nil, usage("Unknown field %q (want %s)", name, strings.Join(m.fields, ", "))
		}
	}
	for name, v := range data {
		if s, ok := v.(string); ok {
			data[name] = strings.TrimRight(s, "\r\n") // files end in a line end, secrets do not
		}
	}
	if _, ok := data[m.secret]; !ok && m.secret != "" {
		if data[m.secret], err = c.ask(title(m.secret)); err != nil {
			return nil, err
		}
	}
	if path == "" {
		path = m.mount
	}
	where := "auth/" + cleanPath(path) + "/login"
	if m.user {
		name, _ := data["username"].(string)
		if name == "" {
			return nil, usage("Missing 'username'")
		}
		where += "/" + name
		delete(data, "username")
	}
	s, err := cl.WithToken("").Write(ctx, where, data)
	if err != nil {
		return nil, failed(err, "authenticating")
	}
	if s == nil || s.Auth == nil && s.WrapInfo == nil {
		return nil, failed(errors.New("the answer has no token"), "authenticating")
	}
	return s, nil
}

// title makes "Secret ID" of "secret_id".
func title(field string) string {
	words := strings.Split(field, "_")
	for i, w := range words {
		if w == "id" {
			words[i] = "ID"
			continue
		}
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}
