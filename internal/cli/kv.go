package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// kvPlace is a secret, or a folder of secrets, on a key-value mount.
type kvPlace struct {
	mount   string // with its trailing slash; empty if the server could not tell
	path    string // below the mount
	version int    // of the engine: 1 or 2
}

// full is the path for one of the engine's purposes: "data", "metadata",
// "delete". Version 1 knows none.
func (p kvPlace) full(purpose string) string {
	if p.version != 2 {
		return strings.Trim(p.mount+p.path, "/")
	}
	return strings.TrimSuffix(p.mount+purpose+"/"+p.path, "/")
}

// mountFlag declares -mount.
func mountFlag(f *Flags) *string {
	return f.String("mount", "", "Mount of the secret. The path then is below it.")
}

// place finds out where the first argument lies.
func (c *Call) place(ctx context.Context, cl *client.Client, mount string) (kvPlace, error) {
	path := ""
	if len(c.Args) > 0 {
		path = cleanPath(c.Args[0])
	}
	if mount = cleanPath(mount); mount != "" {
		_, version, err := cl.KVMount(ctx, mount)
		return kvPlace{mount: mount + "/", path: path, version: version}, failed(err, "making preflight request for %s", mount)
	}
	found, version, err := cl.KVMount(ctx, path)
	if err != nil {
		return kvPlace{}, failed(err, "making preflight request for %s", path)
	}
	rest := strings.TrimSuffix(strings.TrimPrefix(path+"/", found), "/")
	return kvPlace{mount: found, path: rest, version: version}, nil
}

// kvRun is what a kv command does once it knows where.
type kvRun func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error

// onKV returns a Run that finds the place first.
func onKV(mount *string, do kvRun) Run {
	return func(ctx context.Context, c *Call) error {
		cl, err := c.Client()
		if err != nil {
			return err
		}
		p, err := c.place(ctx, cl, *mount)
		if err != nil {
			return err
		}
		return do(ctx, c, cl, p)
	}
}

// onKV2 is onKV for what version 1 cannot do.
func onKV2(mount *string, what string, do kvRun) Run {
	return onKV(mount, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
		if p.version != 2 {
			return &failure{
				code: exitLocal, text: what + " not supported on KV Version 1",
				hint: fmt.Sprintf("Hint: \"%s kv enable-versioning %s\" makes it version 2.", program, p.mount),
			}
		}
		return do(ctx, c, cl, p)
	})
}

// printPath prints a path under a line that names it.
func (c *Call) printPath(title, path string) {
	c.Print(headline(title, len(path)))
	c.Print(path)
	c.Print("")
}

// printSection prints a table under a headline as wide as the table.
func (c *Call) printSection(title string, data map[string]any) {
	widest := 0
	for k := range data {
		widest = max(widest, len(k))
	}
	c.Print(headline(title, widest+len(columnGap)+len("Value")))
	c.printRows("Key", "Value", dataRows(data))
}

// headline centres a title between equals signs, about width wide and two at
// least on each side.
func headline(title string, width int) string {
	signs := width - len(title) - 2
	if signs <= 0 {
		signs = 4
	}
	side := strings.Repeat("=", (signs+1)/2)
	return side + " " + title + " " + side
}

// object returns a field that is an object, or nil.
func object(data map[string]any, name string) map[string]any {
	m, _ := data[name].(map[string]any)
	return m
}

// printKVWritten prints the answer to a write of a secret.
func (c *Call) printKVWritten(s *api.Secret, path string) error {
	if s == nil || !c.table() || c.field() != "" || s.WrapInfo != nil {
		return c.printWritten(s, path)
	}
	c.printWarnings(s)
	c.printPath("Secret Path", path)
	c.printSection("Metadata", s.Data)
	return nil
}

// number reads a whole number of an answer; what is none is zero.
func number(v any) int {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return int(i)
}
