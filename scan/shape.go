package scan

import (
	"regexp"
	"regexp/syntax"
)

// shape matches the subset of regular expressions that tokens need: classes and
// literals with counts, groups, alternatives. It is anchored where it is tried,
// takes the longest it can of each part, and gives back if what follows does not
// match, within a budget.
type shape struct {
	items  []item
	regexp *regexp.Regexp // in place of items, for what they can't say
}

type itemKind uint8

const (
	itemClass itemKind = iota // between min and max bytes of class
	itemAlt                   // one of alts
	itemOpen                  // the group begins
	itemClose                 // and ends
	itemEnd                   // the text ends
)

type item struct {
	kind     itemKind
	class    *[256]bool
	min, max int
	alts     [][]item
}

// maxUnroll bounds the items that counted groups become.
const maxUnroll = 256

// unlimited stands for a count without a maximum.
const unlimited = 1 << 20

func compileShape(expr string) (*shape, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	c := &shapeCompiler{}
	if items, ok := c.items(tree); ok {
		return &shape{items: items}, nil
	}
	return compileRegexpShape(expr)
}

func compileRegexpShape(expr string) (*shape, error) {
	re, err := regexp.Compile(`\A(?:` + expr + `)`)
	return &shape{regexp: re}, err
}

type shapeCompiler struct{ used int }

// items turns a parsed expression into items, if they can say the same.
func (c *shapeCompiler) items(re *syntax.Regexp) ([]item, bool) {
	if c.used++; c.used > maxUnroll {
		return nil, false
	}
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText:
		return nil, true
	case syntax.OpEndText:
		return []item{{kind: itemEnd}}, true
	case syntax.OpLiteral:
		var out []item
		for _, r := range re.Rune {
			if r > 0x7f {
				return nil, false
			}
			class := new([256]bool)
			class[r] = true
			if re.Flags&syntax.FoldCase != 0 {
				class[lower(byte(r))] = true
				if 'a' <= lower(byte(r)) && lower(byte(r)) <= 'z' {
					class[lower(byte(r))&^0x20] = true
				}
			}
			out = append(out, item{class: class, min: 1, max: 1})
		}
		return out, true
	case syntax.OpCharClass:
		class, ok := byteClass(re.Rune)
		return []item{{class: class, min: 1, max: 1}}, ok
	case syntax.OpCapture:
		inner, ok := c.items(re.Sub[0])
		return append(append([]item{{kind: itemOpen}}, inner...), item{kind: itemClose}), ok && re.Cap == 1
	case syntax.OpConcat:
		return c.concat(re.Sub)
	case syntax.OpAlternate:
		return c.alternate(re.Sub)
	case syntax.OpStar:
		return c.repeat(re, 0, -1)
	case syntax.OpPlus:
		return c.repeat(re, 1, -1)
	case syntax.OpQuest:
		return c.repeat(re, 0, 1)
	case syntax.OpRepeat:
		return c.repeat(re, re.Min, re.Max)
	}
	return nil, false
}

func (c *shapeCompiler) concat(subs []*syntax.Regexp) ([]item, bool) {
	var out []item
	for _, sub := range subs {
		items, ok := c.items(sub)
		if !ok {
			return nil, false
		}
		out = append(out, items...)
	}
	return out, true
}

func (c *shapeCompiler) alternate(subs []*syntax.Regexp) ([]item, bool) {
	alt := item{kind: itemAlt}
	for _, sub := range subs {
		items, ok := c.items(sub)
		if !ok {
			return nil, false
		}
		alt.alts = append(alt.alts, items)
	}
	return []item{alt}, true
}

func (c *shapeCompiler) repeat(re *syntax.Regexp, least, most int) ([]item, bool) {
	if re.Flags&syntax.NonGreedy != 0 {
		return nil, false
	}
	inner, ok := c.items(re.Sub[0])
	if !ok {
		return nil, false
	}
	if most < 0 {
		most = unlimited
	}
	if len(inner) == 1 && inner[0].kind == itemClass && inner[0].min == 1 && inner[0].max == 1 {
		return []item{{class: inner[0].class, min: least, max: most}}, true
	}
	if c.used += most * len(inner); c.used > maxUnroll {
		return nil, false
	}
	var rest []item
	for range most - least { // (x(x(x)?)?)? for what may be missing
		rest = []item{{kind: itemAlt, alts: [][]item{append(inner[:len(inner):len(inner)], rest...), nil}}}
	}
	var out []item
	for range least {
		out = append(out, inner...)
	}
	return append(out, rest...), true
}

func byteClass(ranges []rune) (*[256]bool, bool) {
	class := new([256]bool)
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i] > 0x7f || ranges[i+1] > 0x7f {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			class[r] = true
		}
	}
	return class, true
}

// span is a piece of a text.
type span struct{ start, end int }

// match tries the shape at b[at:]. It returns where the match ends, and the group
// in it, or all if there is none.
func (s *shape) match(b []byte, at int) (end int, secret span, ok bool) {
	if s.regexp != nil {
		loc := s.regexp.FindSubmatchIndex(b[at:])
		if loc == nil {
			return 0, span{}, false
		}
		secret = span{at, at + loc[1]}
		if len(loc) > 2 && loc[2] >= 0 {
			secret = span{at + loc[2], at + loc[3]}
		}
		return at + loc[1], secret, true
	}
	m := shapeMatch{b: b, budget: 4 * maxUnroll, group: span{-1, -1}}
	end = m.run(s.items, nil, at)
	if end < 0 {
		return 0, span{}, false
	}
	if m.group.start < 0 || m.group.end < 0 {
		m.group = span{at, end}
	}
	return end, m.group, true
}

// shapeMatch is one try of a shape.
type shapeMatch struct {
	b      []byte
	budget int
	group  span
}

// following are the items that come after those of an alternative.
type following struct {
	items []item
	next  *following
}

// run returns where the items, and then the following ones, end; or -1.
func (m *shapeMatch) run(items []item, after *following, at int) int {
	for {
		if len(items) == 0 {
			if after == nil {
				return at
			}
			items, after = after.items, after.next
			continue
		}
		if m.budget--; m.budget < 0 {
			return -1
		}
		it := &items[0]
		switch it.kind {
		case itemEnd:
			if at != len(m.b) {
				return -1
			}
		case itemOpen:
			m.group.start = at
		case itemClose:
			m.group.end = at
		case itemAlt:
			for _, alt := range it.alts {
				if end := m.run(alt, &following{items[1:], after}, at); end >= 0 {
					return end
				}
			}
			return -1
		default:
			return m.class(it, items[1:], after, at)
		}
		items = items[1:]
	}
}

// class takes as many bytes of a class as there are, then fewer.
func (m *shapeMatch) class(it *item, rest []item, after *following, at int) int {
	n := 0
	for n < it.max && at+n < len(m.b) && it.class[m.b[at+n]] {
		n++
	}
	for ; n >= it.min; n-- {
		if end := m.run(rest, after, at+n); end >= 0 || m.budget < 0 {
			return end
		}
	}
	return -1
}
