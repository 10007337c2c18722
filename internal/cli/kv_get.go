package cli

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/client"
)

func kvGetCommand() Command {
	return Command{
		Name: "kv get", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Read a secret",
		Long: `
  Read a secret, and one of its fields:
      $ coffer kv get secret/db
      $ coffer kv get -field=password secret/db
  Read an earlier version:
      $ coffer kv get -version=3 -mount=secret db`,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			version := f.Int("version", 0, "Version to read. Zero is the newest.")
			return onKV(mount, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				return runKVGet(ctx, c, cl, p, *version)
			})
		},
	}
}

func runKVGet(ctx context.Context, c *Call, cl *client.Client, p kvPlace, version int) error {
	path := p.full("data")
	var query url.Values
	if p.version == 2 && version > 0 {
		query = url.Values{"version": {strconv.Itoa(version)}}
	}
	s, err := cl.ReadQuery(ctx, path, query)
	if err != nil {
		return failed(err, "reading %s", path)
	}
	if s == nil {
		return missingKV(p, path)
	}
	if p.version != 2 || s.WrapInfo != nil {
		if c.table() && c.field() == "" && s.WrapInfo == nil {
			c.printWarnings(s)
			c.printSection("Data", s.Data)
			return nil
		}
		return c.PrintSecret(s)
	}
	data, metadata := object(s.Data, "data"), object(s.Data, "metadata")
	if field := c.field(); field != "" {
		if data == nil {
			return &failure{code: exitServer, text: "No data found at " + path}
		}
		if _, ok := data[field]; !ok && field == "data" {
			return c.printField(field, data, true)
		}
		return c.PrintData(data)
	}
	if !c.table() {
		return c.PrintSecret(s)
	}
	c.printWarnings(s)
	c.printPath("Secret Path", path)
	if metadata != nil {
		c.printSection("Metadata", metadata)
		c.Print("")
	}
	if data != nil {
		c.printSection("Data", data)
	}
	return nil
}

// missingKV explains the trap of the engine's own path in a user's path.
func missingKV(p kvPlace, path string) error {
	err := noValue(path)
	if f, ok := err.(*failure); ok && strings.HasPrefix(p.path, "data/") {
		f.hint = "Hint: the kv commands add data/ themselves. Leave it out of the path."
	}
	return err
}

func kvListCommand() Command {
	return Command{
		Name: "kv list", Args: "[PATH]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "List the secrets of a folder",
		Long: `
  List what is below a folder:
      $ coffer kv list secret/apps`,
		New: func(f *Flags) Run {
			mount, detailed := mountFlag(f), detailedFlag(f)
			list := onKV(mount, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				path := p.full("metadata")
				s, err := cl.List(ctx, path)
				if err != nil {
					return failed(err, "listing %s", path)
				}
				return c.PrintList(s, path, *detailed)
			})
			return func(ctx context.Context, c *Call) error {
				if len(c.Args) == 0 && *mount == "" {
					return usage("Not enough arguments (expected 1, got 0)")
				}
				return list(ctx, c)
			}
		},
	}
}
