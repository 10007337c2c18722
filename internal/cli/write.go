package cli

import (
	"context"

	"github.com/cofferhq/coffer/api"
)

const dataHelp = `
Data is KEY=VALUE; KEY=@FILE takes the value from a file and KEY=- from the
standard input, line end and all. @FILE and - alone are JSON objects. \@ is a plain
@. Values that come from files or the standard input are in nobody's list of
processes.
`

func writeCommand() Command {
	return Command{
		Name: "write", Args: "PATH [DATA...]", MinArgs: 1, MaxArgs: -1, Flags: outputFlags,
		Short: "Write to the server, at any path",
		Long: dataHelp + `
  Make a role:
      $ coffer write auth/approle/role/web token_policies=web token_ttl=1h
  Write without data:
      $ coffer write -f transit/keys/orders`,
		New: func(f *Flags) Run {
			force := f.Bool("force", false, "Write although there is no data.")
			f.Alias("f", "force")
			return func(ctx context.Context, c *Call) error { return runWrite(ctx, c, *force) }
		},
	}
}

func runWrite(ctx context.Context, c *Call, force bool) error {
	path := cleanPath(c.Args[0])
	data, err := c.data(1)
	if err != nil {
		return err
	}
	if len(c.Args) == 1 && !force {
		return usage("Must supply data or use -force")
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, path, data)
	if err != nil {
		return failed(err, "writing data to %s", path)
	}
	return c.printWritten(s, path)
}

// printWritten prints the answer to a write, or that there was none.
func (c *Call) printWritten(s *api.Secret, path string) error {
	if s != nil {
		return c.PrintSecret(s)
	}
	if c.table() {
		c.Success("Data written to: %s", path)
	}
	return nil
}

func patchCommand() Command {
	return Command{
		Name: "patch", Args: "PATH DATA...", MinArgs: 2, MaxArgs: -1, Flags: outputFlags,
		Short: "Change some fields at a path and leave the rest",
		Long: dataHelp + `
  Change one field of a role:
      $ coffer patch pki/roles/web max_ttl=72h`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				path := cleanPath(c.Args[0])
				data, err := c.data(1)
				if err != nil {
					return err
				}
				cl, err := c.Client()
				if err != nil {
					return err
				}
				s, err := cl.Patch(ctx, path, data)
				if err != nil {
					return failed(err, "writing data to %s", path)
				}
				return c.printWritten(s, path)
			}
		},
	}
}

func deleteCommand() Command {
	return Command{
		Name: "delete", Args: "PATH [KEY=VALUE...]", MinArgs: 1, MaxArgs: -1, Flags: outputFlags,
		Short: "Delete what is at a path",
		Long: `
  Delete a role:
      $ coffer delete auth/approle/role/web`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				path := cleanPath(c.Args[0])
				query, err := c.query(1)
				if err != nil {
					return err
				}
				cl, err := c.Client()
				if err != nil {
					return err
				}
				s, err := cl.DeleteQuery(ctx, path, query)
				if err != nil {
					return failed(err, "deleting %s", path)
				}
				return c.printDeleted(s, path)
			}
		},
	}
}

func (c *Call) printDeleted(s *api.Secret, path string) error {
	if s != nil && (len(s.Data) > 0 || s.WrapInfo != nil) {
		return c.PrintSecret(s)
	}
	if s != nil {
		c.printWarnings(s)
	}
	if c.table() {
		c.Success("Data deleted (if it existed) at: %s", path)
	}
	return nil
}
