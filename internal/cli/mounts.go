package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/api"
)

// mountKind is what the commands for secrets engines and for auth methods
// differ in.
type mountKind struct {
	group  string // of the commands
	root   string // where the server keeps them
	prefix string // of their paths in a remount
	what   string // "secrets engine"
	ones   string // "Secrets engines"
}

var (
	secretsKind = mountKind{"secrets", "sys/mounts/", "", "secrets engine", "Secrets engines"}
	authKind    = mountKind{"auth", "sys/auth/", "auth/", "auth method", "Auth methods"}
)

// mountPath is how mounts are named: clean, with a slash at the end.
func mountPath(path string) string { return cleanPath(path) + "/" }

// mountArg is an argument that names a mount: never all of them.
func (c *Call) mountArg(n int) (string, error) {
	path := mountPath(c.Args[n])
	if path == "/" {
		return "", usage("The path is empty")
	}
	return path, nil
}

// list returns a command that lists mounts; columns are those of the detailed
// table, short those of the other.
func (k mountKind) list(long string, short, detailed []mountColumn) Command {
	return Command{
		Name: k.group + " list", Flags: ClientFlags | FormatFlag,
		Short: "List the " + k.what + "s", Long: long,
		New: func(f *Flags) Run {
			all := f.Bool("detailed", false, "Print times, options and versions, too.")
			return func(ctx context.Context, c *Call) error {
				columns := short
				if *all {
					columns = detailed
				}
				return k.runList(ctx, c, columns)
			}
		},
	}
}

func (k mountKind) runList(ctx context.Context, c *Call, columns []mountColumn) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Read(ctx, strings.TrimSuffix(k.root, "/"))
	if err != nil {
		return failed(err, "listing %ss", k.what)
	}
	if s == nil {
		return failed(errNoAnswer, "listing %ss", k.what)
	}
	if !c.table() {
		return c.PrintValue(s.Data)
	}
	mounts, err := decoded[map[string]api.Mount](s.Data)
	if err != nil {
		return failed(err, "listing %ss", k.what)
	}
	heading := make([]string, len(columns))
	for i, col := range columns {
		heading[i] = col.title
	}
	lines := [][]string{heading}
	for _, path := range slices.Sorted(maps.Keys(mounts)) {
		m := mounts[path]
		cells := make([]string, len(columns))
		for i, col := range columns {
			cells[i] = col.cell(path, &m)
		}
		lines = append(lines, cells)
	}
	fmt.Fprint(c.Stdout, layout(lines))
	return nil
}

// errNoAnswer says that there was none where there has to be one.
var errNoAnswer = errors.New("empty answer")

// decoded reads the fields of an answer into a struct.
func decoded[T any](v any) (T, error) {
	var to T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &to)
	}
	if err != nil {
		return to, errors.New("the answer cannot be read") // the cause could quote it
	}
	return to, nil
}

// mountColumn is a column of a list of mounts.
type mountColumn struct {
	title string
	cell  func(path string, m *api.Mount) string
}

var (
	colPath        = mountColumn{"Path", func(path string, _ *api.Mount) string { return path }}
	colType        = mountColumn{"Type", func(_ string, m *api.Mount) string { return m.Type }}
	colPlugin      = mountColumn{"Plugin", colType.cell}
	colAccessor    = mountColumn{"Accessor", func(_ string, m *api.Mount) string { return m.Accessor }}
	colDescription = mountColumn{"Description", func(_ string, m *api.Mount) string { return m.Description }}
	colDefaultTTL  = mountColumn{"Default TTL", func(_ string, m *api.Mount) string { return systemTTL(m.Config.DefaultLeaseTTL) }}
	colMaxTTL      = mountColumn{"Max TTL", func(_ string, m *api.Mount) string { return systemTTL(m.Config.MaxLeaseTTL) }}
	colNoCache     = mountColumn{"Force No Cache", func(_ string, m *api.Mount) string { return strconv.FormatBool(m.Config.ForceNoCache) }}
	colTokenType   = mountColumn{"Token Type", func(_ string, m *api.Mount) string { return m.Config.TokenType }}
	colReplication = mountColumn{"Replication", func(_ string, m *api.Mount) string { return replication(m.Local) }}
	colSealWrap    = mountColumn{"Seal Wrap", func(_ string, m *api.Mount) string { return strconv.FormatBool(m.SealWrap) }}
	colEntropy     = mountColumn{"External Entropy Access", func(_ string, m *api.Mount) string { return strconv.FormatBool(m.ExternalEntropyAccess) }}
	colOptions     = mountColumn{"Options", func(_ string, m *api.Mount) string { return fmt.Sprint(m.Options) }}
	colUUID        = mountColumn{"UUID", func(_ string, m *api.Mount) string { return m.UUID }}
	colVersion     = mountColumn{"Version", func(_ string, m *api.Mount) string { return m.PluginVersion }}
	colRunning     = mountColumn{"Running Version", func(_ string, m *api.Mount) string { return m.RunningPluginVersion }}
	colSHA256      = mountColumn{"Running SHA256", func(_ string, m *api.Mount) string { return m.RunningSHA256 }}
	colDeprecation = mountColumn{"Deprecation Status", func(_ string, m *api.Mount) string { return m.DeprecationStatus }}
)

// systemTTL writes seconds, of which zero are the server's default.
func systemTTL(n int) string {
	if n == 0 {
		return "system"
	}
	return strconv.Itoa(n)
}

func replication(local bool) string {
	if local {
		return "local"
	}
	return "replicated"
}

func (k mountKind) disable(long string) Command {
	return Command{
		Name: k.group + " disable", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Disable the " + k.what + " at a path, and delete what it stored", Long: long,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				path, err := c.mountArg(0)
				if err != nil {
					return err
				}
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if _, err := cl.Delete(ctx, k.root+cleanPath(path)); err != nil {
					return failed(err, "disabling %s at %s", k.what, path)
				}
				c.Success("Disabled the %s (if it existed) at: %s", k.what, path)
				return nil
			}
		},
	}
}
