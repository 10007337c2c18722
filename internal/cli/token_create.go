package cli

import (
	"context"
	"strings"

	"github.com/cofferhq/coffer/api"
)

type createFlags struct {
	id, displayName, role        *string
	kind, entityAlias            *string
	ttl, maxTTL, period          *string
	policies                     *[]string
	metadata                     *map[string]string
	useLimit                     *int
	orphan, noDefault, renewable *bool
}

func tokenCreateCommand() Command {
	return Command{
		Name: "token create", Flags: outputFlags,
		Short: "Create a token",
		Long: `
The token is a child of the caller's and goes when that does, unless -orphan says
otherwise. Without -policy it has the caller's policies.

  A token for an hour, for a script:
      $ coffer token create -policy=web -ttl=1h -field=token
  One that lives as long as it is renewed every day:
      $ coffer token create -policy=web -period=24h -orphan
  As a role says, wrapped so that only one can fetch it:
      $ coffer token create -role=ci -wrap-ttl=5m`,
		New: func(f *Flags) Run {
			t := declareCreate(f)
			return func(ctx context.Context, c *Call) error { return runTokenCreate(ctx, c, f, t) }
		},
	}
}

func declareCreate(f *Flags) createFlags {
	return createFlags{
		id:          f.String("id", "", "The token itself, for those with sudo. - reads it from the standard input."),
		displayName: f.String("display-name", "", "Name in look-ups and in the audit."),
		ttl:         f.Duration("ttl", "How long it lives, unless it is renewed."),
		maxTTL:      f.Duration("explicit-max-ttl", "How long it lives at most, however often it is renewed."),
		period:      f.Duration("period", "Renewals give it this time again, for ever. Needs sudo."),
		renewable:   f.Bool("renewable", true, "Let it be renewed."),
		orphan:      f.Bool("orphan", false, "Without a parent. Needs sudo."),
		noDefault:   f.Bool("no-default-policy", false, "Without the policy called default."),
		useLimit:    f.Int("use-limit", 0, "How often it can be used. Zero: any number."),
		role:        f.String("role", "", "Role that says how the token is to be."),
		kind:        f.Choice("type", "service", []string{"service", "batch"}, "batch tokens are not stored: they cannot be renewed and have no children."),
		metadata:    f.Map("metadata", "Note on the token."),
		policies:    f.Commas("policy", "Policy that it has."),
		entityAlias: f.String("entity-alias", "", "Alias of the entity that it acts for. Needs -role."),
	}
}

func runTokenCreate(ctx context.Context, c *Call, f *Flags, t createFlags) error {
	id := *t.id
	if id == "-" {
		var err error
		if id, err = c.readLine(); err != nil {
			return err
		}
	}
	if *t.entityAlias != "" && *t.role == "" {
		return usage("-entity-alias needs -role")
	}
	req := api.TokenRequest{
		ID: id, Policies: *t.policies, Metadata: *t.metadata, TTL: *t.ttl, ExplicitMaxTTL: *t.maxTTL,
		Period: *t.period, NoParent: *t.orphan, NoDefaultPolicy: *t.noDefault, DisplayName: *t.displayName,
		NumUses: *t.useLimit, EntityAlias: *t.entityAlias,
	}
	// A role may say otherwise, unless the call does.
	if f.Given("renewable") {
		req.Renewable = t.renewable
	}
	if f.Given("type") {
		req.Type = *t.kind
	}
	path := "auth/token/create"
	if role := strings.TrimSpace(*t.role); role != "" {
		path += "/" + role
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, path, req)
	if err != nil {
		return failed(err, "creating token")
	}
	if s == nil {
		return failed(errNoAnswer, "creating token")
	}
	return c.PrintSecret(s)
}
