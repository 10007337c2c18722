package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

func rotationWriteCommand() Command {
	return Command{
		Name: "rotation write", Args: "NAME DATA...", MinArgs: 2, MaxArgs: -1, Flags: ClientFlags,
		Short: "Create a rotation, or change what is given of it",
		Long: `
Data is KEY=VALUE. The source's settings are config.KEY=VALUE, or all of them at once
config=@FILE or config=-, a JSON object; where the secret's fields come from is
fields.FROM=TO, and in which the old values stand previous_fields.FROM=TO. A value of
config. that reads as JSON (a number, true, a list) is taken as such. KEY=@FILE takes
a value from a file, KEY=- from the standard input, always as a text, without its
last line end: what is secret need not be among the arguments.

The settings of a source are replaced as a whole; all else stays unless it is given.

  A new random key each week, for readers of secret/orders:
      $ coffer rotation write orders-key target=secret/orders source=generate schedule=7d config.type=bytes fields.value=key
  Two users of a database in turn, while applications move from one to the other:
      $ coffer rotation write orders-db target=secret/orders/db source=database strategy=alternate schedule=24h grace=10m config=@orders-db.json
  Only the schedule:
      $ coffer rotation write orders-db schedule="0 3 * * *"`,
		New: func(*Flags) Run { return runRotationWrite },
	}
}

func runRotationWrite(ctx context.Context, c *Call) error {
	data, err := c.rotationData(c.Args[1:])
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	name := cleanPath(c.Args[0])
	s, err := cl.Write(ctx, c.rotationPath(), data)
	if err != nil {
		return failed(err, "writing rotation %s", name)
	}
	if s != nil {
		c.printWarnings(s)
	}
	c.Success("Wrote rotation: %s", name)
	return nil
}

// nested are the settings whose members have arguments of their own.
var nested = []string{"config", "fields", "previous_fields"}

// rotationData is the request that arguments describe. Like dataReader's its errors
// never hold an argument: that may be a secret.
func (c *Call) rotationData(args []string) (map[string]any, error) {
	d := &dataReader{stdin: c.Stdin}
	data := map[string]any{}
	members := map[string]map[string]any{}
	for i, arg := range args {
		err := d.addRotation(data, members, arg)
		if err != nil {
			return nil, &failure{code: exitLocal, text: fmt.Sprintf("Failed to parse K=V data: argument %d: %v", i+1, err)}
		}
	}
	for name, own := range members {
		whole, ok := data[name].(map[string]any)
		if _, given := data[name]; given && !ok {
			return nil, usage("%s is given as a whole, and is no object", name)
		}
		if whole == nil {
			whole = map[string]any{}
			data[name] = whole
		}
		for key, value := range own {
			whole[key] = value
		}
	}
	return data, nil
}

func (d *dataReader) addRotation(data map[string]any, members map[string]map[string]any, arg string) error {
	key, value, ok := strings.Cut(arg, "=")
	if !ok {
		return d.add(data, arg)
	}
	group, member, isMember := strings.Cut(key, ".")
	for _, name := range nested {
		switch {
		case key == name:
			return d.addWhole(data, name, value)
		case isMember && group == name && member != "":
			if members[name] == nil {
				members[name] = map[string]any{}
			}
			v, err := d.member(name, value)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			put(members[name], member, v)
			return nil
		}
	}
	return d.add(data, arg)
}

// addWhole takes an object for a setting that is one.
func (d *dataReader) addWhole(data map[string]any, name, value string) error {
	text, err := d.value(value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var object map[string]any
	if err := decodeNumbers(text, &object); err != nil || object == nil {
		return fmt.Errorf("%s: not a JSON object", name)
	}
	data[name] = object
	return nil
}

// member is the value of one member of a setting.
func (d *dataReader) member(of, value string) (any, error) {
	text, err := d.value(value)
	if err != nil {
		return nil, err
	}
	if value == "-" || strings.HasPrefix(value, "@") {
		return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
	}
	var v any
	if of == "config" && decodeNumbers(text, &v) == nil {
		return v, nil
	}
	return text, nil
}

// decodeNumbers is json.Unmarshal that keeps numbers as they are written.
func decodeNumbers(text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}
