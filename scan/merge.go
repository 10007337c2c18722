package scan

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/cofferhq/coffer/scan/rules"
)

// piece is what was found in one part of a stream, and what the next part needs
// to know of it.
type piece struct {
	offset  int64 // of the first byte of the text that the spans are of
	core    span
	found   []located
	lines   int   // line ends in the core
	lastEnd int64 // offset of the core's last line end, or -1
}

// located is a raw finding with its places, as far as the piece knows them: lines
// counted from the beginning of the core, columns zero if the line began before.
type located struct {
	raw
	start, end Position
	match      Secret
}

func newPiece(found []raw, b []byte, core span, offset int64) *piece {
	p := &piece{offset: offset, core: core, lines: bytes.Count(b[core.start:core.end], []byte("\n")), lastEnd: -1}
	if i := bytes.LastIndexByte(b[core.start:core.end], '\n'); i >= 0 {
		p.lastEnd = offset + int64(core.start+i)
	}
	slices.SortStableFunc(found, func(a, b raw) int { return cmp.Compare(a.secret.start, b.secret.start) })
	at, line := core.start, 0
	for _, f := range found {
		if f.secret.start >= at { // each line end is counted once
			line += bytes.Count(b[at:f.secret.start], []byte("\n"))
			at = f.secret.start
		}
		l := located{raw: f, start: p.position(b, f.secret.start, at, line), end: p.position(b, f.secret.end, at, line)}
		l.match = NewSecret(string(b[f.match.start:min(f.match.end, f.match.start+maxMatch)]))
		p.found = append(p.found, l)
	}
	return p
}

// maxMatch bounds what a finding shows of its surroundings.
const maxMatch = 1 << 10

// position tells where at is; known is a place with its line.
func (p *piece) position(b []byte, at, known, line int) Position {
	pos := Position{Offset: p.offset + int64(at), Line: line}
	if at >= known {
		pos.Line += bytes.Count(b[known:at], []byte("\n"))
	} else {
		pos.Line -= bytes.Count(b[at:known], []byte("\n"))
	}
	if i := bytes.LastIndexByte(b[:at], '\n'); i >= 0 || p.offset == 0 {
		pos.Column = at - i
	}
	return pos
}

// merger puts the pieces of one stream together: it numbers lines, and decides
// between findings that overlap.
type merger struct {
	scanner *Scanner
	place   *place
	decoded []string // what was undone before the text could be searched
	report  func(Finding)
	toFile  func(int64) int64 // offset in the text → in the file; nil: the same

	awaiting []located             // whose rules ask for others near by
	places   map[string][]Position // of findings that rules ask for, by rule

	pending []located
	lines   int   // before the next piece
	lastEnd int64 // offset of the last line end before the next piece, or -1
}

func newMerger(s *Scanner, p *place, report func(Finding)) *merger {
	return &merger{scanner: s, place: p, report: report, lastEnd: -1, places: map[string][]Position{}}
}

// add takes the next piece, in order.
func (m *merger) add(p *piece) {
	for _, l := range p.found {
		l.start, l.end = m.complete(l.start), m.complete(l.end)
		m.pending = append(m.pending, l)
	}
	m.lines += p.lines
	if p.lastEnd >= 0 {
		m.lastEnd = p.lastEnd
	}
	// What later pieces find begins after this.
	m.flush(p.offset + int64(p.core.end) - behind)
}

func (m *merger) complete(pos Position) Position {
	if pos.Line += m.lines + 1; pos.Column == 0 {
		pos.Column = int(pos.Offset - m.lastEnd)
	}
	return pos
}

func (m *merger) close() {
	m.flush(1 << 62)
	m.release(len(m.awaiting))
}

// maxAwaiting bounds the findings of a file that wait for others near by, and the
// places of those others. A file with more has its company close at hand, or none.
const maxAwaiting = 1 << 10

// await keeps l until what its rule asks for can have been seen.
func (m *merger) await(l *located) {
	if m.awaiting = append(m.awaiting, *l); len(m.awaiting) > maxAwaiting {
		m.release(maxAwaiting / 2)
	}
}

// release reports those of the first n that wait which have company, and forgets
// the others.
func (m *merger) release(n int) {
	for i := range m.awaiting[:n] {
		if l := &m.awaiting[i]; m.hasCompany(l) {
			m.report(m.finding(l))
		}
	}
	m.awaiting = slices.Delete(m.awaiting, 0, n)
}

// remember keeps where a finding stands that others ask for: the first, for those
// who want any in the file, and the last ones.
func (m *merger) remember(id string, at Position) {
	places := append(m.places[id], at)
	if len(places) > 2*maxAwaiting {
		places = slices.Delete(places, 1, maxAwaiting)
	}
	m.places[id] = places
}

// flush reports what no finding that begins at safe or later can overlap.
func (m *merger) flush(safe int64) {
	slices.SortStableFunc(m.pending, func(a, b located) int { return cmp.Compare(a.start.Offset, b.start.Offset) })
	for len(m.pending) > 0 {
		n, end := 1, m.pending[0].end.Offset
		for n < len(m.pending) && m.pending[n].start.Offset < end {
			end = max(end, m.pending[n].end.Offset)
			n++
		}
		if end > safe {
			return
		}
		m.settle(m.pending[:n])
		m.pending = m.pending[n:]
	}
	m.pending = nil
}

// settle reports the best of findings of which each overlaps another.
func (m *merger) settle(group []located) {
	if len(group) > 1 {
		slices.SortStableFunc(group, func(a, b located) int {
			return cmp.Or(
				cmp.Compare(rank(&b), rank(&a)), cmp.Compare(b.score, a.score), cmp.Compare(a.rule.order, b.rule.order),
				cmp.Compare(a.start.Offset, b.start.Offset), cmp.Compare(b.end.Offset, a.end.Offset),
			)
		})
	}
	var kept []*located
	for i := range group {
		l := &group[i]
		if !slices.ContainsFunc(kept, func(k *located) bool {
			return l.start.Offset < k.end.Offset && k.start.Offset < l.end.Offset
		}) {
			kept = append(kept, l)
		}
	}
	slices.SortFunc(kept, func(a, b *located) int { return cmp.Compare(a.start.Offset, b.start.Offset) })
	for _, l := range kept {
		if l.score < m.scanner.opts.Threshold {
			continue
		}
		if id := l.rule.data.ID; m.scanner.asked[id] {
			m.remember(id, l.start)
		}
		switch {
		case l.allowed && !m.scanner.opts.IgnoreAllow:
		case len(l.rule.data.Near) > 0:
			m.await(l)
		default:
			m.report(m.finding(l))
		}
	}
}

// hasCompany says whether all that the rule of l asks for stands near by.
func (m *merger) hasCompany(l *located) bool {
	for _, near := range l.rule.data.Near {
		if !slices.ContainsFunc(m.places[near.ID], func(p Position) bool {
			return (near.Lines == 0 || max(p.Line-l.start.Line, l.start.Line-p.Line) <= near.Lines) &&
				(near.Columns == 0 || max(p.Column-l.start.Column, l.start.Column-p.Column) <= near.Columns)
		}) {
			return false
		}
	}
	return true
}

// rank puts what is proved, either way, before what is likely, and what an issuer's
// form tells before what a name does.
func rank(l *located) int {
	switch {
	case l.checked != unchecked:
		return 2
	case l.rule.data.Parser != rules.NamedPassword && l.rule.data.Parser != rules.NamedSecret && l.score >= DefaultThreshold:
		return 1
	}
	return 0
}

func (m *merger) finding(l *located) Finding {
	f := Finding{
		RuleID: l.rule.data.ID, Description: l.rule.data.Description, Severity: l.rule.data.Severity, Path: m.place.path,
		Start: l.start, End: l.end, Secret: NewSecret(l.text), Match: l.match, Line: NewSecret(l.line), Name: l.name,
		Entropy: entropy(l.text), Confidence: math.Round(l.score*1000) / 1000, Reasons: l.reasons, Checked: l.checked == checkedRight,
		Decoded: append(slices.Clone(m.decoded), l.decoded...),
	}
	if m.toFile != nil {
		f.Start.Offset, f.End.Offset = m.toFile(f.Start.Offset), m.toFile(f.End.Offset)
	}
	return f
}
