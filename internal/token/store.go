package token

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// ErrUnknown says that there is no such token, or none that is alive.
var ErrUnknown = errors.New("token: no such token")

// Kind is the due queue's kind for expiry and unfinished revocation of tokens.
const Kind due.Kind = "token"

var form = storage.Form[Token]{Name: "token record", Version: 1}

// maxRecordBytes bounds what a token carries, so that at half a commit there
// always is room for one more.
const maxRecordBytes = storage.MaxCommitBytes / 3

// Keys is what the store needs of the barrier.
type Keys interface {
	MAC(purpose barrier.Purpose, parts ...[]byte) ([]byte, error)
	Encrypt(purpose barrier.Purpose, plaintext, aad []byte) ([]byte, error)
	Decrypt(purpose barrier.Purpose, ciphertext, aad []byte) ([]byte, error)
	Generation() uint64
}

// Store keeps the tokens of all namespaces. It is safe for concurrent use.
//
// The rows of one service token, all of which are written and removed together:
// the record by id, the id by accessor, the place below its parent, and its
// expiry in the due queue. Beyond that, a dying or spent token has an item in the
// due queue, or has an ancestor that does: so what has been begun is finished.
type Store struct {
	store  storage.Store
	keys   Keys
	parsed *storage.Memo[*Token] // of records

	// onRevoke frees what hangs on a token; see OnRevoke.
	onRevoke []func(ctx context.Context, t *Token) error

	void func(t *Token) error // see CheckBatch; nil: none is void
}

// NewStore returns a Store on the barrier.
func NewStore(s storage.Store, k Keys) *Store {
	return &Store{store: s, keys: k, parsed: storage.NewMemo[*Token](maxParsedBytes, nil)}
}

// maxParsedBytes bounds the records that are remembered: some 25,000.
const maxParsedBytes = 8 << 20

// Forget drops what the store remembers of tokens in the clear, when the barrier
// is sealed.
func (s *Store) Forget() { s.parsed.Forget() }

// OnRevoke adds fn to what happens when a token is revoked: after it has ceased
// to work, before its record goes. If fn fails, or the process ends, it is
// called again later. All calls of OnRevoke come before the first revocation.
func (s *Store) OnRevoke(fn func(ctx context.Context, t *Token) error) {
	s.onRevoke = append(s.onRevoke, fn)
}

// CheckBatch sets what is asked about every batch token that is shown, for they
// have no record in which to say that they are no good any more: void returns
// ErrUnknown if so. It costs each request that brings one. The call comes before
// the first lookup.
func (s *Store) CheckBatch(void func(t *Token) error) { s.void = void }

func recordKey(ns, id string) string {
	return storage.Plain("token") + storage.Plain(ns) + storage.Plain(id)
}

func accessorKey(ns, accessor string) string {
	return storage.Plain("accessor") + storage.Plain(ns) + storage.Name(accessor)
}

func childrenKey(ns, parent string) string {
	return storage.Plain("child") + storage.Plain(ns) + storage.Plain(parent)
}

// id is the storage id of a token's text.
func (s *Store) id(text string) (string, error) {
	mac, err := s.keys.MAC(barrier.PurposeToken, []byte(text))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(mac[:24]), nil
}

// Create adds t in tx and returns the token's text. text is one that an operator
// chose, or empty. The caller has set all but ID and Accessor, and has called
// Grant unless t never expires. A service token must have no Parent or one that
// is alive; else ErrUnknown is returned. A batch token writes nothing.
func (s *Store) Create(ctx context.Context, tx *storage.Tx, t *Token, text string) (string, error) {
	if t.Batch() {
		return s.sealBatch(t)
	}
	if t.Parent != "" {
		if _, err := alive(ctx, tx, t.Namespace, t.Parent, t.Created); err != nil {
			return "", err
		}
	}
	switch {
	case text == "":
		text = newText(prefixService)
	case reserved(text) && !WellFormed(text) || isBatch(text):
		return "", logical.Invalid("custom token ID cannot look like one that coffer makes")
	}
	var err error
	if t.ID, err = s.id(text); err != nil {
		return "", err
	}
	if t.Accessor == "" {
		t.Accessor = NewAccessor()
	}
	if _, err := tx.Get(ctx, recordKey(t.Namespace, t.ID)); !errors.Is(err, storage.ErrNotFound) {
		if err != nil {
			return "", err
		}
		return "", logical.Invalid("cannot create a token with a duplicate ID")
	}
	tx.Put(accessorKey(t.Namespace, t.Accessor), []byte(t.ID))
	if t.Parent != "" {
		tx.Put(childrenKey(t.Namespace, t.Parent)+storage.Plain(t.ID), nil)
	}
	if err := t.scheduleExpiry(tx); err != nil {
		return "", err
	}
	return text, t.put(tx)
}

func (t *Token) put(tx *storage.Tx) error {
	value, err := form.Encode(t)
	if err != nil {
		return err
	}
	// Renewal and revocation add some words to a record, and must not fail for it.
	if fresh := t.LastRenewal.IsZero() && t.alive(t.Created); fresh && len(value) > maxRecordBytes {
		return logical.Errorf(logical.ErrTooLarge, "what the token carries is larger than %d bytes", maxRecordBytes)
	}
	tx.Put(recordKey(t.Namespace, t.ID), value)
	return nil
}

// at is an item of the due queue about the token.
func (t *Token) at(when time.Time) due.Item {
	return due.Item{At: when, Kind: Kind, Namespace: t.Namespace, Ref: t.ID}
}

func (t *Token) scheduleExpiry(tx *storage.Tx) error {
	if t.Expires.IsZero() {
		return nil
	}
	return due.Schedule(tx, t.at(t.Expires))
}

// items returns the items of the due queue that belong to the token. The runner
// may have put one off; then it finds, some time later, that there is nothing to
// do.
func (t *Token) items() []due.Item {
	var all []due.Item
	if !t.Expires.IsZero() {
		all = append(all, t.at(t.Expires))
	}
	if !t.Spent.IsZero() {
		all = append(all, t.at(t.Spent.Add(spentGrace)))
	}
	if !t.Dying.IsZero() {
		all = append(all, t.at(t.Dying.Add(resumeAfter)))
	}
	return all
}

// get reads a record, dying or expired ones too.
func get(ctx context.Context, tx *storage.Tx, ns, id string) (*Token, error) {
	e, err := tx.Get(ctx, recordKey(ns, id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return parse(e.Value, ns, id)
}

func parse(record []byte, ns, id string) (*Token, error) {
	t := &Token{}
	if err := form.Decode(record, t); err != nil {
		return nil, err
	}
	t.Namespace, t.ID = ns, id
	return t, nil
}

// Lookup returns the token of a text that is alive at now, or ErrUnknown.
func (s *Store) Lookup(ctx context.Context, ns, text string, now time.Time) (*Token, error) {
	if isBatch(text) {
		return s.openBatch(ctx, ns, text, now)
	}
	if reserved(text) && !WellFormed(text) {
		return nil, ErrUnknown // mistyped or cut off: no need to look
	}
	id, err := s.id(text)
	if err != nil {
		return nil, err
	}
	return s.ByID(ctx, ns, id, now)
}

// Self is Lookup for the caller's own token, which may just have been used up by
// asking.
func (s *Store) Self(ctx context.Context, ns, text string, now time.Time) (*Token, error) {
	t, err := s.Lookup(ctx, ns, text, now)
	if !errors.Is(err, ErrUnknown) || isBatch(text) {
		return t, err
	}
	id, err := s.id(text)
	if err != nil {
		return nil, err
	}
	return s.stored(ctx, ns, id)
}

// ByID returns the service token with that id that is alive at now, or
// ErrUnknown.
func (s *Store) ByID(ctx context.Context, ns, id string, now time.Time) (*Token, error) {
	var found *Token
	err := storage.View(ctx, s.store, func(tx *storage.Tx) (err error) {
		found, _, err = s.parsed.Peek(ctx, tx.Below(""), recordKey(ns, id), func(e storage.Entry) (*Token, error) {
			return parse(e.Value, ns, id)
		})
		return err
	})
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && !found.alive(now):
		return nil, ErrUnknown
	case err != nil:
		return nil, err
	}
	own := *found // callers change theirs
	return &own, nil
}

func alive(ctx context.Context, tx *storage.Tx, ns, id string, now time.Time) (*Token, error) {
	t, err := get(ctx, tx, ns, id)
	if err != nil {
		return nil, err
	}
	if !t.alive(now) {
		return nil, ErrUnknown
	}
	return t, nil
}

// ByAccessor returns the token with that accessor that is alive at now, or
// ErrUnknown.
func (s *Store) ByAccessor(ctx context.Context, ns, accessor string, now time.Time) (t *Token, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		e, err := tx.Get(ctx, accessorKey(ns, accessor))
		if errors.Is(err, storage.ErrNotFound) {
			return ErrUnknown
		}
		if err != nil {
			return err
		}
		t, err = alive(ctx, tx, ns, string(e.Value), now)
		return err
	})
	return t, err
}

// ByLease returns the token that a lease id of the form of Token.LeaseID names,
// if it is alive at now, or ErrUnknown.
func (s *Store) ByLease(ctx context.Context, ns, leaseID string, now time.Time) (*Token, error) {
	id, ok := idOfLease(leaseID)
	if !ok {
		return nil, ErrUnknown
	}
	t, err := s.ByID(ctx, ns, id, now)
	if err == nil && t.LeaseID() != leaseID {
		return nil, ErrUnknown
	}
	return t, err
}

// Each calls fn for every service token of the namespace that is alive at now.
// It reads the whole table: for administrators, not for requests of
// applications.
func (s *Store) Each(ctx context.Context, ns string, now time.Time, fn func(t *Token) error) error {
	table := storage.Plain("token") + storage.Plain(ns)
	return storage.View(ctx, s.store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(ctx, table, "") {
			if err != nil {
				return err
			}
			id, _, err := storage.Cut(e.Key[len(table):])
			if err != nil {
				return err
			}
			t, err := parse(e.Value, ns, id.Text())
			if err != nil {
				return err
			}
			if !t.alive(now) {
				continue
			}
			if err := fn(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// spentGrace is how long a token that has been used up is kept for the request
// that took the last use, which revokes it at its end. It is longer than any
// request may take.
const spentGrace = 2 * time.Minute

// Use takes one use off a token with a limited number. It returns how many are
// left, or ErrUnknown if there were none: of concurrent last uses one wins. Who
// took the last one revokes the token when done with it.
func (s *Store) Use(ctx context.Context, t *Token, now time.Time) (left int, err error) {
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		current, err := alive(ctx, tx, t.Namespace, t.ID, now)
		if err != nil {
			return err
		}
		if current.NumUses == 0 {
			return ErrUnknown
		}
		left = current.NumUses - 1
		if current.NumUses = left; left == 0 {
			current.Spent = now
			if err := due.Schedule(tx, current.at(now.Add(spentGrace))); err != nil {
				return err
			}
		}
		return current.put(tx)
	})
	if err != nil {
		return 0, err
	}
	return left, nil
}

// Save stores in tx what Renew did: of t, only what the issuer and Renew may
// change. It returns ErrUnknown if the token has died meanwhile.
func (s *Store) Save(ctx context.Context, tx *storage.Tx, t *Token) error {
	current, err := alive(ctx, tx, t.Namespace, t.ID, t.LastRenewal)
	if err != nil {
		return err
	}
	if !current.Expires.IsZero() {
		due.Cancel(tx, current.at(current.Expires))
	}
	current.Expires, current.LastRenewal = t.Expires, t.LastRenewal
	current.MaxTTL, current.Period = t.MaxTTL, t.Period
	if err := current.scheduleExpiry(tx); err != nil {
		return err
	}
	return current.put(tx)
}

// Attach makes it a condition of tx that t, whose request tx serves, has not been
// revoked, and returns the id of the token on which tx may hang something, so
// that it goes when that token goes: t's own, or a batch token's parent's; empty
// if that is an orphan. It returns ErrUnknown if it is too late. A token that is
// merely spent will do: its revocation follows the request.
func (s *Store) Attach(ctx context.Context, tx *storage.Tx, t *Token) (holder string, err error) {
	holder = t.ID
	if t.Batch() {
		holder = t.Parent
	}
	if holder == "" {
		return "", nil
	}
	current, err := get(ctx, tx, t.Namespace, holder)
	if err != nil {
		return "", err
	}
	if !current.Dying.IsZero() {
		return "", ErrUnknown
	}
	return holder, nil
}
