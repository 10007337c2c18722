package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
)

// rotationsPath is where the server keeps rotations.
const rotationsPath = "sys/coffer/rotation"

func rotationListCommand() Command {
	return Command{
		Name: "rotation list", Flags: ClientFlags | FormatFlag,
		Short: "List the rotations, and when each is next",
		Long: `
  List them:
      $ coffer rotation list`,
		New: func(*Flags) Run { return runRotationList },
	}
}

func runRotationList(ctx context.Context, c *Call) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.List(ctx, rotationsPath)
	if err != nil {
		return failed(err, "listing rotations")
	}
	var names []any
	if s != nil {
		names, _ = s.Data["keys"].([]any)
	}
	switch {
	case len(names) == 0:
		return c.PrintList(s, rotationsPath, false)
	case !c.table():
		return c.PrintValue(s.Data)
	}
	rows := [][]string{{"Name", "Target", "Source", "Schedule", "State", "Next", "Last success"}}
	for _, name := range names {
		about := object(object(s.Data, "key_info"), fmt.Sprint(name))
		rows = append(rows, []string{
			fmt.Sprint(name), textAt(about, "target"), textAt(about, "source"), textAt(about, "schedule"),
			stateOf(about, textAt(about, "step")), shortTime(about["next_rotation"]), shortTime(about["last_success"]),
		})
	}
	fmt.Fprint(c.Stdout, layout(rows))
	return nil
}

// completionTime bounds how long a shell waits for names.
const completionTime = 2 * time.Second

// rotationNames completes the name of a rotation. What goes wrong offers nothing.
func (c *Call) rotationNames(current string) []candidate {
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	cl, err := c.Client()
	if err != nil {
		return nil
	}
	s, err := cl.List(ctx, rotationsPath)
	if err != nil || s == nil {
		return nil
	}
	var found []candidate
	names, _ := s.Data["keys"].([]any)
	for _, name := range names {
		if text := fmt.Sprint(name); strings.HasPrefix(text, current) {
			found = append(found, candidate{text, textAt(object(object(s.Data, "key_info"), text), "target")})
		}
	}
	return found
}

// stateOf is what a rotation is at, in a few words. The step is empty if no attempt
// is under way.
func stateOf(about map[string]any, step string) string {
	state := "idle"
	switch paused, _ := about["paused"].(bool); {
	case step != "":
		state = step
	case paused:
		state = "paused"
	}
	if n := textAt(about, "failures"); n != "" && n != "0" {
		state += ", failures: " + n
	}
	return state
}

// textAt is a member of an object as a text; empty if it is null or missing.
func textAt(m map[string]any, name string) string {
	if m[name] == nil {
		return ""
	}
	return fmt.Sprint(m[name])
}

// shortTime is a time of the server's without fractions of a second.
func shortTime(v any) string {
	if v == nil {
		return ""
	}
	whole, fraction, ok := strings.Cut(fmt.Sprint(v), ".")
	if ok && strings.HasSuffix(fraction, "Z") {
		whole += "Z"
	}
	return whole
}

func rotationReadCommand() Command {
	return Command{
		Name: "rotation read", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: outputFlags,
		Short: "Show a rotation, and how far it has got",
		Long: `
  Show one:
      $ coffer rotation read orders-db
  Only what has failed last:
      $ coffer rotation read -field=last_error orders-db`,
		New: func(*Flags) Run { return runRotationRead },
	}
}

func runRotationRead(ctx context.Context, c *Call) error {
	s, err := c.readRotation(ctx, "")
	if err != nil {
		return err
	}
	if c.field() != "" || !c.table() {
		return c.PrintSecret(s)
	}
	c.printRows("Key", "Value", rotationRows(s.Data))
	return nil
}

// readRotation reads the rotation that the first argument names, or what is below
// it.
func (c *Call) readRotation(ctx context.Context, below string) (*api.Secret, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	path := c.rotationPath() + below
	s, err := cl.Read(ctx, path)
	if err != nil {
		return nil, failed(err, "reading rotation %s", cleanPath(c.Args[0]))
	}
	if s == nil {
		return nil, noRotation(cleanPath(c.Args[0]))
	}
	return s, nil
}

// rotationPath is where the rotation is that the first argument names.
func (c *Call) rotationPath() string { return rotationsPath + "/" + cleanPath(c.Args[0]) }

func noRotation(name string) error {
	return &failure{
		code: exitServer, text: "No rotation named: " + name,
		hint: fmt.Sprintf("Hint: \"%s rotation list\" shows which there are.", program),
	}
}

// rotationRows tells first how the rotation stands, then how it was made.
func rotationRows(data map[string]any) []row {
	attempt := object(data, "attempt")
	rows := []row{{"state", stateOf(data, textAt(attempt, "step"))}}
	if attempt != nil {
		rows = append(rows, row{"attempt", attemptCell(attempt)})
		if textAt(attempt, "published") != "" {
			rows = append(rows, row{"consumers", tallyCell(object(attempt, "consumers"))})
		}
		rows = append(rows, row{"goes_on", shortTime(attempt["next"])})
	}
	if text := textAt(data, "last_error"); text != "" {
		rows = append(rows, row{"last_error", text})
	}
	for _, key := range []string{"next_rotation", "last_success", "last_attempt"} {
		rows = append(rows, row{key, orNA(shortTime(data[key]))})
	}
	rows = append(rows, row{"attempts", data["attempts"]})
	for _, key := range []string{"target", "source", "strategy", "schedule", "window", "missed", "await", "grace", "deadline", "verify"} {
		value := data[key]
		if key == "window" || key == "grace" || key == "deadline" {
			value = durationCell(value)
		}
		if key == "window" && value == "0s" {
			continue
		}
		rows = append(rows, row{key, value})
	}
	for _, key := range []string{"roles", "fields", "previous_fields", "config"} {
		if cell := compact(data[key]); cell != "{}" && cell != "[]" && cell != "null" {
			rows = append(rows, row{key, cell})
		}
	}
	return rows
}

func attemptCell(attempt map[string]any) string {
	text := fmt.Sprintf("%v, since %s", attempt["number"], shortTime(attempt["began"]))
	if emergency, _ := attempt["emergency"].(bool); emergency {
		text += ", waiting for nobody"
	}
	if n := textAt(attempt, "tries"); n != "" && n != "0" {
		text += ", tries of this step that failed: " + n
	}
	return text
}

// tallyCell tells how many consumers there are of each state.
func tallyCell(tally map[string]any) string {
	var parts []string
	for _, state := range []string{"moved", "left", "behind", "unknown"} {
		if n := textAt(tally, state); n != "" && n != "0" {
			parts = append(parts, n+" "+state)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// compact is a value as JSON in one line.
func compact(v any) string {
	text, err := encodeJSON(v, "")
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(string(text))
}

func rotationDeleteCommand() Command {
	return Command{
		Name: "rotation delete", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Delete a rotation; the secret stays as it is",
		Long: `
  Delete one:
      $ coffer rotation delete orders-db`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if _, err := cl.Delete(ctx, c.rotationPath()); err != nil {
					return failed(err, "deleting rotation %s", cleanPath(c.Args[0]))
				}
				c.Success("Deleted rotation (if it existed): %s", cleanPath(c.Args[0]))
				return nil
			}
		},
	}
}

func rotationPauseCommand() Command {
	return rotationOrder("pause", "Keep attempts from beginning", "Paused rotation: %s", `
An attempt that is under way goes on: half-way is no place to stay.

  Pause one:
      $ coffer rotation pause orders-db`)
}

func rotationResumeCommand() Command {
	return rotationOrder("resume", "Let attempts begin again", "Resumed rotation: %s", `
What was missed meanwhile is made up for once, or skipped, as the rotation says.

  Resume one:
      $ coffer rotation resume orders-db`)
}

func rotationAbandonCommand() Command {
	return rotationOrder("abandon", "End an attempt that cannot go on", "Abandoned the attempt of rotation: %s", `
Only an attempt that has given nothing to readers yet can be abandoned, and only if a
login shows that the old secret still works and the new one does not.

  Abandon one:
      $ coffer rotation abandon orders-db`)
}

// rotationOrder is a command that has the server do one thing with a rotation.
func rotationOrder(order, short, done, long string) Command {
	return Command{
		Name: "rotation " + order, Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags, Short: short, Long: long,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				cl, err := c.Client()
				if err != nil {
					return err
				}
				name := cleanPath(c.Args[0])
				if _, err := cl.Write(ctx, c.rotationPath()+"/"+order, map[string]any{}); err != nil {
					return failed(err, "rotation %s: %s", name, order)
				}
				c.Success(done, name)
				return nil
			}
		},
	}
}
