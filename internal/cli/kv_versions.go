package cli

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/cofferhq/coffer/client"
)

func kvDeleteCommand() Command {
	return Command{
		Name: "kv delete", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Delete versions of a secret, so that they can be undeleted",
		Long: `
  Delete the newest version, or others:
      $ coffer kv delete secret/db
      $ coffer kv delete -versions=3,4 secret/db`,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			versions := f.Commas("versions", "Versions to delete. Without, the newest.")
			return onKV(mount, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				return runKVDelete(ctx, c, cl, p, *versions)
			})
		},
	}
}

func runKVDelete(ctx context.Context, c *Call, cl *client.Client, p kvPlace, versions []string) error {
	path := p.full("data")
	if p.version == 2 && len(versions) > 0 {
		path = p.full("delete")
		s, err := cl.Write(ctx, path, map[string]any{"versions": versions})
		if err != nil {
			return failed(err, "deleting %s", path)
		}
		return c.printDeleted(s, path)
	}
	s, err := cl.Delete(ctx, path)
	if err != nil {
		return failed(err, "deleting %s", path)
	}
	return c.printDeleted(s, path)
}

func kvUndeleteCommand() Command {
	return versionsCommand("undelete", "Bring deleted versions of a secret back", "Undelete", `
  Bring a version back:
      $ coffer kv undelete -versions=3 secret/db`)
}

func kvDestroyCommand() Command {
	return versionsCommand("destroy", "Destroy versions of a secret, for ever", "Destroy", `
  Destroy two versions:
      $ coffer kv destroy -versions=3,4 secret/db`)
}

// versionsCommand is a command that writes version numbers to a path of the
// engine that has its name.
func versionsCommand(verb, short, what, long string) Command {
	return Command{
		Name: "kv " + verb, Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: short, Long: long,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			versions := f.Commas("versions", "Versions to "+verb+".")
			do := onKV2(mount, what, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				path := p.full(verb)
				s, err := cl.Write(ctx, path, map[string]any{"versions": *versions})
				if err != nil {
					return failed(err, "writing data to %s", path)
				}
				return c.printWritten(s, path)
			})
			return func(ctx context.Context, c *Call) error {
				if len(*versions) == 0 {
					return usage("No versions provided, use the \"-versions\" flag to specify the version to %s.", verb)
				}
				return do(ctx, c)
			}
		},
	}
}

func kvRollbackCommand() Command {
	return Command{
		Name: "kv rollback", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Write an earlier version of a secret again, as the newest",
		Long: `
  Go back to version 2:
      $ coffer kv rollback -version=2 secret/db`,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			version := f.Int("version", 0, "Version to write again.")
			do := onKV2(mount, "Rollback", func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				return runRollback(ctx, c, cl, p, *version)
			})
			return func(ctx context.Context, c *Call) error {
				if *version <= 0 {
					return usage("Version flag must be specified")
				}
				return do(ctx, c)
			}
		},
	}
}

func runRollback(ctx context.Context, c *Call, cl *client.Client, p kvPlace, version int) error {
	path := p.full("data")
	newest, err := cl.WithWrapTTL("").Read(ctx, p.full("metadata"))
	if err != nil {
		return failed(err, "doing pre-read at %s", path)
	}
	if newest == nil {
		return noValue(path)
	}
	old, err := cl.WithWrapTTL("").ReadQuery(ctx, path, url.Values{"version": {strconv.Itoa(version)}})
	if err != nil {
		return failed(err, "doing pre-read at %s", path)
	}
	if old == nil {
		return noValue(path)
	}
	data := object(old.Data, "data")
	if data == nil {
		return failed(errors.New("that version has no data any more"), "rolling back %s", path)
	}
	s, err := cl.Write(ctx, path, kvBody(p, data, number(newest.Data["current_version"])))
	if err != nil {
		return failed(err, "writing data to %s", path)
	}
	return c.printKVWritten(s, path)
}

func kvEnableVersioningCommand() Command {
	return Command{
		Name: "kv enable-versioning", Args: "MOUNT", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Make a key-value mount keep versions",
		Long: `
  Turn a mount of version 1 into one of version 2:
      $ coffer kv enable-versioning secret`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				cl, err := c.Client()
				if err != nil {
					return err
				}
				mount := cleanPath(c.Args[0]) + "/"
				body := map[string]any{"options": map[string]string{"version": "2"}}
				if _, err := cl.Write(ctx, "sys/mounts/"+mount+"tune", body); err != nil {
					return failed(err, "tuning secrets engine %s", mount)
				}
				c.Success("Tuned the secrets engine at: %s", mount)
				return nil
			}
		},
	}
}
