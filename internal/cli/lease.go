package cli

import (
	"context"
	"strings"
)

func leaseLookupCommand() Command {
	return Command{
		Name: "lease lookup", Args: "ID", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Show what is known about a lease",
		Long: `
  Show how long a lease lasts:
      $ coffer lease lookup database/creds/readonly/2f6a614c-4aa2-7b19-24b9-ad944a8d4de6`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				return leaseRequest(ctx, c, "sys/leases/lookup", "looking up lease", map[string]any{"lease_id": leaseID(c)})
			}
		},
	}
}

func leaseRenewCommand() Command {
	return Command{
		Name: "lease renew", Args: "ID", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Let a lease last longer",
		Long: `
  Let it last an hour from now on:
      $ coffer lease renew -increment=1h database/creds/readonly/2f6a614c-4aa2-7b19-24b9-ad944a8d4de6`,
		New: func(f *Flags) Run {
			increment := incrementFlag(f)
			return func(ctx context.Context, c *Call) error {
				body := map[string]any{"lease_id": leaseID(c)}
				if *increment != "" {
					body["increment"] = *increment
				}
				return leaseRequest(ctx, c, "sys/leases/renew", "renewing lease", body)
			}
		},
	}
}

func leaseID(c *Call) string { return strings.TrimSpace(c.Args[0]) }

// leaseRequest writes to a path and prints the answer.
func leaseRequest(ctx context.Context, c *Call, path, doing string, body map[string]any) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, path, body)
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "%s", doing)
	}
	return c.PrintSecret(s)
}

type leaseRevokeFlags struct{ force, prefix, sync *bool }

func leaseRevokeCommand() Command {
	return Command{
		Name: "lease revoke", Args: "ID | PREFIX", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Revoke a lease, or all whose IDs begin alike",
		Long: `
  Revoke one:
      $ coffer lease revoke database/creds/readonly/2f6a614c-4aa2-7b19-24b9-ad944a8d4de6
  Revoke all of a role, and wait until they are:
      $ coffer lease revoke -sync -prefix database/creds/readonly
  Forget those that cannot be revoked, as their database is gone:
      $ coffer lease revoke -force -prefix database/creds/readonly`,
		New: func(f *Flags) Run {
			r := leaseRevokeFlags{
				prefix: f.Bool("prefix", false, "Revoke all leases whose IDs begin with the argument."),
				force:  f.Bool("force", false, "Forget the lease even if its engine cannot revoke it. Needs -prefix."),
				sync:   f.Bool("sync", false, "Wait until it is done."),
			}
			f.Alias("f", "force")
			return func(ctx context.Context, c *Call) error { return runLeaseRevoke(ctx, c, r) }
		},
	}
}

func runLeaseRevoke(ctx context.Context, c *Call, r leaseRevokeFlags) error {
	if *r.force && !*r.prefix {
		return usage("Specifying -force requires also specifying -prefix")
	}
	id := leaseID(c)
	path, body := "sys/leases/revoke", map[string]any{"lease_id": id, "sync": *r.sync}
	prefix := strings.Trim(id, "/")
	if prefix == "" {
		return usage("The ID is empty")
	}
	doing, done := "revoking lease "+id, "Revoked lease: "+id
	switch {
	case *r.force:
		c.Warn("Warning! Force-removing leases can leave accounts behind that the server has forgotten.")
		path, body = "sys/leases/revoke-force/"+prefix, map[string]any{}
		doing, done = "force revoking leases with prefix "+id, "Force revoked any leases with prefix: "+id
	case *r.prefix:
		path, body = "sys/leases/revoke-prefix/"+prefix, map[string]any{"sync": *r.sync}
		doing, done = "revoking leases with prefix "+id, "Revoked any leases with prefix: "+id
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, path, body)
	if err != nil {
		return failed(err, "%s", doing)
	}
	if s != nil {
		c.printWarnings(s)
	}
	if *r.force || *r.sync {
		c.Success("%s", done)
		return nil
	}
	c.Print("All revocation operations queued successfully!")
	return nil
}
