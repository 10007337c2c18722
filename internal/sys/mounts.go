package sys

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
)

var mountFields = logical.Fields{
	"type":                    {Type: logical.Text, Help: "Type of the engine."},
	"plugin_name":             {Type: logical.Text, Help: "Older name of type."},
	"description":             {Type: logical.Text, Help: "For people."},
	"config":                  {Type: logical.Object, Help: "What can be tuned."},
	"options":                 {Type: logical.TextMap, Help: "Options of the engine, such as version."},
	"local":                   {Type: logical.Bool, Help: "Kept for clients; there is no replication."},
	"seal_wrap":               {Type: logical.Bool, Help: "Kept for clients; all data is encrypted alike."},
	"external_entropy_access": {Type: logical.Bool, Help: "Kept for clients; has no effect."},
}

// tuneFields stand in the body of a tune, and in config of a new mount.
var tuneFields = logical.Fields{
	"default_lease_ttl":            {Type: logical.Text, Help: "Lease time where none is asked for; empty or \"system\": the server's."},
	"max_lease_ttl":                {Type: logical.Text, Help: "Longest lease time; empty or \"system\": the server's."},
	"force_no_cache":               {Type: logical.Bool, Help: "Kept for clients; has no effect."},
	"listing_visibility":           {Type: logical.Text, Help: "unauth, hidden or empty: who sees the mount in listings."},
	"audit_non_hmac_request_keys":  {Type: logical.Texts, Help: "Fields of requests that the audit shows."},
	"audit_non_hmac_response_keys": {Type: logical.Texts, Help: "Fields of answers that the audit shows."},
	"passthrough_request_headers":  {Type: logical.Texts, Help: "Headers that the engine sees."},
	"allowed_response_headers":     {Type: logical.Texts, Help: "Headers that the engine may set."},
	"token_type":                   {Type: logical.Text, Help: "Type of the tokens an auth method issues."},
	"user_lockout_config":          {Type: logical.Object, Help: "When users who fail to log in are locked out: lockout_threshold, lockout_duration, lockout_counter_reset, lockout_disable."},
	"plugin_version":               {Type: logical.Text, Help: "Kept for clients; engines are built in."},
	"description":                  {Type: logical.Text, Help: "For people."},
	"options":                      {Type: logical.TextMap, Help: "Options of the engine, such as version."},
}

var mountWriteFields = merged(mountFields, tuneFields)

func merged(sets ...logical.Fields) logical.Fields {
	all := logical.Fields{}
	for _, set := range sets {
		for name, f := range set {
			all[name] = f
		}
	}
	return all
}

var remountFields = logical.Fields{
	"from": {Type: logical.Text, Help: "Path of the mount."},
	"to":   {Type: logical.Text, Help: "Its new path."},
}

var mountRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "mounts", Do: (*system).listSecretMounts, Help: "List the secret engines."},
	{Op: logical.Read, Path: "mounts/{path...}", Do: (*system).readSecretMount, Help: "Read a secret engine's mount, or below /tune what can be tuned."},
	{Op: logical.Write, Path: "mounts/{path...}", Do: (*system).writeSecretMount, Fields: mountWriteFields, Help: "Enable a secret engine, or below /tune change it."},
	{Op: logical.Delete, Path: "mounts/{path...}", Do: (*system).deleteSecretMount, Help: "Disable a secret engine and delete its data."},
	{Op: logical.Read, Path: "auth", Do: (*system).listAuthMounts, Help: "List the auth methods."},
	{Op: logical.Read, Path: "auth/{path...}", Do: (*system).readAuthMount, Sudo: true, Help: "Read an auth method's mount, or below /tune what can be tuned."},
	{Op: logical.Write, Path: "auth/{path...}", Do: (*system).writeAuthMount, Sudo: true, Fields: mountWriteFields, Help: "Enable an auth method, or below /tune change it."},
	{Op: logical.Delete, Path: "auth/{path...}", Do: (*system).deleteAuthMount, Sudo: true, Help: "Disable an auth method, revoke its tokens and delete its data."},
	{Op: logical.Write, Path: "remount", Do: (*system).remount, Sudo: true, Fields: remountFields, Help: "Give a mount another path."},
	{Op: logical.Read, Path: "remount/status/{id}", Do: (*system).remountStatus, Help: "Tell how a remount went."},
}

// A class of mounts is what the two halves of the API differ in.
type class struct {
	prefix  string // of the mount's path
	missing string // Vault's words
}

var (
	secretMounts = class{"", "No secret engine mount at "}
	authMounts   = class{mount.AuthPrefix, "No auth engine at "}
)

// takes says whether a path as this half of the API tells it is of this class:
// auth methods, which need sudo, are no business of sys/mounts.
func (k class) takes(path string) bool {
	return k.prefix != "" || !strings.HasPrefix(path, mount.AuthPrefix)
}

func (k class) has(m *mount.Mounted) bool { return m.Auth() == (k.prefix != "") }

// name is the path of a mount as this half of the API tells it.
func (k class) name(m *mount.Mounted) string { return strings.TrimPrefix(m.Path, k.prefix) }

func (s *system) listSecretMounts(context.Context, *logical.Request) (*logical.Response, error) {
	return s.listMounts(secretMounts)
}

func (s *system) listAuthMounts(context.Context, *logical.Request) (*logical.Response, error) {
	return s.listMounts(authMounts)
}

func (s *system) listMounts(k class) (*logical.Response, error) {
	data := object{}
	for _, m := range s.House.Mounts().All() {
		if k.has(m) {
			data[k.name(m)] = describe(m)
		}
	}
	return &logical.Response{Data: data, TopLevel: true}, nil
}

func (s *system) readSecretMount(_ context.Context, r *logical.Request) (*logical.Response, error) {
	return s.readMount(secretMounts, r)
}

func (s *system) readAuthMount(_ context.Context, r *logical.Request) (*logical.Response, error) {
	return s.readMount(authMounts, r)
}

func (s *system) readMount(k class, r *logical.Request) (*logical.Response, error) {
	path, tune := cutTune(r.Text("path"))
	m := s.House.Mounts().At(k.prefix + path)
	if m == nil || !k.has(m) {
		if tune {
			return nil, logical.Invalid("cannot fetch sysview for path %q", path)
		}
		return nil, logical.Invalid("%s%s", k.missing, path)
	}
	if tune {
		return &logical.Response{Data: tuned(m), TopLevel: true}, nil
	}
	return &logical.Response{Data: describe(m), TopLevel: true}, nil
}

// cutTune takes /tune off the path of a mount.
func cutTune(path string) (mountPath string, tune bool) {
	path = strings.TrimSuffix(path, "/")
	mountPath, tune = strings.CutSuffix(path, "/tune")
	return mountPath + "/", tune
}

// describe is a mount as lists tell it.
func describe(m *mount.Mounted) object {
	config := object{
		"default_lease_ttl": seconds(m.Config.DefaultLeaseTTL),
		"max_lease_ttl":     seconds(m.Config.MaxLeaseTTL),
		"force_no_cache":    m.Config.ForceNoCache,
	}
	addTuned(config, m)
	if lockout := lockoutData(m.Config.UserLockout); len(lockout) > 0 {
		config["user_lockout_config"] = lockout
	}
	var options any
	if m.Options != nil {
		options = m.Options
	}
	return object{
		"accessor":                m.Accessor,
		"config":                  config,
		"deprecation_status":      "supported",
		"description":             m.Description,
		"external_entropy_access": false,
		"local":                   m.Local,
		"options":                 options,
		"plugin_version":          m.Config.PluginVersion,
		"running_plugin_version":  "",
		"running_sha256":          "",
		"seal_wrap":               m.SealWrap,
		"type":                    m.Type,
		"uuid":                    m.ID,
	}
}

// tuned is a mount as a read of tune tells it, with the times in force.
func tuned(m *mount.Mounted) object {
	data := object{
		"default_lease_ttl": seconds(m.Point.DefaultLeaseTTL),
		"max_lease_ttl":     seconds(m.Point.MaxLeaseTTL),
		"force_no_cache":    m.Config.ForceNoCache,
		"description":       m.Description,
	}
	if m.Options != nil {
		data["options"] = m.Options
	}
	addTuned(data, m)
	maps.Copy(data, lockoutData(m.Config.UserLockout))
	return data
}

// addTuned adds what is told only if it is set.
func addTuned(data object, m *mount.Mounted) {
	c := m.Config
	for name, list := range map[string][]string{
		"audit_non_hmac_request_keys":  c.AuditRequestKeys,
		"audit_non_hmac_response_keys": c.AuditResponseKeys,
		"passthrough_request_headers":  c.PassthroughHeaders,
		"allowed_response_headers":     c.AllowedResponseHeaders,
	} {
		if len(list) > 0 {
			data[name] = list
		}
	}
	if c.ListingVisibility != "" {
		data["listing_visibility"] = c.ListingVisibility
	}
	if c.PluginVersion != "" {
		data["plugin_version"] = c.PluginVersion
	}
	if m.Auth() {
		data["token_type"] = c.TokenType
		if c.TokenType == "" {
			data["token_type"] = "default-service"
		}
	}
}

func (s *system) writeSecretMount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.writeMount(ctx, secretMounts, r)
}

func (s *system) writeAuthMount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.writeMount(ctx, authMounts, r)
}

func (s *system) writeMount(ctx context.Context, k class, r *logical.Request) error {
	path, tune := cutTune(r.Text("path"))
	if !tune {
		return s.enable(ctx, k, r, path)
	}
	m := s.House.Mounts().At(k.prefix + path)
	if m == nil || !k.has(m) {
		return logical.Invalid("no mount entry found for path %q", path)
	}
	return s.House.Tune(ctx, m.ID, func(e *mount.Entry) error { return tuneEntry(e, r) })
}

func (s *system) enable(ctx context.Context, k class, r *logical.Request, path string) error {
	if !k.takes(path) {
		return logical.Invalid("cannot mount under existing mount %q", mount.AuthPrefix)
	}
	e := &mount.Entry{
		Path: k.prefix + path, Type: r.Text("type"), Description: r.Text("description"),
		Options: r.TextMap("options"), Local: r.Bool("local"), SealWrap: r.Bool("seal_wrap"),
	}
	if e.Type == "" || e.Type == "plugin" {
		e.Type = r.Text("plugin_name")
	}
	if e.Type == "" {
		return logical.Invalid("backend type must be specified as a string")
	}
	if e.Type == "kv-v2" || e.Type == "kv-v1" || e.Type == "generic" {
		if e.Options == nil {
			e.Options = map[string]string{}
		}
		version := "1"
		if e.Type == "kv-v2" {
			version = "2"
		}
		e.Type, e.Options["version"] = "kv", version
	}
	config := *r
	if config.Body = r.Raw("config"); config.Body == nil {
		config.Body = []byte("{}")
	}
	if err := config.Accept(tuneFields, nil, nil); err != nil {
		return err
	}
	description, options := e.Description, e.Options
	if err := tuneEntry(e, &config); err != nil {
		return err
	}
	e.Description = description
	if options != nil {
		e.Options = options
	}
	return s.House.Mount(ctx, e)
}

// tuneEntry sets what the request brought.
func tuneEntry(e *mount.Entry, r *logical.Request) error {
	c := &e.Config
	var err error
	if r.Has("default_lease_ttl") {
		if c.DefaultLeaseTTL, err = leaseTTL(r.Text("default_lease_ttl")); err != nil {
			return err
		}
	}
	if r.Has("max_lease_ttl") {
		if c.MaxLeaseTTL, err = leaseTTL(r.Text("max_lease_ttl")); err != nil {
			return err
		}
	}
	if c.MaxLeaseTTL > 0 && c.DefaultLeaseTTL > c.MaxLeaseTTL {
		return logical.Invalid("backend max lease TTL of %d less than backend default lease TTL of %d",
			seconds(c.MaxLeaseTTL), seconds(c.DefaultLeaseTTL))
	}
	if v := r.Text("listing_visibility"); !slices.Contains([]string{"", "hidden", "unauth"}, v) {
		return logical.Invalid("invalid listing visibility type: %q", v)
	}
	if v := r.Text("token_type"); v != "" {
		if !e.Auth() {
			return logical.Invalid("'token_type' can only be modified on auth mounts")
		}
		if !slices.Contains([]string{"default-service", "default-batch", "service", "batch"}, v) {
			return logical.Invalid("invalid value for 'token_type'")
		}
	}
	setText(r, "listing_visibility", &c.ListingVisibility)
	setText(r, "token_type", (*string)(&c.TokenType))
	setText(r, "plugin_version", &c.PluginVersion)
	setText(r, "description", &e.Description)
	setTexts(r, "audit_non_hmac_request_keys", &c.AuditRequestKeys)
	setTexts(r, "audit_non_hmac_response_keys", &c.AuditResponseKeys)
	setTexts(r, "passthrough_request_headers", &c.PassthroughHeaders)
	setTexts(r, "allowed_response_headers", &c.AllowedResponseHeaders)
	if r.Has("force_no_cache") {
		c.ForceNoCache = r.Bool("force_no_cache")
	}
	if err := tuneLockout(e, r); err != nil {
		return err
	}
	return tuneOptions(e, r)
}

func tuneOptions(e *mount.Entry, r *logical.Request) error {
	if !r.Has("options") {
		return nil
	}
	options := map[string]string{}
	for k, v := range e.Options {
		options[k] = v
	}
	for k, v := range r.TextMap("options") {
		if k == "version" && v == "1" && options[k] == "2" {
			return logical.Invalid("cannot downgrade mount from version 2")
		}
		options[k] = v
	}
	e.Options = options
	return nil
}

func setText(r *logical.Request, name string, to *string) {
	if r.Has(name) {
		*to = r.Text(name)
	}
}

func setTexts(r *logical.Request, name string, to *[]string) {
	if r.Has(name) {
		*to = r.Texts(name)
	}
}

// leaseTTL reads a lease time that may be left to the system.
func leaseTTL(s string) (time.Duration, error) {
	if s == "system" || s == "" {
		return 0, nil
	}
	d, err := logical.ParseDuration(s)
	if err != nil {
		return 0, logical.Invalid("invalid lease time: %s", err)
	}
	return d, nil
}

func (s *system) deleteSecretMount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if !secretMounts.takes(r.Text("path") + "/") {
		return nil, logical.Invalid("auth methods are disabled below sys/auth/")
	}
	return nil, s.House.Unmount(ctx, r.Text("path"))
}

func (s *system) deleteAuthMount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.House.Unmount(ctx, mount.AuthPrefix+r.Text("path"))
}
