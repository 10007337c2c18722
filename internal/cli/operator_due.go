package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
)

const duePath = "sys/coffer/due"

func operatorDueCommand() Command {
	return Command{
		Name: "operator due", Flags: ClientFlags | FormatFlag,
		Short: "Show what is due, and what a jump of the clock holds back",
		Long: `
When the server's clock jumps far ahead, the expiry of leases and tokens that fell
due by that alone is held back: until the clock is corrected, or somebody confirms
that it tells the right time now.

  How the queue stands:
      $ coffer operator due
  The clock is right, do what is held back:
      $ coffer operator due -confirm`,
		New: func(f *Flags) Run {
			confirm := f.Bool("confirm", false, "The server's clock tells the right time: do what is held back.")
			return func(ctx context.Context, c *Call) error {
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if *confirm {
					return confirmDue(ctx, c, cl)
				}
				return showDue(ctx, c, cl)
			}
		},
	}
}

func confirmDue(ctx context.Context, c *Call, cl *client.Client) error {
	if _, err := cl.Write(ctx, duePath+"/confirm", nil); err != nil {
		return failed(err, "confirming the clock")
	}
	c.Success("What was held back is being done.")
	return nil
}

func showDue(ctx context.Context, c *Call, cl *client.Client) error {
	s, err := cl.Read(ctx, duePath)
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "reading what is due")
	}
	if !c.table() {
		return c.PrintValue(s.Data)
	}
	rows := []row{{"server_time", shortTime(s.Data["time"])}, {"waiting", waitingCell(s.Data)}}
	if oldest := shortTime(s.Data["oldest"]); oldest != "" {
		rows = append(rows, row{"oldest", oldest})
	}
	rows = append(rows, row{"next", shortTime(s.Data["next"])})
	if hold := object(s.Data, "hold"); hold != nil {
		rows = append(rows, row{"held", textAt(s.Data, "held")}, row{"held_since", shortTime(hold["since"])},
			row{"why", textAt(hold, "why")}, row{"time_without_jump", shortTime(hold["time_without_jump"])})
	}
	c.printRows("Key", "Value", rows)
	return nil
}

// waitingCell is how many wait, and of what kind.
func waitingCell(data map[string]any) string {
	kinds := object(data, "waiting_by_kind")
	var each []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		each = append(each, fmt.Sprintf("%s: %v", kind, kinds[kind]))
	}
	text := textAt(data, "waiting")
	if len(each) > 0 {
		text += " (" + strings.Join(each, ", ") + ")"
	}
	return text
}
