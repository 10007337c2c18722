// Package scan finds secrets in text and files: tokens of known issuers by their
// shape, and others by the names and places that give them away. It reads a
// stream of any size in pieces, undoes encodings and opens archives, and says of
// each finding how sure it is, and why.
//
// What it looks for is data, in package scan/rules. Where it looks, package
// scan/source decides: folders, and the histories of git repositories.
//
// Start reading at [Scanner]; the order of work is in [Scanner.Scan].
package scan

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cofferhq/coffer/scan/rules"
)

// DefaultThreshold is the confidence from which findings are reported.
const DefaultThreshold = 0.5

// Options say what a scanner does. The zero value is a good start.
type Options struct {
	Rules     []rules.Rule // nil: [rules.All]
	Threshold float64      // least confidence; zero: DefaultThreshold; negative: everything
	Decode    int          // how many encodings are undone, one in another; zero: 2; negative: none
	Archives  int          // how many archives are opened, one in another; zero: 3; negative: none
	Workers   int          // zero: as many as there are processors

	// MaxExpanded bounds the bytes that one archive, with all in it, may become. Zero:
	// 512 MiB. MaxMember bounds a member that has to be held in memory, which is an
	// archive in an archive. Zero: 32 MiB.
	MaxExpanded, MaxMember int64

	IgnoreAllow bool // report what a comment on its line allows, too
}

// Scanner finds secrets. It does not change, and is safe for concurrent use.
type Scanner struct {
	opts  Options
	rules []*rule
	table *table
	whole []*rule         // those without keywords
	asked map[string]bool // ids of rules that others want near by

	buffers sync.Pool // of streams
}

// New returns a scanner. The error says what is wrong with a rule, other than its
// expressions: they are compiled when they are needed, and [Scanner.Check] tries
// them all.
func New(o Options) (*Scanner, error) {
	if o.Rules == nil {
		o.Rules = rules.All()
	}
	o.Threshold = cmp.Or(o.Threshold, DefaultThreshold)
	o.Decode, o.Archives = cmp.Or(o.Decode, 2), cmp.Or(o.Archives, 3)
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	o.MaxExpanded, o.MaxMember = cmp.Or(o.MaxExpanded, 512<<20), cmp.Or(o.MaxMember, 32<<20)
	s := &Scanner{opts: o, asked: map[string]bool{}}
	seen := make(map[string]bool, len(o.Rules))
	for i := range o.Rules {
		r := &rule{data: o.Rules[i], order: i}
		if err := checkRule(&r.data); err != nil {
			return nil, err
		}
		if seen[r.data.ID] {
			return nil, fmt.Errorf("rule %q: there are two of this id", r.data.ID)
		}
		seen[r.data.ID] = true
		s.rules = append(s.rules, r)
		for _, near := range r.data.Near {
			s.asked[near.ID] = true
		}
		if len(r.data.Keywords) == 0 {
			s.whole = append(s.whole, r)
		}
	}
	s.table = newTable(s.rules)
	return s, nil
}

// Check compiles all rules, and returns what is wrong with them.
func (s *Scanner) Check() error {
	var errs []error
	for _, r := range s.rules {
		r.ready()
		errs = append(errs, r.broken)
	}
	return errors.Join(errs...)
}

// Bytes returns what is found in data, which is at path. It opens no archives.
func (s *Scanner) Bytes(path string, data []byte) []Finding {
	var found []Finding
	m := newMerger(s, placeOf(path), func(f Finding) { found = append(found, f) })
	if text, ok := utf16Text(data); ok {
		data = text
		m.decoded = []string{"utf-16"}
	}
	m.place.look(data[:min(len(data), sniffed)])
	m.add(s.piece(m.place, data, span{0, len(data)}, 0))
	m.close()
	return found
}

// sniffed is how much of a file tells what it is.
const sniffed = 8 << 10

// piece searches b for what begins in core, a part of it; b begins at offset.
func (s *Scanner) piece(p *place, b []byte, core span, offset int64) *piece {
	j := &job{scanner: s, place: p, b: b, depth: s.opts.Decode}
	j.run(core.start, core.end)
	for _, r := range s.whole {
		if r.appliesTo(p) {
			j.whole(r, core, offset)
		}
	}
	return newPiece(j.found, b, core, offset)
}

// whole tries a rule without keywords: an expression everywhere, a parser where a
// text begins.
func (j *job) whole(r *rule, core span, offset int64) {
	switch {
	case r.data.Parser != "" && offset == 0 && core.start == 0:
		readerOf(r.data.Parser)(&view{j: j, r: r, b: j.b}, 0, 0)
	case r.data.Pattern != "" && r.ready():
		j.patternIn(r, max(0, core.start-behind), min(len(j.b), core.end+ahead), core, -1)
	}
}
