package policy

import (
	"errors"
	"strings"
)

// pattern is the path of a rule, taken apart.
type pattern struct {
	text     string   // without a leading slash and without the "*" of a glob
	glob     bool     // anything may follow text
	segments []string // of text, if a "+" among them matches any one segment; else nil
	plus     int      // segments that are "+"
}

var errPlusStar = errors.New("invalid use of wildcards: \"+*\" is forbidden")

// parsePattern reads the path of a rule. A "*" anywhere but at the end is a
// literal, and so is a "+" beside other characters of a segment.
func parsePattern(path string) (pattern, error) {
	path = strings.TrimPrefix(path, "/")
	if strings.Contains(path, "+*") {
		return pattern{}, errPlusStar
	}
	var p pattern
	p.text, p.glob = strings.CutSuffix(path, "*")
	// Vault takes any segment that begins with "+" for a reason to match by
	// segments. That matters for which of two rules wins.
	if path == "+" || strings.HasPrefix(path, "+/") || strings.Contains(path, "/+") {
		p.segments = strings.Split(p.text, "/")
		for _, s := range p.segments {
			if s == "+" {
				p.plus++
			}
		}
	}
	return p, nil
}

// exact says whether the pattern matches its own text only.
func (p *pattern) exact() bool { return !p.glob && p.segments == nil }

// key names the pattern: two rules with the same key are one.
func (p *pattern) key() string {
	if p.glob {
		return p.text + "*"
	}
	return p.text
}

// head returns what stands before the first wildcard.
func (p *pattern) head() string {
	if p.segments == nil {
		return p.text
	}
	return p.text[:strings.IndexByte(p.text, '+')]
}

// matches says whether path, which begins with the head, matches.
func (p *pattern) matches(path string) bool {
	if p.segments == nil {
		return p.glob || path == p.text
	}
	last := len(p.segments) - 1
	for i, want := range p.segments {
		have, rest, more := strings.Cut(path, "/")
		switch {
		case want == "+" || want == have:
		case i == last && p.glob && strings.HasPrefix(have, want):
			return true
		default:
			return false
		}
		if i == last {
			return p.glob || !more
		}
		if !more {
			return false
		}
		path = rest
	}
	return false
}
