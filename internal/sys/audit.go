package sys

import (
	"context"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/logical"
)

var auditFields = logical.Fields{
	"type":        {Type: logical.Text, Help: "Type of the device."},
	"description": {Type: logical.Text, Help: "For people."},
	"options":     {Type: logical.TextMap, Help: "Options of the device, such as file_path."},
	"local":       {Type: logical.Bool, Help: "Kept for clients; there is no replication."},
	"input":       {Type: logical.Text, Help: "The text to hash."},
}

var auditRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "audit", Do: (*system).listDevices, Sudo: true, Help: "List the audit devices."},
	{Op: logical.List, Path: "audit", Do: (*system).listDevices, Sudo: true, Help: "List the audit devices."},
	{Op: logical.Write, Path: "audit/{path...}", Do: (*system).enableDevice, Sudo: true, Fields: auditFields, Help: "Enable an audit device."},
	{Op: logical.Delete, Path: "audit/{path...}", Do: (*system).disableDevice, Sudo: true, Help: "Disable an audit device."},
	{Op: logical.Write, Path: "audit-hash/{path...}", Do: (*system).auditHash, Fields: auditFields, Help: "Hash a text as an audit device does."},
}

func (s *system) listDevices(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	devices, err := s.House.DeclaredDevices(ctx)
	if err != nil {
		return nil, err
	}
	data := object{}
	for _, d := range devices {
		options := d.Options
		if options == nil {
			options = map[string]string{}
		}
		data[d.Path] = object{
			"path": d.Path, "type": d.Type, "description": d.Description, "local": d.Local, "options": options,
		}
	}
	return &logical.Response{Data: data, TopLevel: true}, nil
}

func (s *system) enableDevice(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	d := audit.Declared{
		Path: devicePath(r.Text("path")), Type: r.Text("type"), Description: r.Text("description"),
		Options: r.TextMap("options"), Local: r.Bool("local"),
	}
	if d.Type == "" {
		return nil, logical.Invalid("audit device type must be specified as a string")
	}
	return nil, s.House.EnableDevice(ctx, d)
}

func (s *system) disableDevice(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.House.DisableDevice(ctx, devicePath(r.Text("path")))
}

func (s *system) auditHash(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("input") == "" {
		return nil, logical.Invalid("the \"input\" parameter is empty")
	}
	hash, err := s.Devices.Hash(devicePath(r.Text("path")), r.Text("input"))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"hash": hash}, TopLevel: true}, nil
}

// devicePath gives the name of a device its trailing slash.
func devicePath(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path + "/"
}
