package cli

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/cofferhq/coffer/client"
)

func kvMetadataGetCommand() Command {
	return Command{
		Name: "kv metadata get", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Read what is known about a secret and its versions",
		Long: `
  List the versions of a secret:
      $ coffer kv metadata get secret/db`,
		New: func(f *Flags) Run {
			return onKV2(mountFlag(f), "Metadata", runMetadataGet)
		},
	}
}

func runMetadataGet(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
	path := p.full("metadata")
	s, err := cl.Read(ctx, path)
	if err != nil {
		return failed(err, "reading %s", path)
	}
	if s == nil {
		return noValue(path)
	}
	if c.field() != "" || !c.table() || s.WrapInfo != nil {
		return c.PrintSecret(s)
	}
	c.printWarnings(s)
	versions := object(s.Data, "versions")
	delete(s.Data, "versions")
	c.printPath("Metadata Path", path)
	c.printSection("Metadata", s.Data)
	for _, v := range slices.SortedFunc(maps.Keys(versions), byNumber) {
		c.Print("")
		c.printSection("Version "+v, object(versions, v))
	}
	return nil
}

// byNumber orders texts of numbers, and what is none before them.
func byNumber(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX != nil {
		x = -1
	}
	if errY != nil {
		y = -1
	}
	return x - y
}

type metadataFlags struct {
	maxVersions        *int
	casRequired        *bool
	deleteVersionAfter *string
	custom             *map[string]string
}

func declareMetadata(f *Flags) metadataFlags {
	return metadataFlags{
		maxVersions:        f.Int("max-versions", -1, "Versions to keep. Zero: as the mount says."),
		casRequired:        f.Bool("cas-required", false, "Refuse writes without -cas."),
		deleteVersionAfter: f.Duration("delete-version-after", "Delete versions so long after they were written."),
		custom:             f.Map("custom-metadata", "A note on the secret."),
	}
}

// body has what was given.
func (m metadataFlags) body(f *Flags) map[string]any {
	body := map[string]any{}
	if *m.maxVersions >= 0 {
		body["max_versions"] = *m.maxVersions
	}
	if f.Given("cas-required") {
		body["cas_required"] = *m.casRequired
	}
	if *m.deleteVersionAfter != "" {
		body["delete_version_after"] = *m.deleteVersionAfter
	}
	if *m.custom != nil {
		body["custom_metadata"] = *m.custom
	}
	return body
}

func kvMetadataPutCommand() Command {
	return Command{
		Name: "kv metadata put", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Set how a secret is kept, and notes on it",
		Long: `
  Keep five versions, and note the owner:
      $ coffer kv metadata put -max-versions=5 -custom-metadata=owner=ann secret/db`,
		New: func(f *Flags) Run {
			mount, m := mountFlag(f), declareMetadata(f)
			return onKV2(mount, "Metadata", func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				path := p.full("metadata")
				s, err := cl.Write(ctx, path, m.body(f))
				if err != nil {
					return failed(err, "writing data to %s", path)
				}
				return c.printWritten(s, path)
			})
		},
	}
}

func kvMetadataPatchCommand() Command {
	return Command{
		Name: "kv metadata patch", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Change some of how a secret is kept, and of the notes on it",
		Long: `
  Replace one note and remove another:
      $ coffer kv metadata patch -custom-metadata=owner=bob -remove-custom-metadata=old secret/db`,
		New: func(f *Flags) Run {
			mount, m := mountFlag(f), declareMetadata(f)
			remove := f.List("remove-custom-metadata", "A note to remove.")
			return onKV2(mount, "Metadata", func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				body := m.body(f)
				if len(*remove) > 0 {
					body["custom_metadata"] = withRemoved(*m.custom, *remove)
				}
				path := p.full("metadata")
				s, err := cl.Patch(ctx, path, body)
				if err != nil {
					return failed(err, "writing data to %s", path)
				}
				return c.printWritten(s, path)
			})
		},
	}
}

// withRemoved says null for what is to go, as RFC 7386 has it.
func withRemoved(set map[string]string, remove []string) map[string]any {
	notes := map[string]any{}
	for k, v := range set {
		notes[k] = v
	}
	for _, k := range remove {
		notes[k] = nil
	}
	return notes
}

func kvMetadataDeleteCommand() Command {
	return Command{
		Name: "kv metadata delete", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Destroy a secret with all its versions",
		Long: `
  Leave nothing of a secret:
      $ coffer kv metadata delete secret/db`,
		New: func(f *Flags) Run {
			return onKV2(mountFlag(f), "Metadata", func(ctx context.Context, c *Call, cl *client.Client, p kvPlace) error {
				path := p.full("metadata")
				s, err := cl.Delete(ctx, path)
				if err != nil {
					return failed(err, "deleting %s", path)
				}
				return c.printDeleted(s, path)
			})
		},
	}
}
