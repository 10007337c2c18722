package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cofferhq/coffer/api"
)

// format is how to print: table, json, yaml or raw.
func (c *Call) format() string {
	if c.opts.format == nil {
		return "table"
	}
	switch f := *c.opts.format; f {
	case "yml":
		return "yaml"
	case "pretty":
		return "table"
	default:
		return f
	}
}

func (c *Call) table() bool { return c.format() == "table" }

// field is the one field to print, or nothing for all.
func (c *Call) field() string {
	if c.opts.field == nil {
		return ""
	}
	return *c.opts.field
}

// PrintSecret prints an answer as the flags want it.
func (c *Call) PrintSecret(s *api.Secret) error {
	if name := c.field(); name != "" {
		value, ok := secretField(s, name)
		return c.printField(name, value, ok)
	}
	c.printWarnings(s)
	if c.table() {
		c.printRows("Key", "Value", secretRows(s))
		return nil
	}
	return c.PrintValue(s)
}

// printWarnings tells of the server's warnings beside tables; the other formats
// hold them.
func (c *Call) printWarnings(s *api.Secret) {
	if len(s.Warnings) == 0 || !c.table() {
		return
	}
	c.Warn("WARNING! The following warnings were returned by the server:\n")
	for _, w := range s.Warnings {
		c.Warn("  * " + w)
	}
	c.Warn("")
}

// PrintData prints an object: all, or the field that the flags name.
func (c *Call) PrintData(data map[string]any) error {
	if name := c.field(); name != "" {
		value, ok := data[name]
		return c.printField(name, value, ok)
	}
	if c.table() {
		c.printRows("Key", "Value", dataRows(data))
		return nil
	}
	return c.PrintValue(data)
}

// PrintValue prints v as JSON, YAML or, raw, as short as may be.
func (c *Call) PrintValue(v any) error {
	tree, err := jsonTree(v)
	if err != nil {
		return local(err)
	}
	var out []byte
	switch c.format() {
	case "yaml":
		out, err = encodeYAML(tree)
	case "raw":
		out, err = encodeJSON(tree, "")
	default:
		out, err = encodeJSON(tree, "  ")
	}
	if err != nil {
		return local(err)
	}
	c.Print(strings.TrimRight(string(out), "\n"))
	return nil
}

func encodeJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return b.Bytes(), err
}

// jsonTree makes maps, lists and json.Numbers of anything that JSON can hold.
func jsonTree(v any) (any, error) {
	b, err := encodeJSON(v, "")
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	err = d.Decode(&tree)
	return tree, err
}

func encodeYAML(tree any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(yamlTree(tree)); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// yamlTree keeps big numbers as they are: json.Number is a text to package yaml.
func yamlTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = yamlTree(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = yamlTree(e)
		}
		return l
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	}
	return v
}

// printField prints one value bare, so that scripts can use it as it is; the
// line end is for people.
func (c *Call) printField(name string, value any, ok bool) error {
	if !ok || value == nil {
		return &failure{code: exitLocal, text: fmt.Sprintf("Field %q not present in secret", name)}
	}
	if !c.table() && c.format() != "raw" {
		return c.PrintValue(value)
	}
	fmt.Fprint(c.Stdout, value)
	if c.StdoutTTY {
		fmt.Fprintln(c.Stdout)
	}
	return nil
}

// PrintList prints the names that a list gave, whose path is told if there are
// none, and with detailed what the server says about each.
func (c *Call) PrintList(s *api.Secret, path string, detailed bool) error {
	var keys []any
	if s != nil && s.WrapInfo != nil {
		return c.PrintSecret(s)
	}
	if s != nil {
		keys, _ = s.Data["keys"].([]any)
		c.printWarnings(s)
	}
	switch {
	case len(keys) > 0 && detailed && object(s.Data, "key_info") != nil:
		if !c.table() {
			return c.PrintValue(s.Data)
		}
		fmt.Fprint(c.Stdout, layout(keyInfo(keys, object(s.Data, "key_info"))))
		return nil
	case len(keys) > 0 && c.table():
		c.printColumn("Keys", keys)
		return nil
	case len(keys) > 0:
		return c.PrintValue(keys)
	case c.table():
		return noValue(path)
	}
	if err := c.PrintValue(map[string]any{}); err != nil {
		return err
	}
	return silently(exitServer)
}

// keyInfo is a table of names and of what is said about each, of which not all
// need have the same fields.
func keyInfo(keys []any, info map[string]any) [][]string {
	fields := map[string]bool{}
	for name := range info {
		for field := range object(info, name) {
			fields[field] = true
		}
	}
	columns := slices.Sorted(maps.Keys(fields))
	lines := [][]string{append([]string{"Keys"}, columns...)}
	for _, key := range keys {
		line := []string{fmt.Sprint(key)}
		about := object(info, line[0])
		for _, field := range columns {
			cell := ""
			if v, ok := about[field]; ok {
				cell = fmt.Sprint(v)
			}
			line = append(line, cell)
		}
		lines = append(lines, line)
	}
	return lines
}
