package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// rotationLook is how often it is looked how far an attempt has got.
const rotationLook = 500 * time.Millisecond

func rotationRotateCommand() Command {
	return Command{
		Name: "rotation rotate", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Begin an attempt now, or have the one under way go on",
		Long: `
With -wait the command ends when the attempt does: with 0 if the secret was replaced
and the old one is not known to work still, with 2 if not. On a terminal it shows each
step.

  Rotate, and see how it goes:
      $ coffer rotation rotate -wait orders-db
  The secret has leaked: end the old one as soon as the new one works, whoever uses it:
      $ coffer rotation rotate -now -wait orders-db`,
		New: func(f *Flags) Run {
			now := f.Bool("now", false, "An emergency: wait for nobody before the old secret is ended.")
			wait := f.Bool("wait", false, "Wait until the attempt has ended.")
			return func(ctx context.Context, c *Call) error { return runRotationRotate(ctx, c, *now, *wait) }
		},
	}
}

func runRotationRotate(ctx context.Context, c *Call, now, wait bool) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	name := cleanPath(c.Args[0])
	s, err := cl.Write(ctx, c.rotationPath()+"/rotate", map[string]any{"now": now})
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "rotating %s", name)
	}
	number := textAt(s.Data, "attempt")
	if wait {
		return c.awaitAttempt(ctx, cl, number)
	}
	if !c.table() {
		return c.PrintSecret(s)
	}
	c.Success("Attempt %s of rotation %s is due.", number, name)
	return nil
}

// awaitAttempt returns when the attempt has ended, and prints what is known of it.
func (c *Call) awaitAttempt(ctx context.Context, cl *client.Client, number string) error {
	shown := ""
	for {
		s, err := c.readRotation(ctx, "")
		if err != nil {
			return err
		}
		attempt := object(s.Data, "attempt")
		if below(textAt(s.Data, "attempts"), number) || textAt(attempt, "number") == number {
			if line := progress(s.Data, attempt); line != shown && c.StderrTTY {
				shown = line
				fmt.Fprintln(c.Stderr, line)
			}
		} else if e, err := c.attemptNumber(ctx, cl, number); err != nil || e != nil {
			if err != nil {
				return err
			}
			return c.printAttempt(e)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.after(rotationLook):
		}
	}
}

// below compares two numbers of attempts.
func below(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// progress is a line about an attempt, which may not have begun.
func progress(data, attempt map[string]any) string {
	if attempt == nil {
		if text := textAt(data, "last_error"); text != "" {
			return "begin: " + text
		}
		return "begin"
	}
	line := textAt(attempt, "step")
	if textAt(attempt, "published") != "" {
		line += fmt.Sprintf(" (version %v, consumers: %s)", attempt["version"], tallyCell(object(attempt, "consumers")))
	}
	if n := textAt(attempt, "tries"); n != "0" && n != "" {
		line += ": " + textAt(data, "last_error")
	}
	return line
}

// attemptNumber returns what is known of an attempt that has ended, or nil.
func (c *Call) attemptNumber(ctx context.Context, cl *client.Client, number string) (map[string]any, error) {
	s, err := cl.Read(ctx, c.rotationPath()+"/attempts")
	if err != nil || s == nil {
		return nil, failed(err, "reading the attempts of rotation %s", cleanPath(c.Args[0]))
	}
	all, _ := s.Data["attempts"].([]any)
	for _, one := range all {
		if e, ok := one.(map[string]any); ok && textAt(e, "number") == number {
			return e, nil
		}
	}
	return nil, nil
}

// printAttempt prints an attempt that has ended, and fails if that has not replaced
// the secret.
func (c *Call) printAttempt(e map[string]any) error {
	if c.table() {
		c.printRows("Key", "Value", attemptRows(e))
	} else if err := c.PrintValue(e); err != nil {
		return err
	}
	switch {
	case textAt(e, "error") != "":
		return &failure{code: exitServer, text: "The attempt was " + textAt(e, "error")}
	case textAt(e, "old") == "alive":
		return &failure{code: exitServer, text: "The old secret still works."}
	}
	return nil
}

func attemptRows(e map[string]any) []row {
	rows := []row{{"number", e["number"]}, {"id", e["id"]}}
	for _, key := range []string{"began", "published", "retired", "ended"} {
		rows = append(rows, row{key, shortTime(e[key])})
	}
	rows = append(rows, row{"version", e["version"]}, row{"consumers", tallyCell(object(e, "consumers"))})
	for _, key := range []string{"tested", "old", "error"} {
		if text := textAt(e, key); text != "" {
			rows = append(rows, row{key, text})
		}
	}
	return append(rows, row{"emergency", e["emergency"]})
}

func rotationAttemptsCommand() Command {
	return Command{
		Name: "rotation attempts", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "List what is known of the attempts that have ended",
		Long: `
  What has become of the old secrets:
      $ coffer rotation attempts orders-db`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				s, err := c.readRotation(ctx, "/attempts")
				if err != nil {
					return err
				}
				return c.printAttempts(s)
			}
		},
	}
}

func (c *Call) printAttempts(s *api.Secret) error {
	all, _ := s.Data["attempts"].([]any)
	if !c.table() {
		return c.PrintValue(all)
	}
	if len(all) == 0 {
		c.Print("No attempt has ended yet.")
		return nil
	}
	rows := [][]string{{"Number", "Began", "Took", "Version", "Consumers", "Tested", "Old secret", "Error"}}
	for _, one := range all {
		e, _ := one.(map[string]any)
		rows = append(rows, []string{
			textAt(e, "number"), shortTime(e["began"]), took(e), versionCell(e["version"]), tallyCell(object(e, "consumers")),
			textAt(e, "tested"), textAt(e, "old"), textAt(e, "error"),
		})
	}
	fmt.Fprint(c.Stdout, layout(rows))
	return nil
}

// took is how long an attempt was under way.
func took(e map[string]any) string {
	began, err := time.Parse(time.RFC3339, textAt(e, "began"))
	if err != nil {
		return ""
	}
	ended, err := time.Parse(time.RFC3339, textAt(e, "ended"))
	if err != nil {
		return ""
	}
	return ended.Sub(began).Round(time.Millisecond).String()
}

// versionCell is nothing where nothing was published.
func versionCell(v any) string {
	if n, ok := v.(json.Number); ok && n.String() != "0" {
		return n.String()
	}
	return ""
}
