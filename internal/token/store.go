package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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

const formatVersion = 1

// Keys is what the store needs of the barrier.
type Keys interface {
	MAC(purpose barrier.Purpose, parts ...[]byte) ([]byte, error)
	Encrypt(purpose barrier.Purpose, plaintext, aad []byte) ([]byte, error)
	Decrypt(purpose barrier.Purpose, ciphertext, aad []byte) ([]byte, error)
}

// Store keeps the tokens of all namespaces. It is safe for concurrent use.
//
// The rows of one service token, all of which are written and removed together:
// the record by id, the id by accessor, the place below its parent, and its
// expiry in the due queue.
type Store struct {
	store storage.Store
	keys  Keys

	// onRevoke frees what hangs on a token; see OnRevoke.
	onRevoke []func(ctx context.Context, t *Token) error
}

// NewStore returns a Store on the barrier.
func NewStore(s storage.Store, k Keys) *Store { return &Store{store: s, keys: k} }

// OnRevoke adds fn to what happens when a token is revoked: after it has ceased
// to work, before its record goes. If fn fails, or the process ends, it is
// called again later. All calls of OnRevoke come before the first revocation.
func (s *Store) OnRevoke(fn func(ctx context.Context, t *Token) error) {
	s.onRevoke = append(s.onRevoke, fn)
}

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
	t.Version = formatVersion
	if t.Batch() {
		return s.sealBatch(t)
	}
	if t.Parent != "" {
		parent, err := get(ctx, tx, t.Namespace, t.Parent)
		if err != nil {
			return "", err
		}
		if parent.Dying {
			return "", ErrUnknown
		}
	}
	if text == "" {
		text = newText(prefixService)
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
	value, err := json.Marshal(t)
	if err != nil {
		return err
	}
	tx.Put(recordKey(t.Namespace, t.ID), value)
	return nil
}

func (t *Token) expiry() due.Item {
	return due.Item{At: t.Expires, Kind: Kind, Namespace: t.Namespace, Ref: t.ID}
}

func (t *Token) scheduleExpiry(tx *storage.Tx) error {
	if t.Expires.IsZero() {
		return nil
	}
	return due.Schedule(tx, t.expiry())
}

func (t *Token) cancelExpiry(tx *storage.Tx) {
	if !t.Expires.IsZero() {
		due.Cancel(tx, t.expiry())
	}
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
	if err := json.Unmarshal(record, t); err != nil {
		return nil, fmt.Errorf("token record: %w", err)
	}
	if t.Version != formatVersion {
		return nil, fmt.Errorf("token record: version %d is newer than this coffer", t.Version)
	}
	t.Namespace, t.ID = ns, id
	return t, nil
}

// Lookup returns the token of a text that is alive at now, or ErrUnknown.
func (s *Store) Lookup(ctx context.Context, ns, text string, now time.Time) (*Token, error) {
	if isBatch(text) {
		return s.openBatch(ctx, ns, text, now)
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
func (s *Store) ByID(ctx context.Context, ns, id string, now time.Time) (t *Token, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		t, err = alive(ctx, tx, ns, id, now)
		return err
	})
	return t, err
}

func alive(ctx context.Context, tx *storage.Tx, ns, id string, now time.Time) (*Token, error) {
	t, err := get(ctx, tx, ns, id)
	if err != nil {
		return nil, err
	}
	if t.Dying || !t.Expires.IsZero() && !now.Before(t.Expires) {
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
			if t.Dying || !t.Expires.IsZero() && !now.Before(t.Expires) {
				continue
			}
			if err := fn(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// Use takes one use off a token with a limited number. It returns how many are
// left, or ErrUnknown if there were none: of concurrent last uses one wins.
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
		current.NumUses = left
		if left == 0 {
			// From here on the token is of no use to anyone; the request that
			// took the last one has it in memory.
			current.Dying = true
			if err := due.Schedule(tx, due.Item{At: now, Kind: Kind, Namespace: t.Namespace, Ref: t.ID}); err != nil {
				return err
			}
		}
		return current.put(tx)
	})
	return left, err
}

// Save stores the changed lifetime of a token in tx: what Renew did.
func (s *Store) Save(ctx context.Context, tx *storage.Tx, t *Token) error {
	old, err := get(ctx, tx, t.Namespace, t.ID)
	if err != nil {
		return err
	}
	if old.Dying {
		return ErrUnknown
	}
	old.cancelExpiry(tx)
	if err := t.scheduleExpiry(tx); err != nil {
		return err
	}
	return t.put(tx)
}
