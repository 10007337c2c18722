package sys

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
)

// The plugin catalog lists what is built in; nothing can be added.
var catalogRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "plugins/catalog", Do: (*system).catalog, Help: "List what can be mounted."},
	{Op: logical.List, Path: "plugins/catalog", Do: (*system).catalog, Help: "List what can be mounted."},
	{Op: logical.List, Path: "plugins/catalog/{type}", Do: (*system).catalogOf, Sudo: true, Help: "List what can be mounted, of one type."},
	{Op: logical.Read, Path: "plugins/catalog/{type}/{name}", Do: (*system).catalogEntry, Sudo: true, Help: "Tell of one thing that can be mounted."},
}

// The types of plugin that clients know.
const (
	pluginAuth     = "auth"
	pluginSecret   = "secret"
	pluginDatabase = "database"
)

func pluginType(k logical.Kind) string {
	if k.Auth {
		return pluginAuth
	}
	return pluginSecret
}

// names returns what is built in of a type of plugin, sorted; it is never nil.
func (s *system) names(typ string) []string {
	names := []string{}
	for _, k := range s.House.Offered() {
		if pluginType(k) == typ {
			names = append(names, k.Type)
		}
	}
	return names
}

func (s *system) catalog(context.Context, *logical.Request) (*logical.Response, error) {
	detailed := []object{}
	for _, k := range s.House.Offered() {
		detailed = append(detailed, object{
			"type": pluginType(k), "name": k.Type, "version": "", "builtin": true, "deprecation_status": "supported",
		})
	}
	return &logical.Response{Data: object{
		pluginAuth: s.names(pluginAuth), pluginSecret: s.names(pluginSecret), pluginDatabase: s.names(pluginDatabase),
		"detailed": detailed,
	}}, nil
}

func (s *system) catalogOf(_ context.Context, r *logical.Request) (*logical.Response, error) {
	switch typ := r.Text("type"); typ {
	case pluginAuth, pluginSecret, pluginDatabase:
		return &logical.Response{Data: object{"keys": s.names(typ)}}, nil
	}
	return nil, logical.Invalid("unsupported plugin type %q", r.Text("type"))
}

func (s *system) catalogEntry(_ context.Context, r *logical.Request) (*logical.Response, error) {
	for _, k := range s.House.Offered() {
		if pluginType(k) == r.Text("type") && k.Type == r.Text("name") {
			return &logical.Response{Data: object{
				"name": k.Type, "builtin": true, "args": []string{}, "command": "", "sha256": "", "version": "",
				"oci_image": "", "deprecation_status": "supported",
			}}, nil
		}
	}
	return nil, logical.ErrNotFound
}
