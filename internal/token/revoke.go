package token

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/storage"
)

// What becomes of a revoked token's children.
type children bool

const (
	revokeChildren children = true
	orphanChildren children = false
)

// Revoke ends a token and all its descendants, and frees what hangs on them.
// The token itself is of no use from the first commit on; when Revoke returns
// nil, everything has happened. What a crash or an error leaves undone goes on
// from the due queue. An unknown id is no error.
func (s *Store) Revoke(ctx context.Context, ns, id string, now time.Time) error {
	return s.revoke(ctx, ns, id, now, revokeChildren)
}

// RevokeOrphan ends a token; its children live on without a parent.
func (s *Store) RevokeOrphan(ctx context.Context, ns, id string, now time.Time) error {
	return s.revoke(ctx, ns, id, now, orphanChildren)
}

// Expire handles an item of the due queue: the token is revoked if it has
// expired by now or is dying already.
func (s *Store) Expire(ctx context.Context, item due.Item, now time.Time) error {
	t, err := s.stored(ctx, item.Namespace, item.Ref)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if err == nil && (t.Dying || !now.Before(t.Expires)) {
		if err := s.Revoke(ctx, item.Namespace, item.Ref, now); err != nil {
			return err
		}
	}
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		due.Cancel(tx, item)
		return nil
	})
	return err
}

// stored returns a record, of a token that has expired or is dying too.
func (s *Store) stored(ctx context.Context, ns, id string) (t *Token, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		t, err = get(ctx, tx, ns, id)
		return err
	})
	return t, err
}

func (s *Store) revoke(ctx context.Context, ns, id string, now time.Time, kids children) error {
	unfinished := due.Item{At: now, Kind: Kind, Namespace: ns, Ref: id}
	t, err := s.condemn(ctx, ns, id, unfinished)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.eachChild(ctx, t, func(child string) error {
		if kids == orphanChildren {
			return s.release(ctx, t, child)
		}
		return s.revoke(ctx, ns, child, now, revokeChildren)
	}); err != nil {
		return err
	}
	for _, free := range s.onRevoke {
		if err := free(ctx, t); err != nil {
			return err
		}
	}
	return s.bury(ctx, t, unfinished)
}

// condemn makes the token useless and puts the rest of its revocation into the
// due queue. From here on it can get no more children.
func (s *Store) condemn(ctx context.Context, ns, id string, unfinished due.Item) (t *Token, err error) {
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		if t, err = get(ctx, tx, ns, id); err != nil {
			return err
		}
		t.Dying = true
		if err := due.Schedule(tx, unfinished); err != nil {
			return err
		}
		return t.put(tx)
	})
	return t, err
}

// bury removes the rows of a token on which nothing hangs any more.
func (s *Store) bury(ctx context.Context, t *Token, unfinished due.Item) error {
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		tx.Delete(recordKey(t.Namespace, t.ID))
		tx.Delete(accessorKey(t.Namespace, t.Accessor))
		if t.Parent != "" {
			tx.Delete(childrenKey(t.Namespace, t.Parent) + storage.Plain(t.ID))
		}
		t.cancelExpiry(tx)
		due.Cancel(tx, unfinished)
		return nil
	})
	return err
}

// release makes a child of t an orphan.
func (s *Store) release(ctx context.Context, t *Token, child string) error {
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		tx.Delete(childrenKey(t.Namespace, t.ID) + storage.Plain(child))
		c, err := get(ctx, tx, t.Namespace, child)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Parent, c.Orphan = "", true
		return c.put(tx)
	})
	return err
}

// eachChild calls fn for every child of a condemned token, a page at a time, so
// that no snapshot stays open while fn works.
func (s *Store) eachChild(ctx context.Context, t *Token, fn func(child string) error) error {
	const page = 256
	prefix, after := childrenKey(t.Namespace, t.ID), ""
	for {
		var ids []string
		err := storage.View(ctx, s.store, func(tx *storage.Tx) error {
			for e, err := range tx.Scan(ctx, prefix, after) {
				if err != nil {
					return err
				}
				id, _, err := storage.Cut(e.Key[len(prefix):])
				if err != nil {
					return err
				}
				ids = append(ids, id.Text())
				if after = e.Key; len(ids) == page {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := fn(id); err != nil {
				return err
			}
		}
		if len(ids) < page {
			return nil
		}
	}
}

// idOfLease takes the token's id from a lease id.
func idOfLease(leaseID string) (id string, ok bool) {
	last := leaseID[strings.LastIndexByte(leaseID, '/')+1:]
	return strings.CutPrefix(last, leaseMark)
}
