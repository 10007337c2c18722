package manifest

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// document is a file before anything is made of it: both formats read into it.
type document struct {
	top     []setting // but for secrets
	entries []draft
}

// draft is an entry as it stands.
type draft struct {
	name     string
	line     int
	settings []setting
}

// setting is a key with its value: string, int64, bool, or anything else, which no
// key takes.
type setting struct {
	key   string
	value any
	line  int

	// literal is the number as it was written, where the format tells: YAML's 0400.
	literal string
}

// secretsKey is the key of the top level under which the entries are.
const secretsKey = "secrets"

func readTOML(content []byte, p *parser) (document, error) {
	var top map[string]toml.Primitive
	md, err := toml.Decode(string(content), &top)
	if err != nil {
		line := 0
		if pe := new(toml.ParseError); errors.As(err, pe) {
			line = pe.Position.Line
		}
		return document{}, p.fail(line, "this is not TOML, or a key stands there twice")
	}
	var doc document
	for key, value := range top {
		if key != secretsKey {
			doc.top = append(doc.top, tomlSetting(md, key, value))
			continue
		}
		entries, ok := tomlTable(md, value)
		if !ok {
			p.add(tomlLine(md, value), "%s must be a table, such as [%[1]s.NAME]", secretsKey)
			continue
		}
		for name, entry := range entries {
			doc.entries = append(doc.entries, tomlDraft(md, name, entry, p))
		}
	}
	byLine(doc.top)
	// Maps have no order. Entries in one line are ordered by name.
	slices.SortFunc(doc.entries, func(a, b draft) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.name, b.name)) })
	return doc, nil
}

func byLine(settings []setting) {
	slices.SortFunc(settings, func(a, b setting) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.key, b.key)) })
}

func tomlDraft(md toml.MetaData, name string, value toml.Primitive, p *parser) draft {
	d := draft{name: name, line: tomlLine(md, value)}
	settings, ok := tomlTable(md, value)
	if !ok {
		p.add(d.line, "%s must be a table of settings", shown(name))
		return d
	}
	for key, value := range settings {
		d.settings = append(d.settings, tomlSetting(md, key, value))
	}
	byLine(d.settings)
	if d.line == 0 && len(d.settings) > 0 { // a table of dotted keys has no line of its own
		d.line = d.settings[0].line
	}
	return d
}

// tomlTable returns what is in a table. The decoder alone takes any other value for
// an empty one.
func tomlTable(md toml.MetaData, value toml.Primitive) (map[string]toml.Primitive, bool) {
	var tree any
	var table map[string]toml.Primitive
	if md.PrimitiveDecode(value, &tree) != nil || md.PrimitiveDecode(value, &table) != nil {
		return nil, false
	}
	_, ok := tree.(map[string]any)
	return table, ok
}

func tomlSetting(md toml.MetaData, key string, value toml.Primitive) setting {
	s := setting{key: key, line: tomlLine(md, value)}
	if err := md.PrimitiveDecode(value, &s.value); err != nil {
		s.value = nil
	}
	return s
}

// probe has the decoder say at which line it is: nothing else of it does.
type probe struct{}

var _ toml.Unmarshaler = probe{}

// UnmarshalTOML implements [toml.Unmarshaler].
func (probe) UnmarshalTOML(any) error { return errProbe }

var errProbe = errors.New("manifest: probe")

// tomlLine returns the line of a key, or zero.
func tomlLine(md toml.MetaData, value toml.Primitive) int {
	pe := new(toml.ParseError)
	if errors.As(md.PrimitiveDecode(value, &probe{}), pe) {
		return pe.Position.Line
	}
	return 0
}

// yamlLine finds the line in what package yaml says; the rest may quote values.
var yamlLine = regexp.MustCompile(`line (\d+)`)

func readYAML(content []byte, p *parser) (document, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		line := 0
		if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
			line, _ = strconv.Atoi(found[1]) // digits; too many give no line
		}
		return document{}, p.fail(line, "this is not YAML")
	}
	var doc document
	if len(root.Content) == 0 {
		return doc, nil
	}
	yamlPairs(root.Content[0], "the file", p, func(s setting, value *yaml.Node) {
		if s.key != secretsKey {
			doc.top = append(doc.top, s)
			return
		}
		yamlPairs(value, secretsKey, p, func(e setting, value *yaml.Node) {
			d := draft{name: e.key, line: e.line}
			yamlPairs(value, shown(e.key), p, func(s setting, _ *yaml.Node) { d.settings = append(d.settings, s) })
			doc.entries = append(doc.entries, d)
		})
	})
	return doc, nil
}

// yamlPairs calls do with each pair of a mapping.
func yamlPairs(n *yaml.Node, what string, p *parser, do func(setting, *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // nothing follows the key
	}
	if n.Kind != yaml.MappingNode {
		p.add(n.Line, "%s must be a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			p.add(key.Line, "write keys out: anchors and merges are not followed")
			continue
		case seen[key.Value]:
			p.add(key.Line, "%s stands there twice", shown(key.Value))
			continue
		}
		seen[key.Value] = true
		do(yamlSetting(key, value), value)
	}
}

func yamlSetting(key, value *yaml.Node) setting {
	s := setting{key: key.Value, line: key.Line}
	if value.Kind != yaml.ScalarNode {
		return s
	}
	switch value.Tag {
	case "!!str":
		s.value = value.Value
	case "!!int":
		s.literal = value.Value
		var n int64
		if value.Decode(&n) == nil {
			s.value = n
		}
	case "!!bool":
		var b bool
		if value.Decode(&b) == nil {
			s.value = b
		}
	case "!!float":
		var f float64
		if value.Decode(&f) == nil {
			s.value = f
		}
	case "!!timestamp":
		s.value = time.Time{}
	}
	return s
}
