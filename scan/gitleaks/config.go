// Package gitleaks reads gitleaks' configuration files (.gitleaks.toml) and makes
// rules of them that package scan can use. What it says of keys and their meaning
// follows gitleaks' documentation of version 8; its default rules are ours.
//
// Start reading at [Parse].
package gitleaks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

// Config is what a file, with those that it extends, says.
type Config struct {
	Rules    []rules.Rule
	Tags     map[string][]string // rule → what the file calls it
	Warnings []string            // of keys that mean nothing to us, and the like

	silent  map[string]bool // rules that others need, and that are not told themselves
	commits []commitAllow
	global  []globalAllow
}

// Sources is where a file may take rules from.
type Sources struct {
	Default []rules.Rule // of extend.useDefault

	// Read returns the file of extend.path.
	Read func(path string) ([]byte, error)
}

// maxExtends is how many files may extend one another.
const maxExtends = 8

// Parse reads a file. The error names the rule and the line; what gitleaks would
// ignore, too, is told in Warnings.
func Parse(data []byte, from Sources) (*Config, error) {
	c := &Config{Tags: map[string][]string{}, silent: map[string]bool{}}
	if err := c.read(data, from, 0); err != nil {
		return nil, err
	}
	c.applyGlobal()
	if len(c.Rules) == 0 {
		c.warn("there are no rules, so nothing is looked for: add [extend] with useDefault = true")
	}
	return c, nil
}

// Drops says whether a finding does not count: its commit is allowed, or its rule is
// there for others only.
func (c *Config) Drops(f scan.Finding) bool {
	return c.silent[f.RuleID] || slices.ContainsFunc(c.commits, func(a commitAllow) bool { return a.allows(f) })
}

func (c *Config) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// file is a file as it stands. Package toml takes keys in any case.
type file struct {
	Title       string
	Description string
	MinVersion  string
	Extend      struct {
		Path          string
		URL           string
		UseDefault    bool
		DisabledRules []string
	}
	Allowlist  *allowlist
	Allowlists []allowlist
	Rules      []fileRule
}

type fileRule struct {
	ID          string
	Description string
	Path        string
	Regex       string
	SecretGroup int
	Entropy     float64
	Keywords    []string
	Tags        []string
	SkipReport  bool
	Allowlist   *allowlist
	Allowlists  []allowlist
	Required    []struct {
		ID            string
		WithinLines   *int
		WithinColumns *int
	}
}

func (c *Config) read(data []byte, from Sources, depth int) error {
	var f file
	meta, err := toml.Decode(string(data), &f)
	var syntax toml.ParseError
	if errors.As(err, &syntax) && depth > 0 { // a file may name any other, whose text is not to be told
		return fmt.Errorf("line %d: not TOML", syntax.Position.Line)
	}
	if err != nil {
		return err
	}
	for _, key := range meta.Undecoded() {
		c.warn("unknown key %q", key)
	}
	if err := c.extend(&f, from, depth); err != nil {
		return err
	}
	text := source(data)
	for i := range f.Rules {
		if err := c.addRule(&f.Rules[i], i, text, f.Extend.UseDefault); err != nil {
			return err
		}
	}
	return c.readGlobal(&f, text)
}

// extend begins with the rules of another file, or ours.
func (c *Config) extend(f *file, from Sources, depth int) error {
	e := f.Extend
	switch {
	case e.UseDefault && e.Path != "":
		return errors.New("extend: useDefault and path exclude each other")
	case e.UseDefault:
		c.Rules = slices.Clone(from.Default)
	case e.Path != "" && depth == maxExtends:
		return fmt.Errorf("extend: more than %d files extend one another", maxExtends)
	case e.Path != "":
		data, err := from.Read(e.Path)
		if err != nil {
			return fmt.Errorf("extend: %w", err)
		}
		if err := c.read(data, from, depth+1); err != nil {
			return fmt.Errorf("extend %s: %w", e.Path, err)
		}
	}
	if e.URL != "" {
		c.warn("extend.url is not followed")
	}
	for _, id := range e.DisabledRules {
		found := c.named(id, e.UseDefault)
		if len(found) == 0 {
			c.warn("disabledRules: there is no rule %q", id)
		}
		c.Rules = slices.DeleteFunc(c.Rules, func(r rules.Rule) bool { return slices.Contains(found, r.ID) })
	}
	return nil
}

// genericRule is gitleaks' one rule for what is assigned to a name that tells.
const genericRule = "generic-api-key"

// named are the ids of the rules that an id of a file stands for: itself, and of the
// defaults those that go by the name of what is assigned for gitleaks' generic rule.
func (c *Config) named(id string, defaults bool) []string {
	var ids []string
	for _, r := range c.Rules {
		if r.ID == id || (defaults && id == genericRule && (r.Parser == rules.NamedPassword || r.Parser == rules.NamedSecret)) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func (c *Config) rule(id string) *rules.Rule {
	if i := slices.IndexFunc(c.Rules, func(r rules.Rule) bool { return r.ID == id }); i >= 0 {
		return &c.Rules[i]
	}
	return nil
}

// source is the text of a file, for the lines of errors.
type source []byte

// line is where the first of the texts stands that stands somewhere, or nothing.
func (s source) line(texts ...string) string {
	for _, text := range texts {
		text, _, _ = strings.Cut(strings.TrimLeft(text, "\n"), "\n")
		if text == "" {
			continue
		}
		if before, _, ok := strings.Cut(string(s), text); ok {
			return fmt.Sprintf("line %d: ", strings.Count(before, "\n")+1)
		}
	}
	return ""
}
