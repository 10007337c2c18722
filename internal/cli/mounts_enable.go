package cli

import (
	"context"
	"strings"
)

// enableFlags are the flags of a new mount.
type enableFlags struct {
	*tuneFlags
	path                     *string
	local, sealWrap, entropy *bool
}

func (k mountKind) enable(long string) Command {
	return Command{
		Name: k.group + " enable", Args: "TYPE", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Enable " + article(k.what), Long: long,
		New: func(f *Flags) Run {
			e := &enableFlags{
				path:      f.String("path", "", "Where to mount it. Without, at the name of its type."),
				tuneFlags: declareTune(f),
				local:     f.Bool("local", false, "Do not replicate it to other clusters."),
				sealWrap:  f.Bool("seal-wrap", false, "Encrypt what is critical with the seal, too."),
				entropy:   f.Bool("external-entropy-access", false, "Let it use the seal's source of randomness."),
			}
			e.declareVersion(f)
			e.pluginName = f.String("plugin-name", "", "Name of the plugin, if TYPE is plugin.")
			if k == authKind {
				e.declareTokenType(f)
			} else {
				e.noCache = f.Bool("force-no-cache", false, "Answer from the storage, never from a cache.")
			}
			return func(ctx context.Context, c *Call) error { return k.runEnable(ctx, c, f, e) }
		},
	}
}

func article(what string) string {
	if strings.HasPrefix(what, "auth") {
		return "an " + what
	}
	return "a " + what
}

func (k mountKind) runEnable(ctx context.Context, c *Call, f *Flags, e *enableFlags) error {
	kind := strings.TrimSpace(c.Args[0])
	thing := kind + " " + k.what
	if kind == "plugin" {
		if *e.pluginName == "" {
			return usage("Type plugin needs -plugin-name")
		}
		kind = *e.pluginName
		thing = kind + " plugin"
	}
	path := mountPath(*e.path)
	if path == "/" {
		path = mountPath(kind)
	}
	if path == "/" {
		return usage("The type is empty")
	}
	body := map[string]any{
		"type": kind, "description": *e.description, "config": e.config(f),
		"local": *e.local, "seal_wrap": *e.sealWrap, "external_entropy_access": *e.entropy,
		"options": e.engineOptions(),
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := cl.Write(ctx, k.root+cleanPath(path), body); err != nil {
		return failed(err, "enabling %s", thing)
	}
	if k == secretsKind {
		thing = "the " + thing // the words that scripts know differ
	}
	c.Success("Enabled %s at: %s", thing, path)
	return nil
}
