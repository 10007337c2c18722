package sys

import (
	"cmp"
	"context"
	"slices"
	"strings"

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

// plugin is something that is built in, as clients know it.
type plugin struct{ typ, name string }

// plugins returns what is built in, by type and name.
func (s *system) plugins() []plugin {
	var all []plugin
	for _, k := range s.House.Offered() {
		typ := pluginSecret
		if k.Auth {
			typ = pluginAuth
		}
		all = append(all, plugin{typ, k.Type})
		for _, name := range k.Databases {
			all = append(all, plugin{pluginDatabase, name})
		}
	}
	slices.SortFunc(all, func(a, b plugin) int {
		return cmp.Or(strings.Compare(a.typ, b.typ), strings.Compare(a.name, b.name))
	})
	return all
}

// names returns what is built in of a type of plugin, sorted; it is never nil.
func (s *system) names(typ string) []string {
	names := []string{}
	for _, p := range s.plugins() {
		if p.typ == typ {
			names = append(names, p.name)
		}
	}
	return names
}

func (s *system) catalog(context.Context, *logical.Request) (*logical.Response, error) {
	detailed := []object{}
	for _, p := range s.plugins() {
		detailed = append(detailed, object{
			"type": p.typ, "name": p.name, "version": "", "builtin": true, "deprecation_status": "supported",
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
	if !slices.Contains(s.plugins(), plugin{r.Text("type"), r.Text("name")}) {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{
		"name": r.Text("name"), "builtin": true, "args": []string{}, "command": "", "sha256": "", "version": "",
		"oci_image": "", "deprecation_status": "supported",
	}}, nil
}
