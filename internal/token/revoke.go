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

// resumeAfter is when a revocation that has begun is taken up by the due queue.
// Until then it is left to the one who began it.
const resumeAfter = 5 * time.Second

// childrenAtOnce is how many children are condemned or released in one commit:
// each costs at most two operations. If their records are large it is fewer; see
// maxRecordBytes.
const childrenAtOnce = 50

// Revoke ends a token and all its descendants, and frees what hangs on them.
// The token itself is of no use from the first commit on; when Revoke returns
// nil, everything has happened. What a crash or an error leaves undone goes on
// from the due queue. An unknown id is no error.
func (s *Store) Revoke(ctx context.Context, ns, id string, now time.Time) error {
	return s.revoke(ctx, ns, id, now, revokeChildren, always)
}

// RevokeOrphan ends a token; its children live on without a parent.
func (s *Store) RevokeOrphan(ctx context.Context, ns, id string, now time.Time) error {
	return s.revoke(ctx, ns, id, now, orphanChildren, always)
}

func always(*Token) bool { return true }

// Expire handles an item of the due queue: the token is revoked unless it is
// alive at now, as one is that was renewed.
func (s *Store) Expire(ctx context.Context, item due.Item, now time.Time) error {
	over := func(t *Token) bool { return !t.alive(now) }
	if err := s.revoke(ctx, item.Namespace, item.Ref, now, revokeChildren, over); err != nil {
		return err
	}
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		t, err := get(ctx, tx, item.Namespace, item.Ref)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if err == nil && t.waitsFor(item) {
			return nil // the clock was put back
		}
		due.Cancel(tx, item)
		return nil
	})
	return err
}

// waitsFor says whether item is one of the token's own.
func (t *Token) waitsFor(item due.Item) bool {
	for _, own := range t.items() {
		if own.At.Equal(item.At) {
			return true
		}
	}
	return false
}

// stored returns a record, of a token that has expired or is dying too.
func (s *Store) stored(ctx context.Context, ns, id string) (t *Token, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		t, err = get(ctx, tx, ns, id)
		return err
	})
	return t, err
}

// revoke revokes the token if when says so.
func (s *Store) revoke(ctx context.Context, ns, id string, now time.Time, kids children, when func(*Token) bool) error {
	t, err := s.condemn(ctx, ns, id, now, kids, when)
	if errors.Is(err, ErrUnknown) || err == nil && t == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fell(ctx, t, now)
}

// condemn makes the token useless, if when says so, and leaves word in the due
// queue; else it returns nil. From here on the token can get no more children.
// What becomes of those it has is decided once: by the first who revokes it.
func (s *Store) condemn(ctx context.Context, ns, id string, now time.Time, kids children, when func(*Token) bool) (condemned *Token, err error) {
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		condemned = nil
		t, err := get(ctx, tx, ns, id)
		if err != nil || !when(t) {
			return err
		}
		condemned = t
		if !t.Dying.IsZero() {
			return nil
		}
		t.Dying, t.Spare = now, kids == orphanChildren
		if err := due.Schedule(tx, t.at(now.Add(resumeAfter))); err != nil {
			return err
		}
		return t.put(tx)
	})
	return condemned, err
}

// branch is a condemned token on the way through its tree.
type branch struct {
	token *Token
	kids  []*Token // condemned, not yet visited
	after string   // row of the last child that was condemned or released
	done  bool     // there are no more children
}

// fell does what is left of the revocation of a condemned token: first its
// descendants, then itself. It recurses on a stack of its own, since trees may
// be deep.
func (s *Store) fell(ctx context.Context, t *Token, now time.Time) error {
	way := []*branch{{token: t}}
	for len(way) > 0 {
		b := way[len(way)-1]
		switch {
		case len(b.kids) > 0:
			way = append(way, &branch{token: b.kids[0]})
			b.kids = b.kids[1:]
		case !b.done:
			if err := s.nextChildren(ctx, b, now); err != nil {
				return err
			}
		default:
			if err := s.finish(ctx, b.token); err != nil {
				return err
			}
			way = way[:len(way)-1]
		}
	}
	return nil
}

// nextChildren condemns, or releases, the next children of b's token in one
// commit. They need no item in the due queue: their parent's brings everyone
// here again until it has no more children.
func (s *Store) nextChildren(ctx context.Context, b *branch, now time.Time) error {
	t, prefix := b.token, childrenKey(b.token.Namespace, b.token.ID)
	var next branch
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		next = branch{token: t, after: b.after, done: true}
		n := 0
		for e, err := range tx.Scan(ctx, prefix, b.after) {
			if err != nil {
				return err
			}
			if n == childrenAtOnce || tx.Room() == 0 {
				next.done = false
				return nil
			}
			id, _, err := storage.Cut(e.Key[len(prefix):])
			if err != nil {
				return err
			}
			kid, err := t.part(ctx, tx, id.Text(), now)
			if err != nil {
				return err
			}
			if kid != nil {
				next.kids = append(next.kids, kid)
			}
			next.after = e.Key
			n++
		}
		return nil
	})
	if err == nil {
		*b = next
	}
	return err
}

// part condemns a child of t and returns it or, if t's children live on, makes
// it an orphan and returns nil.
func (t *Token) part(ctx context.Context, tx *storage.Tx, child string, now time.Time) (*Token, error) {
	kid, err := get(ctx, tx, t.Namespace, child)
	if errors.Is(err, ErrUnknown) {
		tx.Delete(childrenKey(t.Namespace, t.ID) + storage.Plain(child))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t.Spare {
		tx.Delete(childrenKey(t.Namespace, t.ID) + storage.Plain(child))
		kid.Parent, kid.Orphan = "", true
		return nil, kid.put(tx)
	}
	if !kid.Dying.IsZero() {
		return kid, nil
	}
	kid.Dying = now
	return kid, kid.put(tx)
}

// finish frees what hangs on a condemned token without children, and buries it.
func (s *Store) finish(ctx context.Context, t *Token) error {
	for _, free := range s.onRevoke {
		if err := free(ctx, t); err != nil {
			return err
		}
	}
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		current, err := get(ctx, tx, t.Namespace, t.ID)
		// An operator may have given the same text to a new token meanwhile.
		if errors.Is(err, ErrUnknown) || err == nil && current.Accessor != t.Accessor {
			return nil
		}
		if err != nil {
			return err
		}
		current.bury(tx)
		return nil
	})
	return err
}

// bury removes all rows of the token.
func (t *Token) bury(tx *storage.Tx) {
	tx.Delete(recordKey(t.Namespace, t.ID))
	tx.Delete(accessorKey(t.Namespace, t.Accessor))
	if t.Parent != "" {
		tx.Delete(childrenKey(t.Namespace, t.Parent) + storage.Plain(t.ID))
	}
	for _, item := range t.items() {
		due.Cancel(tx, item)
	}
}

// idOfLease takes the token's id from a lease id.
func idOfLease(leaseID string) (id string, ok bool) {
	last := leaseID[strings.LastIndexByte(leaseID, '/')+1:]
	return strings.CutPrefix(last, leaseMark)
}
