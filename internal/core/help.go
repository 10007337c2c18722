package core

import (
	"context"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// helpOps is the order in which help tells of operations.
var helpOps = []logical.Op{logical.Read, logical.List, logical.Write, logical.Patch, logical.Delete}

// Help tells what can be done with the path of a call, from the engines' tables.
// Any valid token may ask.
func (c *Core) Help(ctx context.Context, call *Call) (string, error) {
	v := &visit{Call: call}
	if err := c.route(v); err != nil {
		return "", err
	}
	if err := c.limit(ctx, v); err != nil {
		return "", err
	}
	v.action = nil // the token is needed even where the path itself is open
	if err := c.identify(ctx, v); err != nil {
		return "", err
	}
	if v.mount == nil {
		return "", logical.Errorf(logical.ErrUnsupportedPath, "no handler for route %q. route entry not found.", v.Path)
	}
	if v.rest == "" {
		return mountHelp(v), nil
	}
	endpoint, _ := v.mount.Engine.Endpoints.Find(v.rest)
	if endpoint == nil {
		return "", logical.ErrUnsupportedPath
	}
	return endpointHelp(v.Path, endpoint), nil
}

func mountHelp(v *visit) string {
	var b strings.Builder
	b.WriteString("## PATHS\n\nBelow " + v.mount.Path + " (" + v.mount.Type + "):\n")
	for _, e := range v.mount.Engine.Endpoints.All() {
		b.WriteString("\n    " + e.Pattern + "\n")
		for _, op := range helpOps {
			if a := e.Action(op); a != nil {
				b.WriteString("        " + op.String() + ": " + a.Help + "\n")
			}
		}
	}
	return b.String()
}

func endpointHelp(path string, e *logical.Endpoint) string {
	var b strings.Builder
	b.WriteString("Request:        " + path + "\nMatching Route: " + e.Pattern + "\n")
	for _, op := range helpOps {
		a := e.Action(op)
		if a == nil {
			continue
		}
		b.WriteString("\n" + op.String() + ": " + a.Help + "\n")
		names := make([]string, 0, len(a.Fields))
		for name := range a.Fields {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			b.WriteString("    " + name + ": " + a.Fields[name].Help + "\n")
		}
	}
	return b.String()
}
