package policy

import "strings"

// unlikely is a segment, or the rest of one, that no rule names: it stands for
// all that rules leave open.
const unlikely = "\x00"

// AnyBelow says whether anything at all may be done with the path prefix or with
// any path that begins with it: whether the caller may know of a mount.
//
// It tries one path for each rule that could match there, so it never says yes
// without a path that proves it.
func (a *ACL) AnyBelow(prefix string) bool {
	if a == nil {
		return false
	}
	prefix = strings.TrimLeft(prefix, "/")
	if a.root || a.capabilities(prefix).grants() {
		return true
	}
	for path, r := range a.exact {
		if strings.HasPrefix(path, prefix) && r.can.grants() {
			return true
		}
	}
	for w := range a.wild.all() {
		if w.rule.can.grants() && a.anyOf(w, prefix) {
			return true
		}
	}
	return false
}

// anyOf is AnyBelow for what w matches. A path that w matches may be another
// rule's all the same. That rule counts segments, as "+" does, or it names what
// prefix names: so paths of each depth are tried.
func (a *ACL) anyOf(w *wildcard, prefix string) bool {
	path, ok := w.below(prefix)
	if !ok {
		return false
	}
	for range a.wild.depth + 1 {
		if a.capabilities(path).grants() {
			return true
		}
		if !w.glob {
			return false
		}
		path += "/" + unlikely
	}
	return false
}

// below returns a path that begins with prefix and matches the pattern, if there
// is one.
func (p *pattern) below(prefix string) (string, bool) {
	if p.segments != nil {
		return p.segmentsBelow(prefix)
	}
	switch {
	case strings.HasPrefix(p.text, prefix):
		return p.text + unlikely, true
	case strings.HasPrefix(prefix, p.text):
		return prefix + unlikely, true
	}
	return "", false
}

// segmentsBelow is below for a pattern with "+". The last segment of prefix may
// be the beginning of one.
func (p *pattern) segmentsBelow(prefix string) (string, bool) {
	given := strings.Split(prefix, "/")
	whole := len(given) - 1 // segments of prefix that have ended
	path := make([]string, len(p.segments))
	for i, want := range p.segments {
		have := ""
		if i < len(given) {
			have = given[i]
		}
		openEnd := p.glob && i == len(p.segments)-1
		switch {
		case openEnd && i <= whole && strings.HasPrefix(have, want):
			return prefix + unlikely, true
		case i < whole && (want == "+" || want == have):
			path[i] = have
		case i < whole:
			return "", false
		case want == "+":
			path[i] = have + unlikely
		case strings.HasPrefix(want, have):
			path[i] = want
		default:
			return "", false
		}
	}
	if len(given) > len(path) {
		return "", false
	}
	found := strings.Join(path, "/")
	if p.glob {
		found += unlikely
	}
	return found, true
}
