// Package lease keeps the promises to revoke what engines gave away: a lease is
// a record with an end, an item of the due queue at that end, and a place below
// the token that asked for it, so that it goes when the token goes.
package lease

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// ErrUnknown says that there is no such lease.
var ErrUnknown = errors.New("lease: no such lease")

// Kind is the due queue's kind for the end of leases.
const Kind due.Kind = "lease"

var form = storage.Form[Lease]{Name: "lease record", Version: 1}

// Lease is what coffer knows of a lease. It is the stored record, too.
type Lease struct {
	ID          string          `json:"-"` // path of the request, a slash, and Ref
	Namespace   string          `json:"-"`
	Ref         string          `json:"ref"` // random; names the lease where its path must not be seen
	MountID     string          `json:"mnt"`
	TokenID     string          `json:"tok,omitempty"` // empty: of a batch token
	Issued      time.Time       `json:"at"`
	Expires     time.Time       `json:"exp"`
	LastRenewal time.Time       `json:"ren,omitzero"`
	TTL         time.Duration   `json:"ttl"`
	MaxTTL      time.Duration   `json:"max"`
	Renewable   bool            `json:"rnw,omitempty"`
	State       json.RawMessage `json:"st,omitempty"` // the engine's

	// Revoking is when revocation began. The lease can't be renewed any more, and
	// is kept until its engine has succeeded. Failures counts the attempts that
	// have not, LastError is the kind of the last one.
	Revoking  time.Time `json:"rev,omitzero"`
	Failures  int       `json:"fail,omitempty"`
	LastError string    `json:"err,omitempty"`
}

// New returns a lease of what a request on path gave away at now. limit is how
// long it may live in all.
func New(ns, path string, l *logical.Lease, ttl, limit time.Duration, now time.Time) *Lease {
	ref := rand.Text()
	return &Lease{
		ID: strings.TrimSuffix(path, "/") + "/" + ref, Namespace: ns, Ref: ref,
		Issued: now, Expires: now.Add(min(ttl, limit)), TTL: min(ttl, limit), MaxTTL: limit,
		Renewable: l.Renewable, State: l.State,
	}
}

// Left is the time that the lease has left at now, in whole seconds.
func (l *Lease) Left(now time.Time) time.Duration {
	return max(l.Expires.Sub(now), 0).Truncate(time.Second)
}

// Extend moves the end of the lease at now by increment (zero: the lifetime it
// was given), within its limit. It returns an error of kind logical.ErrInvalid if
// the lease is not renewable or is over.
func (l *Lease) Extend(now time.Time, increment time.Duration) error {
	switch {
	case !l.Revoking.IsZero() || !now.Before(l.Expires):
		return logical.Invalid("lease not found")
	case !l.Renewable:
		return logical.Invalid("lease is not renewable")
	}
	if increment == 0 {
		increment = l.TTL
	}
	end := now.Add(increment)
	if limit := l.Issued.Add(l.MaxTTL); end.After(limit) {
		end = limit
	}
	if !end.After(now) {
		return logical.Invalid("past the max TTL, cannot renew")
	}
	l.Expires, l.LastRenewal = end, now
	return nil
}

// item is the item of the due queue that every lease has: at its end, or when
// its revocation, which has begun, is to be taken up. The runner may have put it
// off; then it finds, some time later, that there is nothing to do.
func (l *Lease) item() due.Item {
	at := l.Expires
	if !l.Revoking.IsZero() {
		at = l.Revoking.Add(resumeAfter)
	}
	return due.Item{At: at, Kind: Kind, Namespace: l.Namespace, Ref: l.Ref}
}

// Store keeps the leases of all namespaces. It is safe for concurrent use.
type Store struct {
	store storage.Store
	// free revokes what the lease is about at its engine. It must bear being
	// called again.
	free func(ctx context.Context, l *Lease) error
	news func(tx *storage.Tx, l *Lease, what News) error // may be nil
}

// News is what can become of a lease.
type News uint8

// The news: a lease is over, for one reason or another, and will be freed; or it
// could not be freed, for the first time.
const (
	Expired News = iota + 1
	Revoked
	Irrevocable
)

// OnNews has fn told of what becomes of leases, in the transaction that makes it
// so. It is set before anything else is done.
func (s *Store) OnNews(fn func(tx *storage.Tx, l *Lease, what News) error) { s.news = fn }

func (s *Store) tell(tx *storage.Tx, l *Lease, what News) error {
	if s.news == nil {
		return nil
	}
	return s.news(tx, l, what)
}

// NewStore returns a Store on the barrier. free revokes, at its engine, what a
// lease is about; it succeeds if there is nothing left to revoke.
func NewStore(s storage.Store, free func(ctx context.Context, l *Lease) error) *Store {
	return &Store{store: s, free: free}
}

func recordKey(ns, id string) string {
	return storage.Plain("lease") + storage.Plain(ns) + storage.Path(id)
}

func refKey(ns, ref string) string {
	return storage.Plain("leaseref") + storage.Plain(ns) + storage.Plain(ref)
}

func ofToken(ns, tokenID string) string {
	return storage.Plain("tokenlease") + storage.Plain(ns) + storage.Plain(tokenID)
}

// Put stores a new or renewed lease in tx. previous is the record it replaces,
// or nil; tx has made sure that it still is the one that is stored.
func (s *Store) Put(tx *storage.Tx, l, previous *Lease) error {
	if previous != nil {
		due.Cancel(tx, previous.item())
	}
	if err := l.put(tx); err != nil {
		return err
	}
	tx.Put(refKey(l.Namespace, l.Ref), []byte(l.ID))
	if l.TokenID != "" {
		tx.Put(ofToken(l.Namespace, l.TokenID)+storage.Plain(l.Ref), []byte(l.ID))
	}
	return due.Schedule(tx, l.item())
}

// put stores the record alone.
func (l *Lease) put(tx *storage.Tx) error {
	value, err := form.Encode(l)
	if err != nil {
		return err
	}
	tx.Put(recordKey(l.Namespace, l.ID), value)
	return nil
}

// Get reads a lease in tx, or returns ErrUnknown.
func (s *Store) Get(ctx context.Context, tx *storage.Tx, ns, id string) (*Lease, error) {
	e, err := tx.Get(ctx, recordKey(ns, id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	l := &Lease{ID: id, Namespace: ns}
	if err := form.Decode(e.Value, l); err != nil {
		return nil, err
	}
	return l, nil
}

// Lookup returns the lease with that id, or ErrUnknown.
func (s *Store) Lookup(ctx context.Context, ns, id string) (l *Lease, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		l, err = s.Get(ctx, tx, ns, id)
		return err
	})
	return l, err
}

// Children returns the next elements of lease ids below a path, as
// storage.Part.Children does.
func (s *Store) Children(ctx context.Context, ns, path string) (names []string, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		names, err = tx.Below("").Children(ctx, recordKey(ns, path))
		return err
	})
	return names, err
}

// Below returns the ids of all leases whose id begins with the path prefix, at
// the end of an element.
func (s *Store) Below(ctx context.Context, ns, prefix string) ([]string, error) {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	table := recordKey(ns, "")
	ids, _, err := s.ids(ctx, recordKey(ns, prefix), "", unlimited, func(e storage.Entry) (string, error) {
		var id strings.Builder
		for rest := e.Key[len(table):]; rest != ""; {
			seg, more, err := storage.Cut(rest)
			if err != nil {
				return "", err
			}
			id.WriteString(seg.Text())
			rest = more
		}
		return id.String(), nil
	})
	return ids, err
}

// unlimited is for lists that are wanted whole.
const unlimited = math.MaxInt

// ids returns the ids of at most n rows below prefix, of those after the key
// after, and the key of the last; "" if there are no more.
func (s *Store) ids(ctx context.Context, prefix, after string, n int, idOf func(storage.Entry) (string, error)) (ids []string, last string, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(ctx, prefix, after) {
			if err != nil {
				return err
			}
			id, err := idOf(e)
			if err != nil {
				return err
			}
			if ids = append(ids, id); len(ids) == n {
				last = e.Key
				return nil
			}
		}
		return nil
	})
	return ids, last, err
}
