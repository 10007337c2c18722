package gitleaks

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

// allowlist is one of a rule, or of all.
type allowlist struct {
	Description string
	Condition   string
	Commits     []string
	Paths       []string
	RegexTarget string
	Regexes     []string
	StopWords   []string
	TargetRules []string
}

// globalAllow is an exception that is not a rule's.
type globalAllow struct {
	rules.Allow
	targets  []string // rules; none: all, those of files that extend this one, too
	defaults bool     // the file extends our rules
}

// readGlobal reads the lists of a file that are not a rule's.
func (c *Config) readGlobal(f *file, text source) error {
	lists := f.Allowlists
	if f.Allowlist != nil {
		lists = append([]allowlist{*f.Allowlist}, lists...)
	}
	for i := range lists {
		a, err := lists[i].allow()
		if err != nil {
			return fmt.Errorf("%sallowlist %d: %w", text.line(slices.Concat(lists[i].Regexes, lists[i].Paths)...), i+1, err)
		}
		c.global = append(c.global, globalAllow{a, lists[i].TargetRules, f.Extend.UseDefault})
	}
	return nil
}

// applyGlobal gives the rules the exceptions that are not theirs alone.
func (c *Config) applyGlobal() {
	for _, g := range c.global {
		if len(g.targets) == 0 {
			for i := range c.Rules {
				c.allow(c.Rules[i].ID, []rules.Allow{g.Allow})
			}
		}
		for _, target := range g.targets {
			ids := c.named(target, g.defaults)
			if len(ids) == 0 {
				c.warn("targetRules: there is no rule %q", target)
			}
			for _, id := range ids {
				c.allow(id, []rules.Allow{g.Allow})
			}
		}
	}
}

// allowsOf are a rule's own lists.
func (c *Config) allowsOf(one *allowlist, more []allowlist) ([]rules.Allow, error) {
	if one != nil {
		more = append([]allowlist{*one}, more...)
	}
	var out []rules.Allow
	for i := range more {
		a, err := more[i].allow()
		if err != nil {
			return nil, err
		}
		if len(more[i].TargetRules) > 0 {
			c.warn("targetRules of a rule's own allowlist mean nothing")
		}
		out = append(out, a)
	}
	return out, nil
}

// allow adds exceptions to a rule, whose own list others may hold, too.
func (c *Config) allow(id string, more []rules.Allow) {
	r := c.rule(id)
	r.Allow = slices.Concat(r.Allow, more)
	for _, a := range more {
		if len(a.Commits) > 0 {
			c.commits = append(c.commits, newCommitAllow(id, a))
		}
	}
}

func (l *allowlist) allow() (rules.Allow, error) {
	a := rules.Allow{Description: l.Description, Paths: l.Paths, Patterns: l.Regexes, StopWords: l.StopWords}
	for _, id := range l.Commits {
		a.Commits = append(a.Commits, strings.ToLower(strings.TrimSpace(id)))
	}
	switch strings.ToUpper(l.Condition) {
	case "", "OR", "||":
	case "AND", "&&":
		a.All = true
	default:
		return a, fmt.Errorf("condition: want AND or OR, not %q", l.Condition)
	}
	switch strings.ToLower(l.RegexTarget) {
	case "", "secret":
	case "match":
		a.Target = rules.TargetMatch
	case "line":
		a.Target = rules.TargetLine
	default:
		return a, fmt.Errorf("regexTarget: want match, line or nothing, not %q", l.RegexTarget)
	}
	if len(a.Commits)+len(a.Paths)+len(a.Patterns)+len(a.StopWords) == 0 {
		return a, errors.New("want commits, paths, regexes or stopwords")
	}
	for _, expr := range slices.Concat(a.Paths, a.Patterns) {
		if _, err := parseExpr(expr); err != nil {
			return a, err
		}
	}
	return a, nil
}

// commitAllow is an exception that depends on the commit, which scanners do not
// know.
type commitAllow struct {
	rule            string
	allow           rules.Allow
	paths, patterns []*regexp.Regexp
}

func newCommitAllow(rule string, a rules.Allow) commitAllow {
	c := commitAllow{rule: rule, allow: a}
	if !a.All { // the others are alternatives, and the scanner's
		return c
	}
	for _, expr := range a.Paths {
		c.paths = append(c.paths, regexp.MustCompile(expr)) // allow has parsed it
	}
	for _, expr := range a.Patterns {
		c.patterns = append(c.patterns, regexp.MustCompile(expr))
	}
	return c
}

func (c *commitAllow) allows(f scan.Finding) bool {
	if f.RuleID != c.rule || f.Commit == nil || !slices.ContainsFunc(c.allow.Commits, func(id string) bool { return f.Commit.ID == id }) {
		return false
	}
	if !c.allow.All {
		return true
	}
	target := f.Secret
	switch c.allow.Target {
	case rules.TargetMatch:
		target = f.Match
	case rules.TargetLine:
		target = f.Line
	}
	secret := strings.ToLower(f.Secret.Reveal())
	return (len(c.paths) == 0 || anyMatches(c.paths, f.Path)) &&
		(len(c.patterns) == 0 || anyMatches(c.patterns, target.Reveal())) &&
		(len(c.allow.StopWords) == 0 || slices.ContainsFunc(c.allow.StopWords, func(w string) bool { return strings.Contains(secret, strings.ToLower(w)) }))
}

func anyMatches(exprs []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(exprs, func(e *regexp.Regexp) bool { return e.MatchString(text) })
}
