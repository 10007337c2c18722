package cli

import (
	"context"
	"fmt"
	"net/url"

	"github.com/cofferhq/coffer/api"
)

func consumersCommand() Command {
	return Command{
		Name: "consumers", Args: "PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "List who has read a secret, and what is known of them",
		Long: `
Each is moved (it uses the version), behind (it may use an older one), unknown (its
token has gone without a word) or left (it has said goodbye).

  Who may still use an old version:
      $ coffer consumers secret/orders/db
  Seen from an older version:
      $ coffer consumers -version=3 secret/orders/db`,
		New: func(f *Flags) Run {
			version := f.Int("version", 0, "Version from which they are seen; 0 is the newest.")
			return func(ctx context.Context, c *Call) error { return runConsumers(ctx, c, *version) }
		},
	}
}

func runConsumers(ctx context.Context, c *Call, version int) error {
	path := cleanPath(c.Args[0])
	cl, err := c.Client()
	if err != nil {
		return err
	}
	query := url.Values{}
	if version != 0 {
		query.Set("version", fmt.Sprint(version))
	}
	s, err := cl.ReadQuery(ctx, "sys/coffer/consumers/"+path, query)
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "reading the consumers of %s", path)
	}
	if !c.table() {
		return c.PrintValue(s.Data)
	}
	return c.printConsumers(s)
}

func (c *Call) printConsumers(s *api.Secret) error {
	all, _ := s.Data["consumers"].([]any)
	c.Print(fmt.Sprintf("Seen from version %v:\n", s.Data["version"]))
	if len(all) == 0 {
		c.Print("Nobody is known to have read it.")
		return nil
	}
	rows := [][]string{{"State", "Who", "Role", "Instance", "Read", "Uses", "Last read", "Address", "Accessor"}}
	for _, one := range all {
		m, _ := one.(map[string]any)
		accessor := textAt(m, "accessor")
		if batch, _ := m["batch"].(bool); batch {
			accessor = "(batch token)"
		}
		rows = append(rows, []string{
			textAt(m, "state"), textAt(m, "display_name"), textAt(m, "role"), textAt(m, "instance"),
			versionCell(m["version_read"]), versionCell(m["version_in_use"]), shortTime(m["last_read"]), textAt(m, "address"), accessor,
		})
	}
	fmt.Fprint(c.Stdout, layout(rows))
	return nil
}
