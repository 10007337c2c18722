package cli

import (
	"context"
	"strconv"
)

// tuneFlags are the flags with which mounts are made and changed.
type tuneFlags struct {
	description           *string
	defaultTTL, maxTTL    *string
	listing, pluginVer    *string
	requestKeys           *[]string
	responseKeys          *[]string
	passHeaders           *[]string
	allowHeaders          *[]string
	options               *map[string]string
	version               *int
	tokenType, pluginName *string
	noCache               *bool
	lockout               *lockoutFlags // nil: the mount is none of an auth method
}

func declareTune(f *Flags) *tuneFlags {
	return &tuneFlags{
		description:  f.String("description", "", "For people."),
		defaultTTL:   f.Duration("default-lease-ttl", "Lease time where none is asked for. -1: the server's."),
		maxTTL:       f.Duration("max-lease-ttl", "Longest lease time. -1: the server's."),
		listing:      f.Choice("listing-visibility", "", []string{"", "unauth", "hidden"}, "unauth: who is not logged in sees the mount in listings, too."),
		pluginVer:    f.String("plugin-version", "", "Version of the plugin."),
		requestKeys:  f.Commas("audit-non-hmac-request-keys", "Field of requests that the audit shows as it is."),
		responseKeys: f.Commas("audit-non-hmac-response-keys", "Field of answers that the audit shows as it is."),
		passHeaders:  f.Commas("passthrough-request-headers", "Header of requests that the mount sees."),
		allowHeaders: f.Commas("allowed-response-headers", "Header of answers that the mount may set."),
		options:      f.Map("options", "Option of the mount."),
	}
}

// version is for engines that come in versions.
func (t *tuneFlags) declareVersion(f *Flags) {
	t.version = f.Int("version", 0, "Version of the engine, where there are several: 1 or 2 of kv.")
}

// tokenTypeFlag declares what only auth methods have.
func (t *tuneFlags) declareTokenType(f *Flags) {
	t.tokenType = f.Choice("token-type", "",
		[]string{"", "default-service", "default-batch", "service", "batch"}, "Type of the tokens that logins earn.")
}

// config has what was given of what can be tuned, but not the description and
// the options, which stand elsewhere in a new mount.
func (t *tuneFlags) config(f *Flags) map[string]any {
	m := map[string]any{}
	for _, s := range []struct {
		flag, name string
		value      *string
	}{
		{"default-lease-ttl", "default_lease_ttl", t.defaultTTL},
		{"max-lease-ttl", "max_lease_ttl", t.maxTTL},
		{"listing-visibility", "listing_visibility", t.listing},
		{"plugin-version", "plugin_version", t.pluginVer},
		{"token-type", "token_type", t.tokenType},
	} {
		if f.Given(s.flag) {
			m[s.name] = *s.value
		}
	}
	for _, name := range []string{"default_lease_ttl", "max_lease_ttl"} {
		if m[name] == "-1" {
			m[name] = "system"
		}
	}
	for _, l := range []struct {
		flag, name string
		value      *[]string
	}{
		{"audit-non-hmac-request-keys", "audit_non_hmac_request_keys", t.requestKeys},
		{"audit-non-hmac-response-keys", "audit_non_hmac_response_keys", t.responseKeys},
		{"passthrough-request-headers", "passthrough_request_headers", t.passHeaders},
		{"allowed-response-headers", "allowed_response_headers", t.allowHeaders},
	} {
		if f.Given(l.flag) {
			m[l.name] = *l.value
		}
	}
	if t.noCache != nil && f.Given("force-no-cache") {
		m["force_no_cache"] = *t.noCache
	}
	return m
}

// engineOptions are the options with the version among them, or nil.
func (t *tuneFlags) engineOptions() map[string]string {
	options := *t.options
	if t.version != nil && *t.version > 0 {
		if options == nil {
			options = map[string]string{}
		}
		options["version"] = strconv.Itoa(*t.version)
	}
	return options
}

func (k mountKind) tune(long string) Command {
	return Command{
		Name: k.group + " tune", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Change how the " + k.what + " at a path works", Long: long,
		New: func(f *Flags) Run {
			t := declareTune(f)
			t.declareVersion(f)
			if k == authKind {
				t.declareTokenType(f)
				t.lockout = declareLockout(f)
			}
			return func(ctx context.Context, c *Call) error { return k.runTune(ctx, c, f, t) }
		},
	}
}

func (k mountKind) runTune(ctx context.Context, c *Call, f *Flags, t *tuneFlags) error {
	body := t.config(f)
	if f.Given("description") {
		body["description"] = *t.description
	}
	if options := t.engineOptions(); options != nil {
		body["options"] = options
	}
	if t.lockout != nil {
		if lockout := t.lockout.config(f); len(lockout) > 0 {
			body["user_lockout_config"] = lockout
		}
	}
	path, err := c.mountArg(0)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := cl.Write(ctx, k.root+path+"tune", body); err != nil {
		return failed(err, "tuning %s %s", k.what, path)
	}
	c.Success("Tuned the %s at: %s", k.what, path)
	return nil
}
