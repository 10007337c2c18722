package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/api"
)

func auditListCommand() Command {
	return Command{
		Name: "audit list", Flags: ClientFlags | FormatFlag,
		Short: "List the audit devices",
		Long: `
The exit code is 2 if there are none.

  List them, and their options:
      $ coffer audit list -detailed`,
		New: func(f *Flags) Run {
			detailed := f.Bool("detailed", false, "Print the options, too.")
			return func(ctx context.Context, c *Call) error { return runAuditList(ctx, c, *detailed) }
		},
	}
}

func runAuditList(ctx context.Context, c *Call, detailed bool) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Read(ctx, "sys/audit")
	if err != nil {
		return failed(err, "listing audits")
	}
	data := map[string]any{}
	if s != nil && s.Data != nil {
		data = s.Data
	}
	if !c.table() {
		return c.PrintValue(data)
	}
	devices, err := decoded[map[string]api.AuditDevice](data)
	if err != nil {
		return failed(err, "listing audits")
	}
	if len(devices) == 0 {
		c.Print("No audit devices are enabled.")
		return silently(exitServer)
	}
	lines := [][]string{{"Path", "Type", "Description"}}
	if detailed {
		lines[0] = append(lines[0], "Replication", "Options")
	}
	for _, path := range slices.Sorted(maps.Keys(devices)) {
		d := devices[path]
		line := []string{path, d.Type, d.Description}
		if detailed {
			line = append(line, replication(d.Local), pairs(d.Options))
		}
		lines = append(lines, line)
	}
	fmt.Fprint(c.Stdout, layout(lines))
	return nil
}

// pairs writes options as they are given: file_path=/var/log/audit.log.
func pairs(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, " ")
}

func auditEnableCommand() Command {
	return Command{
		Name: "audit enable", Args: "TYPE [KEY=VALUE...]", MaxArgs: -1, Flags: ClientFlags,
		Short: "Enable an audit device",
		Long: `
What follows the type are the options of the device.

  Write to a file:
      $ coffer audit enable file file_path=/var/log/coffer/audit.log
  A second one, on the standard output:
      $ coffer audit enable -path=console file file_path=stdout
  To the logger of this machine:
      $ coffer audit enable syslog facility=LOCAL1 tag=coffer
  To another machine:
      $ coffer audit enable socket address=logs.example.com:5140 write_timeout=1s`,
		New: func(f *Flags) Run {
			path := f.String("path", "", "Name of the device. Without, the name of its type.")
			description := f.String("description", "", "For people.")
			isLocal := f.Bool("local", false, "Do not replicate it to other clusters.")
			return func(ctx context.Context, c *Call) error {
				return runAuditEnable(ctx, c, *path, api.AuditRequest{Description: *description, Local: *isLocal})
			}
		},
	}
}

func runAuditEnable(ctx context.Context, c *Call, path string, req api.AuditRequest) error {
	if len(c.Args) == 0 {
		return usage("Error enabling audit device: audit type missing. Valid types include 'file', 'socket' and 'syslog'.")
	}
	req.Type = strings.TrimSpace(c.Args[0])
	data, err := c.data(1)
	if err != nil {
		return err
	}
	req.Options = map[string]string{}
	for k, v := range data {
		req.Options[k] = fmt.Sprint(v)
	}
	if path == "" {
		path = req.Type
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := cl.Write(ctx, "sys/audit/"+cleanPath(path), req); err != nil {
		return failed(err, "enabling audit device")
	}
	c.Success("Enabled the %s audit device at: %s", req.Type, mountPath(path))
	return nil
}

func auditDisableCommand() Command {
	return Command{
		Name: "audit disable", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Disable an audit device",
		Long: `
Its hashes cannot be told apart any more then, not even if it is enabled again.

  Disable the one at file/:
      $ coffer audit disable file`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				path, err := c.mountArg(0)
				if err != nil {
					return err
				}
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if _, err := cl.Delete(ctx, "sys/audit/"+cleanPath(path)); err != nil {
					return failed(err, "disabling audit device")
				}
				c.Success("Disabled audit device (if it was enabled) at: %s", path)
				return nil
			}
		},
	}
}
