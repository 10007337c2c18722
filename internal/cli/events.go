package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/client"
)

func eventsSubscribeCommand() Command {
	return Command{
		Name: "events subscribe", Args: "TYPE", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Show events as they happen",
		Long: `
TYPE is a type of event, in which * is any text: quote it. The command runs until it is
interrupted, and goes on where it was when the connection breaks. It needs read on
sys/events/subscribe/TYPE, and sees what the policies let it subscribe to.

  Every event:
      $ coffer events subscribe '*'
  Writes to one secret, as JSON, one line each:
      $ coffer events subscribe -format=json -filter='data_path == "secret/data/db"' 'kv-v2/data-*'
  Those that happened after the answer with X-Vault-Index 1234, and then on:
      $ coffer events subscribe -since=1234 'coffer/rotation-*'`,
		New: func(f *Flags) Run {
			var s subscription
			filter := f.String("filter", "", "Expression that events must fulfil.")
			f.Alias("bexpr-filter", "filter")
			namespaces := f.Commas("namespaces", "More namespaces, below the one that is used; * is any text.")
			since := f.Int("since", 0, "Revision, as in X-Vault-Index, after which to begin; 0 is now.")
			timeout := f.Duration("timeout", "How long to show events; without it, until interrupted.")
			return func(ctx context.Context, c *Call) error {
				if *since < 0 {
					return usage("-since must not be negative")
				}
				s.options = client.EventOptions{Filter: *filter, Namespaces: *namespaces, Since: uint64(*since)}
				return s.run(ctx, c, *timeout)
			}
		},
	}
}

// subscription is one run of events subscribe.
type subscription struct{ options client.EventOptions }

func (s *subscription) run(ctx context.Context, c *Call, timeout string) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if timeout != "" {
		d, err := untilEnd(timeout)
		if err != nil {
			return usage("invalid value for flag -timeout: %v", err)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	for e, err := range cl.Events(ctx, c.Args[0], s.options) {
		switch {
		case err == nil:
			err = c.printEvent(e)
		case errors.Is(err, client.ErrEventsMissed):
			c.Warn("WARNING! Events may have been missed.")
			err = nil
		case ctx.Err() != nil: // as it should end
			return nil
		}
		if err != nil {
			return failed(err, "subscribing to %s", c.Args[0])
		}
	}
	return nil
}

// printEvent prints one line: for people, or all of it as JSON.
func (c *Call) printEvent(e client.Event) error {
	switch c.format() {
	case "table":
		c.Print(strings.TrimRight(fmt.Sprintf("%s  %-24s %s%s", e.Time.Format(time.RFC3339), e.Type, e.Path, eventDetails(e)), " "))
		return nil
	case "yaml":
		c.Print("---")
		return c.PrintValue(e.Raw)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, e.Raw); err != nil {
		return local(err)
	}
	c.Print(line.String())
	return nil
}

// eventDetails is what else people want to know of an event.
func eventDetails(e client.Event) string {
	var b strings.Builder
	for _, name := range []string{"current_version", "name", "display_name", "from", "error"} {
		if v := e.Metadata[name]; v != "" {
			fmt.Fprintf(&b, "  %s=%s", name, v)
		}
	}
	if e.Revision > 0 {
		fmt.Fprintf(&b, "  (%d)", e.Revision)
	}
	return b.String()
}

// untilEnd reads a duration, or a number of seconds.
func untilEnd(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err == nil && d <= 0 {
		err = errors.New("it must be above zero")
	}
	return d, err
}
