package approle

import (
	"context"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
)

// property is a setting of a role with a path of its own.
type property struct {
	path  string
	names []string // taken and read under, the first being the one to ask for
}

var properties = []property{
	{"policies", []string{"token_policies", "policies"}},
	{"bind-secret-id", []string{"bind_secret_id"}},
	{"secret-id-bound-cidrs", []string{"secret_id_bound_cidrs"}},
	{"bound-cidr-list", []string{"bound_cidr_list"}},
	{"secret-id-num-uses", []string{"secret_id_num_uses"}},
	{"secret-id-ttl", []string{"secret_id_ttl"}},
	{"token-ttl", []string{"token_ttl"}},
	{"token-max-ttl", []string{"token_max_ttl"}},
	{"token-num-uses", []string{"token_num_uses"}},
	{"token-bound-cidrs", []string{"token_bound_cidrs"}},
	{"period", []string{"token_period", "period"}},
}

// propertyRoutes are read, write and delete of each property.
func propertyRoutes() logical.Routes[method] {
	var table logical.Routes[method]
	for _, p := range properties {
		path, name := "role/{role_name}/"+p.path, p.names[0]
		s := settings.Named(name)
		fields := named(nil)
		for _, n := range p.names {
			fields[n] = s.Field
		}
		table = append(table,
			logical.Route[method]{Op: logical.Read, Path: path, Do: p.read(s), Fields: named(nil), Help: "Read " + name + " of a role."},
			logical.Route[method]{Op: logical.Write, Path: path, Do: p.write(s), Fields: fields, Help: "Set " + name + " of a role."},
			logical.Route[method]{Op: logical.Delete, Path: path, Do: p.clear(s), Fields: named(nil), Help: "Give " + name + " of a role its default."},
		)
	}
	return table
}

type setting = grant.Setting[role]

type handler = func(m method, ctx context.Context, r *logical.Request) (*logical.Response, error)

func (p property) read(s *setting) handler {
	return func(_ method, ctx context.Context, r *logical.Request) (*logical.Response, error) {
		o, err := present(ctx, r)
		if err != nil {
			return nil, err
		}
		data := object{}
		for _, name := range p.names {
			data[name] = s.Read(o)
		}
		return &logical.Response{Data: data}, nil
	}
}

func (p property) write(s *setting) handler {
	return func(_ method, ctx context.Context, r *logical.Request) (*logical.Response, error) {
		o, err := loadRole(ctx, r.Part, r.Text("role_name"))
		if err != nil {
			return nil, err
		}
		if o == nil {
			return nil, logical.Errorf(logical.ErrNotFound, "role %q does not exist", r.Text("role_name"))
		}
		found, err := s.Take(o, r)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, logical.Invalid("missing %s", p.names[0])
		}
		return nil, o.save(r.Part)
	}
}

func (p property) clear(s *setting) handler {
	return func(_ method, ctx context.Context, r *logical.Request) (*logical.Response, error) {
		o, err := loadRole(ctx, r.Part, r.Text("role_name"))
		if err != nil || o == nil {
			return nil, err
		}
		s.Clear(o)
		return nil, o.save(r.Part)
	}
}
