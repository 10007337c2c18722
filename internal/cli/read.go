package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/cofferhq/coffer/client"
)

func readCommand() Command {
	return Command{
		Name: "read", Args: "PATH [KEY=VALUE...]", MinArgs: 1, MaxArgs: -1, Flags: outputFlags,
		Short: "Read from the server, at any path",
		Long: `
What follows the path goes into the query.

  Read the configuration of a role:
      $ coffer read auth/approle/role/web
  Read a certificate, not as JSON:
      $ coffer read -format=raw pki/ca/pem`,
		New: func(*Flags) Run { return runRead },
	}
}

func runRead(ctx context.Context, c *Call) error {
	path := cleanPath(c.Args[0])
	query, err := c.query(1)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if c.format() == "raw" {
		return c.readRaw(ctx, cl, path, query)
	}
	s, err := cl.ReadQuery(ctx, path, query)
	if err != nil {
		return failed(err, "reading %s", path)
	}
	if s == nil {
		return noValue(path)
	}
	return c.PrintSecret(s)
}

// readRaw prints the answer's bytes.
func (c *Call) readRaw(ctx context.Context, cl *client.Client, path string, query url.Values) error {
	a, err := cl.Raw(ctx, client.Request{Path: path, Query: query})
	if err != nil {
		return failed(err, "reading %s", path)
	}
	if a.Status >= http.StatusMultipleChoices {
		return failed(client.Refusal(a, http.MethodGet, path), "reading %s", path)
	}
	_, err = c.Stdout.Write(a.Body)
	return err
}

func listCommand() Command {
	return Command{
		Name: "list", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "List the names below a path",
		Long: `
  List the roles of an auth method:
      $ coffer list auth/approle/role`,
		New: func(f *Flags) Run {
			detailed := detailedFlag(f)
			return func(ctx context.Context, c *Call) error {
				path := cleanPath(c.Args[0])
				cl, err := c.Client()
				if err != nil {
					return err
				}
				s, err := cl.List(ctx, path)
				if err != nil {
					return failed(err, "listing %s", path)
				}
				return c.PrintList(s, path, *detailed)
			}
		},
	}
}

func detailedFlag(f *Flags) *bool {
	return f.Bool("detailed", false, "Print what the server says about each name, too.")
}

// cleanPath drops slashes and blanks around a path as people type it.
func cleanPath(p string) string { return strings.Trim(strings.TrimSpace(p), "/") }
