package database

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// config is a connection to a system. It is the stored record, too.
type config struct {
	Name string `json:"-"`
	ID   string `json:"id"` // random, of its errand

	Plugin         string   `json:"plugin"`
	Details        kept     `json:"details,omitzero"` // the JSON fields of the kind of system, without the password
	AllowedRoles   []string `json:"roles,omitempty"`
	RootStatements []string `json:"rotate,omitempty"`
	PasswordPolicy string   `json:"policy,omitempty"`
	Unverified     bool     `json:"unverified,omitempty"`
	SkipImport     bool     `json:"skip,omitempty"`

	account // of the connection's own user
	automatic

	// Generation is random, and new with every change but that of an attempt.
	Generation string `json:"gen"`
	// Leaving: the connection is being deleted, and no user is made with it.
	Leaving bool `json:"leaving,omitempty"`
}

func loadConfig(ctx context.Context, p storage.Part, name string) (*config, error) {
	c, err := load(ctx, p, configForm, named(configs, name))
	if c != nil {
		c.Name = name
	}
	return c, err
}

// needConfig is loadConfig, with an error for the caller if there is none.
func needConfig(ctx context.Context, p storage.Part, name string) (*config, error) {
	c, err := loadConfig(ctx, p, name)
	if err == nil && c == nil {
		err = unknownConnection(name)
	}
	return c, err
}

func (c *config) keeps() *account { return &c.account }
func (c *config) errand() string  { return configErrand + c.ID }

func (c *config) settled(r *logical.Request) error {
	c.Generation = rand.Text()
	emit(r, "root-rotate", "rotate-root/"+c.Name, c.Name)
	return c.planFrom(r, c.Rotated)
}

func (c *config) save(p storage.Part) error { return save(p, configForm, named(configs, c.Name), c) }

// allows refuses a role that may not use the connection.
func (c *config) allows(role string) error {
	if !slices.ContainsFunc(c.AllowedRoles, func(pattern string) bool { return match(pattern, role) }) {
		return logical.Invalid("%q is not an allowed role", role)
	}
	return nil
}

// details are the fields of the kind, the password not among them.
func (c *config) details() (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if c.Details.Empty() {
		return fields, nil
	}
	return fields, json.Unmarshal(c.Details.Reveal(), &fields)
}

const passwordField = "password"

// takeDetails takes over the fields of the kind that the body of r brings, and says
// whether there were any.
func (c *config) takeDetails(r *logical.Request, kind *dbms.Kind) (found bool, err error) {
	var body map[string]json.RawMessage
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &body) != nil {
		return false, logical.Invalid("failed to parse JSON input: the body is not an object")
	}
	fields, err := c.details()
	if err != nil {
		return false, err
	}
	maps.DeleteFunc(fields, func(name string, _ json.RawMessage) bool { _, ok := kind.Fields[name]; return !ok })
	for name := range kind.Fields {
		if raw, ok := body[name]; ok && string(raw) != "null" {
			fields[name], found = raw, true
		}
	}
	delete(fields, passwordField)
	if r.Has(passwordField) {
		c.Password = keepText(r.Text(passwordField))
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return false, err
	}
	c.Details = keepText(string(raw))
	return found, nil
}

// parse returns the configuration of the connection, and its kind.
func (c *config) parse(systems dbms.Kinds) (*dbms.Kind, dbms.Config, error) {
	kind, ok := systems.Find(c.Plugin)
	if !ok {
		return nil, dbms.Config{}, logical.Invalid("unknown database plugin %q", c.Plugin).WithHint("there are: %s", strings.Join(systems.Names(), ", "))
	}
	fields, err := c.details()
	if err != nil {
		return nil, dbms.Config{}, err
	}
	if !c.Password.Empty() {
		if fields[passwordField], err = json.Marshal(c.Password.RevealText()); err != nil {
			return nil, dbms.Config{}, err
		}
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, dbms.Config{}, err
	}
	cfg, err := kind.Parse(c.Plugin, raw)
	return kind, cfg, err
}

// answer is the connection as it may be seen.
func (c *config) answer(cfg dbms.Config) (object, error) {
	fields, err := c.details()
	if err != nil {
		return nil, err
	}
	for _, name := range dbms.SecretFields {
		delete(fields, name)
	}
	if _, ok := fields["connection_url"]; ok {
		if fields["connection_url"], err = json.Marshal(cfg.DisplayURL()); err != nil {
			return nil, err
		}
	}
	data := object{
		"plugin_name": c.Plugin, "plugin_version": "", "connection_details": fields,
		"allowed_roles": texts(c.AllowedRoles), "root_credentials_rotate_statements": texts(c.RootStatements),
		"password_policy": c.PasswordPolicy, "verify_connection": !c.Unverified,
		"skip_static_role_import_rotation": c.SkipImport,
	}
	c.tell(data)
	if !c.Rotated.IsZero() {
		data["last_vault_rotation"] = rotatedAt(c.Rotated)
	}
	if c.Attempt != nil {
		data["rotation_state"] = stateUnsettled
	}
	return data, nil
}

// texts is list as answers have it: never null.
func texts(list []string) []string { return append([]string{}, list...) }

// The states of an account, as answers tell them: coffer's own.
const (
	stateSettled   = "settled"
	stateUnsettled = "unsettled" // an attempt is under way, or its outcome is not known
	stateUnknown   = "unknown"   // there was no rotation yet, and the password is not known
)

// rotatedAt is how answers tell the time of a rotation.
func rotatedAt(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
