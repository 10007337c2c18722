package token_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/token"
)

const ns = "root"

// world is a token store on a barrier, with a clock that stands still.
type world struct {
	*token.Store
	t     testing.TB
	under storage.Store // what the token store writes to
	keys  *barrier.Barrier
	now   time.Time
}

func newBarrier(t testing.TB) *barrier.Barrier {
	t.Helper()
	root := secret.New(make([]byte, barrier.RootKeyBytes))
	b := barrier.New(inmem.New())
	if err := b.Initialize(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Unseal(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func newWorld(t testing.TB) *world {
	b := newBarrier(t)
	return &world{Store: token.NewStore(b, b), t: t, under: b, keys: b, now: time.Date(2026, 5, 1, 12, 0, 0, 7, time.UTC)}
}

// limits are those of an imagined mount.
var limits = token.Limits{Default: time.Hour, Max: 24 * time.Hour}

// create makes a token of t and returns its text.
func (w *world) create(tok *token.Token, text string) string {
	w.t.Helper()
	text, err := w.tryCreate(tok, text)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) tryCreate(tok *token.Token, text string) (string, error) {
	if tok.Type == "" {
		tok.Type = logical.TokenService
	}
	tok.Namespace = ns
	if tok.Path == "" {
		tok.Path = "auth/token/create"
	}
	if tok.Created.IsZero() {
		tok.Grant(w.now, limits)
	}
	_, err := storage.Update(w.t.Context(), w.under, func(tx *storage.Tx) (err error) {
		text, err = w.Create(w.t.Context(), tx, tok, text)
		return err
	})
	return text, err
}

// child makes a token below the one with that id, and returns its id.
func (w *world) child(parent string) string {
	w.t.Helper()
	tok := &token.Token{Parent: parent, Orphan: parent == ""}
	w.create(tok, "")
	return tok.ID
}

// lives says whether the token with that id may be used.
func (w *world) lives(id string) bool {
	w.t.Helper()
	_, err := w.ByID(w.t.Context(), ns, id, w.now)
	if err != nil && err != token.ErrUnknown {
		w.t.Fatal(err)
	}
	return err == nil
}

// rows counts the rows of each table.
func rows(t testing.TB, s storage.Store) map[string]int {
	t.Helper()
	n := map[string]int{}
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(t.Context(), "", "") {
			if err != nil {
				return err
			}
			table, _, err := storage.Cut(e.Key)
			if err != nil {
				return err
			}
			if table.Text() != "dueclock" { // the queue's own
				n[table.Text()]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run does what is due in the queue of s, on the time of the bubble it is in,
// until the test ends.
func run(t testing.TB, s storage.Store, tokens *token.Store) {
	r := due.Start(due.Options{Store: s, Handlers: map[due.Kind]due.Handler{
		token.Kind: func(ctx context.Context, i due.Item) error { return tokens.Expire(ctx, i, time.Now()) },
	}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	t.Cleanup(func() { r.Close() })
}
