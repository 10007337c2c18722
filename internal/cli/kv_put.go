package cli

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

func kvPutCommand() Command {
	return Command{
		Name: "kv put", Args: "PATH DATA...", MinArgs: 1, MaxArgs: -1, Flags: outputFlags,
		Short: "Write a secret, in place of what was there",
		Long: dataHelp + `
  Write a secret, its password from the standard input:
      $ coffer kv put secret/db user=app password=-
  Only if nobody has written one yet:
      $ coffer kv put -cas=0 secret/db @db.json`,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			cas := f.Int("cas", -1, "Write only if this is the newest version. Zero: only if there is none.")
			return onKV(mount, func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				return runKVPut(ctx, c, cl, p, *cas)
			})
		},
	}
}

func runKVPut(ctx context.Context, c *Call, cl *client.Client, p kvPlace, cas int) error {
	data, err := c.data(1)
	if err != nil {
		return err
	}
	if len(c.Args) == 1 {
		return usage("Must supply data")
	}
	path := p.full("data")
	s, err := cl.Write(ctx, path, kvBody(p, data, cas))
	if err != nil {
		return failed(err, "writing data to %s", path)
	}
	return c.printKVWritten(s, path)
}

// kvBody is what the engine wants for data. A negative cas is none.
func kvBody(p kvPlace, data map[string]any, cas int) map[string]any {
	if p.version != 2 {
		return data
	}
	body := map[string]any{"data": data, "options": map[string]any{}}
	if cas >= 0 {
		body["options"] = map[string]any{"cas": cas}
	}
	return body
}

type patchFlags struct {
	cas    *int
	method *string
	remove *[]string
}

func kvPatchCommand() Command {
	return Command{
		Name: "kv patch", Args: "PATH DATA...", MinArgs: 1, MaxArgs: -1, Flags: outputFlags,
		Short: "Change some fields of a secret and leave the rest",
		Long: dataHelp + `
  Change the password only:
      $ coffer kv patch secret/db password=-
  Remove a field:
      $ coffer kv patch -remove-data=old secret/db`,
		New: func(f *Flags) Run {
			mount := mountFlag(f)
			p := patchFlags{
				cas:    f.Int("cas", -1, "Write only if this is the newest version."),
				method: f.Choice("method", "", []string{"patch", "rw"}, "patch needs the capability of that name; rw reads and writes. Without, the first that works."),
				remove: f.Commas("remove-data", "Field to remove."),
			}
			return onKV2(mount, "KV patch", func(ctx context.Context, c *Call, cl *client.Client, at kvPlace) error {
				return runKVPatch(ctx, c, cl, at, p)
			})
		},
	}
}

func runKVPatch(ctx context.Context, c *Call, cl *client.Client, at kvPlace, p patchFlags) error {
	data, err := c.data(1)
	if err != nil {
		return err
	}
	for _, name := range *p.remove {
		data[name] = nil // as RFC 7386 has it
	}
	if len(data) == 0 {
		return usage("Must supply data")
	}
	path := at.full("data")
	var s *api.Secret
	if *p.method != "rw" {
		s, err = cl.Patch(ctx, path, kvBody(at, data, *p.cas))
		if err == nil && s == nil {
			return missingKV(at, path)
		}
	}
	if *p.method == "rw" || *p.method == "" && cannotPatch(err) {
		s, err = readThenWrite(ctx, cl, at, data, *p.cas)
	}
	if err != nil {
		return failed(err, "writing data to %s", path)
	}
	return c.printKVWritten(s, path)
}

// cannotPatch says whether the server or the token lacks the verb.
func cannotPatch(err error) bool {
	return slices.Contains([]int{http.StatusMethodNotAllowed, http.StatusForbidden}, client.StatusOf(err))
}

// readThenWrite is a patch in two steps. What is written between them by others
// makes it fail, as the version that was read is the condition.
func readThenWrite(ctx context.Context, cl *client.Client, at kvPlace, changes map[string]any, cas int) (*api.Secret, error) {
	path := at.full("data")
	old, err := cl.WithWrapTTL("").Read(ctx, path)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return nil, &failure{code: exitServer, text: "No value found at " + path}
	}
	data := object(old.Data, "data")
	if data == nil {
		return nil, errors.New("the newest version is deleted")
	}
	for k, v := range changes {
		if v == nil {
			delete(data, k)
			continue
		}
		data[k] = v
	}
	if cas < 0 {
		cas = number(object(old.Data, "metadata")["version"])
	}
	return cl.Write(ctx, path, kvBody(at, data, cas))
}
