package core_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Whatever a store does in the middle of an operation: when it works again, the
// operation has happened or has not, nothing is half done, what was answered
// stands, a restart shows the same, and a second attempt brings it about.
func TestNothingIsHalfDoneWhateverTheStoreDoes(t *testing.T) {
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for _, how := range breakages {
				t.Run(how.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { o.survive(t, how) })
				})
			}
		})
	}
}

// each is how many calls are tried one by one; later ones are much alike, as of
// reading a table, and are tried ever further apart.
const each = 32

// survive does the operation on ever new servers, whose stores break one call
// later each, until it needs no more calls.
func (o operation) survive(t *testing.T, how breakage) {
	model, made := o.model(t), time.Now()
	defer func() { model.end() }()
	before, after := o.undisturbed(model.copied())
	for n := 1; ; n += 1 + n/each {
		trial := fmt.Sprintf("call %d", n)
		if time.Since(made) > fresh {
			model.end()
			model, made = o.model(t), time.Now()
		}
		s := model.copied()
		s.disk.countTable(o.background)
		s.disk.breakAt(n, how)
		failure := o.do(s)
		if !s.disk.lift() {
			if failure != nil || n == 1 {
				t.Errorf("nothing broke before call %d: %v", n, failure)
			}
			s.end()
			return
		}
		if how.err == storage.ErrConflict && failure != nil && !(how.stays && errors.Is(failure, logical.ErrConflict)) {
			t.Errorf("%s: a conflict ended with: %v", trial, failure)
		}
		if how.dead {
			s.comeBack(restarted)
		}
		s.settle()
		got := o.see(s)
		if got != before && got != after || failure == nil && got != after {
			t.Errorf("%s ended with %v and is half done:\n  %s\nbefore:\n  %s\nafter:\n  %s", trial, failure, got, before, after)
		}
		s.comeBack(comeback(n%2 == 0))
		if again := o.see(s); again != got {
			t.Errorf("%s: a restart changes\n  %s\nto\n  %s", trial, got, again)
		}
		o.again(t, s, trial, got == after, after)
		s.end()
		if t.Failed() {
			return
		}
	}
}

// fresh is how long a model is used: what has been prepared must not expire, and
// its events not be pruned.
const fresh = event.Retention / 2

// model returns a server on which all is prepared for the operation.
func (o operation) model(t *testing.T) *site {
	s := newSite(t)
	o.prepare(s)
	return s
}

// undisturbed returns what is seen before and after the operation if nothing
// breaks.
func (o operation) undisturbed(s *site) (before, after string) {
	s.t.Helper()
	defer s.end()
	s.settle()
	before = o.see(s)
	if err := o.do(s); err != nil {
		s.t.Fatalf("undisturbed: %v", err)
	}
	s.settle()
	if after = o.see(s); before == after {
		s.t.Fatalf("nothing is seen of it: %s", after)
	}
	return before, after
}

// again attempts the operation once more.
func (o operation) again(t *testing.T, s *site, trial string, done bool, after string) {
	t.Helper()
	err := o.do(s)
	switch {
	case done && o.once != nil:
		if !errors.Is(err, o.once) {
			t.Errorf("%s: done once more: %v, want %v", trial, err, o.once)
		}
	case err != nil:
		t.Errorf("%s: attempted once more: %v", trial, err)
	}
	s.settle()
	if got := o.see(s); got != after && !(done && o.adds) {
		t.Errorf("%s: after one more attempt:\n  %s\nwant:\n  %s", trial, got, after)
	}
}

// see is all that can be seen of the operation.
func (o operation) see(s *site) string {
	all := []string{s.rows()}
	if o.background != "" {
		all[0] = events.ReplaceAllString(all[0], "")
	}
	for _, path := range o.reads {
		all = append(all, s.shown(logical.Read, path))
	}
	for _, path := range o.lists {
		all = append(all, s.shown(logical.List, path))
	}
	if o.more != nil {
		all = append(all, o.more(s))
	}
	if len(o.tokens) > 0 {
		all = append(all, s.alive(o.tokens...))
	}
	return unique.ReplaceAllString(strings.Join(all, "\n  "), `"…"`)
}

// unique is what differs each time: times, ids and accessors.
var unique = regexp.MustCompile(
	`"\d{4}-\d\d-\d\dT[^"]*"|"[0-9a-f]{8}-[0-9a-f]{4}-[^"]*"|"[a-z_]+_[0-9a-z]{8}"|"(?:pw-)?[0-9A-Za-z]{24,26}"`)

// events is how many there are.
var events = regexp.MustCompile(`event: \d+, `)

func (s *site) end() {
	s.t.Helper()
	if err := errors.Join(s.Close(), s.disk.Store.Close()); err != nil {
		s.t.Error(err)
	}
}
