package gitleaks

import (
	"cmp"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan/rules"
)

// addRule adds the i-th rule of a file, or changes the one of the same id that the
// file extends.
func (c *Config) addRule(f *fileRule, i int, text source, defaults bool) error {
	if f.ID == "" && f.Description == "" && f.Regex == "" && f.Path == "" {
		c.warn("rule %d says nothing", i+1)
		return nil
	}
	if f.ID == "" {
		return fmt.Errorf("rule %d has no id", i+1)
	}
	fail := func(what string, near string, err error) error {
		return fmt.Errorf("%srule %q: %s: %w", text.line(near, `"`+f.ID+`"`, f.ID), f.ID, what, err)
	}
	if _, err := parseExpr(f.Path); err != nil {
		return fail("path", f.Path, err)
	}
	expr, err := parseExpr(f.Regex)
	if err != nil {
		return fail("regex", f.Regex, err)
	}
	if f.SecretGroup < 0 || (f.Regex != "" && f.SecretGroup > expr.MaxCap()) {
		return fail("secretGroup", f.Regex, fmt.Errorf("the expression has %d groups", expr.MaxCap()))
	}
	allow, err := c.allowsOf(f.Allowlist, f.Allowlists)
	if err != nil {
		return fail("allowlist", "", err)
	}
	ids := c.named(f.ID, defaults && f.Regex == "" && f.Path == "")
	switch {
	case len(ids) > 0:
	case f.Regex != "" || f.Path != "":
		c.Rules = append(c.Rules, rules.Rule{ID: f.ID, Description: f.ID, Base: 1})
		ids = []string{f.ID}
	case defaults:
		c.warn("%srule %q is none of coffer's own, and has neither regex nor path: it is left out", text.line(`"`+f.ID+`"`, f.ID), f.ID)
		return nil
	default:
		return fail("want", "", fmt.Errorf("regex or path"))
	}
	for _, id := range ids {
		if r := c.rule(id); f.Regex == "" && r.Pattern != "" {
			expr, _ = parseExpr(r.Pattern) // it is one that was taken
			if f.SecretGroup > expr.MaxCap() {
				return fail("secretGroup", "", fmt.Errorf("the expression has %d groups", expr.MaxCap()))
			}
		}
		f.change(c.rule(id), expr)
		c.allow(id, allow)
		c.Tags[id] = append(c.Tags[id], f.Tags...)
		if f.SkipReport {
			c.silent[id] = true
		}
	}
	return nil
}

// change gives r what f says.
func (f *fileRule) change(r *rules.Rule, expr *syntax.Regexp) {
	r.Description = cmp.Or(f.Description, r.Description)
	r.Path = cmp.Or(f.Path, r.Path)
	r.MinEntropy = cmp.Or(f.Entropy, r.MinEntropy)
	r.Keywords = slices.Concat(r.Keywords, lower(f.Keywords))
	slices.Sort(r.Keywords)
	r.Keywords = slices.Compact(r.Keywords)
	for _, near := range f.Required {
		n := rules.Near{ID: near.ID}
		if near.WithinLines != nil {
			n.Lines = max(1, *near.WithinLines) // for a scanner, zero is any number
		}
		if near.WithinColumns != nil {
			n.Columns = max(1, *near.WithinColumns)
		}
		r.Near = append(r.Near[:len(r.Near):len(r.Near)], n)
	}
	switch {
	case f.Regex != "":
		r.Token, r.Value, r.With, r.Parser, r.Checksum, r.Examples, r.Not = "", "", nil, "", "", nil, nil
		r.Pattern, r.Group, r.Base = f.Regex, f.SecretGroup, 1
		r.Before, r.After = window(expr)
	case r.Pattern != "" && f.SecretGroup > 0:
		r.Group = f.SecretGroup
	case r.Pattern == "" && r.Token == "" && r.Value == "" && r.Parser == "":
		r.Pattern, r.Keywords = anything, nil // the path alone tells
	}
	if r.Pattern != "" && r.Pattern != anything && !announced(r) {
		r.Keywords = nil
	}
	if len(r.Keywords) == 0 && len(r.Files) == 0 {
		r.Path = cmp.Or(r.Path, everyPath)
	}
}

const (
	anything  = `(?s)\A.` // of a file that its path makes a finding
	everyPath = `^`
)

// announced says whether the rule's expression itself has each of its keywords, so
// that one stands in every match. gitleaks asks only that one is in the file: rules
// for which that matters are tried on the whole of each.
func announced(r *rules.Rule) bool {
	low := strings.ToLower(r.Pattern)
	return !slices.ContainsFunc(r.Keywords, func(k string) bool { return len(k) < 3 || !strings.Contains(low, k) })
}

func lower(words []string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, strings.ToLower(w))
		}
	}
	return out
}

// parseExpr reads an expression as package regexp does (RE2).
func parseExpr(expr string) (*syntax.Regexp, error) { return syntax.Parse(expr, syntax.Perl) }

// The text around a keyword that an expression without an upper bound is tried on;
// margin is for what it wants to see beside its match.
const (
	boundBefore, boundAfter = 512, 8 << 10
	margin                  = 8
)

// window is how much text around a keyword can be part of a match.
func window(expr *syntax.Regexp) (before, after int) {
	n, bounded := longest(expr)
	if !bounded || n > boundAfter {
		return boundBefore, boundAfter
	}
	return min(n, 1000) + margin, n + margin
}

// longest is how many bytes a match has at most.
func longest(e *syntax.Regexp) (n int, bounded bool) {
	switch e.Op {
	case syntax.OpLiteral:
		return 4 * len(e.Rune), true
	case syntax.OpCharClass:
		if n := len(e.Rune); n > 0 && e.Rune[n-1] < 0x80 {
			return 1, true
		}
		return 4, true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 4, true
	case syntax.OpStar, syntax.OpPlus:
		return 0, false
	case syntax.OpRepeat:
		n, bounded = longest(e.Sub[0])
		return n * e.Max, bounded && e.Max >= 0
	case syntax.OpAlternate:
		bounded = true
		for _, sub := range e.Sub {
			m, ok := longest(sub)
			n, bounded = max(n, m), bounded && ok
		}
		return n, bounded
	}
	bounded = true
	for _, sub := range e.Sub {
		m, ok := longest(sub)
		n, bounded = n+m, bounded && ok
	}
	return n, bounded
}
