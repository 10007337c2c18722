package cli

import (
	"context"
)

type revokeFlags struct {
	accessor, self *bool
	mode           *string
}

func tokenRevokeCommand() Command {
	return Command{
		Name: "token revoke", Args: "[TOKEN | ACCESSOR]", MaxArgs: 1, Flags: ClientFlags,
		Short: "Revoke a token, its children, and the leases of them all",
		Long: `
- reads the token from the standard input.

  Revoke a token of which only the accessor is known:
      $ coffer token revoke -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da
  Revoke our own:
      $ coffer token revoke -self
  Revoke one and let its children live:
      $ coffer token revoke -mode=orphan - <token.txt
  Revoke all that logins with a role's method earned:
      $ coffer token revoke -mode=path auth/approle`,
		New: func(f *Flags) Run {
			r := revokeFlags{
				accessor: accessorFlag(f),
				self:     f.Bool("self", false, "Revoke the caller's own token."),
				mode:     f.Choice("mode", "", []string{"", "orphan", "path"}, "orphan lets the children live; path revokes all tokens that were made below a path."),
			}
			return func(ctx context.Context, c *Call) error { return runTokenRevoke(ctx, c, r) }
		},
	}
}

// check refuses what does not go together: nothing must be revoked by a guess.
func (r revokeFlags) check(args int) error {
	switch {
	case *r.self && *r.accessor:
		return usage("Cannot use -self with -accessor")
	case *r.self && *r.mode != "":
		return usage("Cannot use -self with -mode")
	case *r.accessor && *r.mode != "":
		return usage("Cannot use -accessor with -mode=%s", *r.mode)
	case *r.self && args > 0:
		return usage("Too many arguments with -self (expected 0, got %d)", args)
	case !*r.self && args == 0:
		return usage("Not enough arguments (expected 1 or -self, got 0)")
	}
	return nil
}

func runTokenRevoke(ctx context.Context, c *Call, r revokeFlags) error {
	if err := r.check(len(c.Args)); err != nil {
		return err
	}
	t, err := c.tokenArg(*r.accessor)
	if err != nil {
		return err
	}
	path, body := t.path("revoke"), t.body()
	switch *r.mode {
	case "orphan":
		path = "auth/token/revoke-orphan"
	case "path":
		prefix := cleanPath(t.value)
		if prefix == "" {
			return usage("The path is empty")
		}
		path, body = "sys/leases/revoke-prefix/"+prefix, map[string]any{}
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := cl.Write(ctx, path, body); err != nil {
		return failed(err, "revoking token")
	}
	c.Success("Revoked token (if it existed)")
	return nil
}
