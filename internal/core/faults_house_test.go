package core_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/uuid"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/builtin"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/source/generate"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/sys"
)

// site is a server without its edges, on a store that can break, in the time of
// a synctest bubble.
type site struct {
	*core.Core
	t     *testing.T
	disk  *breakable
	key   secret.Bytes      // the only share
	notes map[string]string // what an operation keeps for later: tokens, ids

	ahead   atomic.Int64 // of the clock, before the bubble's time
	began   time.Time
	village *village     // a system of its own, as it was left
	sources source.Kinds // of rotations; none: that, and chance
	rotated func(name string, e *rotate.Evidence)
}

func newSite(t *testing.T, sources ...*source.Kind) *site {
	t.Helper()
	s := &site{t: t, disk: &breakable{Store: inmem.New()}, notes: map[string]string{}, sources: sources, began: time.Now(), village: newVillage()}
	s.Core = s.newCore()
	result, err := s.Init(t.Context(), custody.Params{Shares: 1, Threshold: 1}, rootText)
	if err != nil {
		t.Fatal(err)
	}
	s.key = result.Keys[0]
	s.open()
	return s
}

// copied returns another server on a copy of the store of s, which is as s was
// left.
func (s *site) copied() *site {
	s.t.Helper()
	next := &site{t: s.t, disk: &breakable{Store: inmem.New()}, notes: maps.Clone(s.notes), key: s.key, began: s.began, sources: s.sources, village: s.village.copied()}
	snap, err := s.disk.Store.Snapshot(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer snap.Close()
	var ops []storage.Op
	for e, err := range snap.Range(s.t.Context(), "", "") {
		if err != nil {
			s.t.Fatal(err)
		}
		ops = append(ops, storage.Put(e.Key, e.Value))
	}
	for some := range slices.Chunk(ops, storage.MaxOps) {
		if _, err := next.disk.Store.Apply(s.t.Context(), nil, some); err != nil {
			s.t.Fatal(err)
		}
	}
	next.Core = next.newCore()
	next.open()
	return next
}

// newCore returns a sealed core on the store of s.
func (s *site) newCore() *core.Core {
	b := barrier.New(s.disk)
	passwords := sys.NewPasswordPolicies(b, core.RootNamespace).Policy
	sources := s.sources
	if len(sources) == 0 {
		sources = source.Kinds{generate.Kind(passwords), s.village.kind()}
	}
	return core.New(core.Options{
		Store: s.disk, Barrier: b, Keeper: custody.New(s.disk, b, nil), Kinds: builtin.Kinds(passwords),
		Log: slog.New(slog.DiscardHandler), Now: s.now, Steady: func() time.Duration { return time.Since(s.began) },
		Sources: sources, Rotated: s.rotated,
		System: func(c *core.Core) []logical.Kind {
			return sys.Kinds(sys.Deps{
				House: c, Store: b, Tokens: c.Tokens(), Leases: c.Leases(), Policies: c.Policies(),
				Devices: c.Devices(), Barrier: b,
				Host:    func() (any, error) { return nil, nil },
				Metrics: func(string) (string, []byte, error) { return "text/plain", nil, nil },
			})
		},
	})
}

// now is the time by the clock of the site.
func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())).UTC() }

func (s *site) open() {
	s.t.Helper()
	if _, err := s.Unseal(s.t.Context(), s.key.Reveal()); err != nil {
		s.t.Fatal(err)
	}
}

// How a server comes back.
type comeback bool

const (
	unsealed  comeback = false // it was sealed, and is unsealed
	restarted comeback = true  // it is another process
)

func (s *site) comeBack(how comeback) {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
	if how == restarted {
		s.Core = s.newCore()
	}
	s.open()
}

// soon is how far ahead the due queue holds what an operation may have left to
// it; what is due later was meant to be.
const soon = 150 * time.Second

// settle lets time pass until nothing is due soon.
func (s *site) settle() {
	s.t.Helper()
	const lookEvery, enough = 2 * time.Second, 10 * time.Minute
	for waited := time.Duration(0); waited < enough; waited += lookEvery {
		time.Sleep(lookEvery)
		if !s.dueSoon() {
			return
		}
	}
	s.t.Errorf("after %s there still is something due soon: %s", enough, s.rows())
}

func (s *site) dueSoon() (found bool) {
	s.t.Helper()
	table := storage.Plain("due")
	err := storage.View(s.t.Context(), s.Barrier, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(s.t.Context(), table, "") {
			if err != nil {
				return err
			}
			at, _, err := storage.Cut(e.Key[len(table):])
			found = err == nil && at.Number() < uint64(time.Now().Add(soon).UnixNano())
			return err
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// call is one request of an operation.
type call struct {
	token string // empty: the root token
	op    logical.Op
	path  string
	body  string
	wrap  time.Duration
}

// do makes a call that counts for what breaks.
func (s *site) do(c call) (*core.Answer, error) {
	request := &core.Call{
		ID: uuid.New(), Op: c.op, Path: c.path, Token: c.token, Now: s.now(),
		Remote: netip.MustParseAddrPort("192.0.2.1:5000"), WrapTTL: c.wrap,
	}
	if c.token == "" {
		request.Token = rootText
	}
	if c.body != "" {
		request.Body = json.RawMessage(c.body)
	}
	return s.Handle(marked(s.t.Context()), request)
}

// must is do for what has to succeed.
func (s *site) must(op logical.Op, path, body string) *core.Answer {
	s.t.Helper()
	a, err := s.do(call{op: op, path: path, body: body})
	if err != nil {
		s.t.Fatalf("%s %s: %v", op, path, err)
	}
	return a
}

// field returns a field of an answer's data as text.
func (s *site) field(a *core.Answer, name string) string {
	s.t.Helper()
	var data map[string]any
	if err := json.Unmarshal(a.Data, &data); err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprint(data[name])
}

// shown is what a read or a list answers, or the error.
func (s *site) shown(op logical.Op, path string) string {
	a, err := s.do(call{op: op, path: path})
	switch {
	case err != nil:
		return path + ": " + err.Error()
	case a.NotFound:
		return path + ": gone"
	}
	return path + ": " + string(a.Data)
}

// alive says which of the tokens with these names work.
func (s *site) alive(names ...string) string {
	var all []string
	for _, name := range names {
		if _, err := s.do(call{token: s.notes[name], op: logical.Read, path: "auth/token/lookup-self"}); err == nil {
			all = append(all, name)
		}
	}
	return "alive: " + strings.Join(all, " ")
}

// rows counts what is stored, by table.
func (s *site) rows() string {
	s.t.Helper()
	n := map[string]int{}
	err := storage.View(s.t.Context(), s.Barrier, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(s.t.Context(), "", "") {
			if err != nil {
				return err
			}
			table, rest, err := storage.Cut(e.Key)
			if err != nil {
				return err
			}
			name := table.Text()
			if name == "barrier" {
				continue // its own bookkeeping, which goes on all the time
			}
			if name == "due" {
				// Items of one kind are alike but for their time.
				_, rest, _ = storage.Cut(rest)
				kind, _, _ := storage.Cut(rest)
				name += " " + kind.Text()
			}
			n[name]++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		lines = append(lines, fmt.Sprintf("%s: %d", name, n[name]))
	}
	return "rows: " + strings.Join(lines, ", ")
}
