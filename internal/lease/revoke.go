package lease

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// resumeAfter is when a revocation that has begun is taken up by the due queue.
// Until then it is left to the one who began it.
const resumeAfter = 5 * time.Second

// refusal is an engine's failure to free what a lease is about. The lease is in
// the due queue, which tries again.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// Revoke frees what the lease is about and removes it. From the first commit on
// it can't be renewed. An unknown lease is no error. If the engine fails, its
// error is returned, and the due queue tries again.
func (s *Store) Revoke(ctx context.Context, ns, id string, now time.Time) error {
	return s.revoke(ctx, ns, id, now, func(*Lease) bool { return true })
}

// Forget removes the lease without freeing what it is about.
func (s *Store) Forget(ctx context.Context, ns, id string) error { return s.remove(ctx, ns, id) }

// Expire handles an item of the due queue: the lease is revoked if it is over at
// now or its revocation has begun already.
func (s *Store) Expire(ctx context.Context, item due.Item, now time.Time) error {
	id, err := s.idOf(ctx, item)
	if errors.Is(err, ErrUnknown) {
		return s.settle(ctx, item, id)
	}
	if err != nil {
		return err
	}
	over := func(l *Lease) bool { return !l.Revoking.IsZero() || !now.Before(l.Expires) }
	if err := s.revoke(ctx, item.Namespace, id, now, over); err != nil {
		return err
	}
	return s.settle(ctx, item, id)
}

// idOf returns the id of the lease that item is about, or ErrUnknown.
func (s *Store) idOf(ctx context.Context, item due.Item) (id string, err error) {
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		e, err := tx.Get(ctx, refKey(item.Namespace, item.Ref))
		if errors.Is(err, storage.ErrNotFound) {
			return ErrUnknown
		}
		id = string(e.Value)
		return err
	})
	return id, err
}

// settle removes an item that was done, unless the lease waits for it: then the
// clock was put back. If it waits for another, that is put where it belongs, as the
// queue may have moved it.
func (s *Store) settle(ctx context.Context, item due.Item, id string) error {
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		l, err := s.Get(ctx, tx, item.Namespace, id)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if err == nil && l.item().At.Equal(item.At) {
			return nil
		}
		due.Cancel(tx, item)
		if err == nil {
			return due.Schedule(tx, l.item())
		}
		return nil
	})
	return err
}

// revoke revokes the lease if when says so.
func (s *Store) revoke(ctx context.Context, ns, id string, now time.Time, when func(*Lease) bool) error {
	l, err := s.condemn(ctx, ns, id, now, when)
	if errors.Is(err, ErrUnknown) || err == nil && l == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.free(ctx, l); err != nil {
		return errors.Join(refusal{err}, s.noteFailure(ctx, ns, id, err))
	}
	return s.remove(ctx, ns, id)
}

// condemn marks the lease, if when says so, and leaves word in the due queue,
// before anything outside is touched: whatever happens from here on, it can't be
// renewed and does not stay. Else it returns nil.
func (s *Store) condemn(ctx context.Context, ns, id string, now time.Time, when func(*Lease) bool) (condemned *Lease, err error) {
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		condemned = nil
		l, err := s.Get(ctx, tx, ns, id)
		if err != nil || !when(l) {
			return err
		}
		condemned = l
		if !l.Revoking.IsZero() {
			return nil
		}
		due.Cancel(tx, l.item())
		what := Expired
		if l.Expires.After(now) {
			what = Revoked
		}
		if err := s.tell(tx, l, what); err != nil {
			return err
		}
		// Its end always changes, so that a renewal under way, which compares it,
		// finds that it is too late.
		if l.Expires.After(now) {
			l.Expires = now
		}
		l.Expires = l.Expires.Add(-time.Nanosecond)
		l.Revoking, l.Renewable = now, false
		if err := due.Schedule(tx, l.item()); err != nil {
			return err
		}
		return l.put(tx)
	})
	return condemned, err
}

// kinds are what LastError may say: texts of engines are for callers, not for
// the record.
var kinds = []error{
	context.DeadlineExceeded, context.Canceled,
	logical.ErrUpstream, logical.ErrInvalid, logical.ErrDenied, logical.ErrNotFound, logical.ErrConflict, logical.ErrSealed,
}

func (s *Store) noteFailure(ctx context.Context, ns, id string, cause error) error {
	last := "internal error"
	for _, kind := range kinds {
		if errors.Is(cause, kind) {
			last = kind.Error()
			break
		}
	}
	// The failure may be that ctx has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeAfter)
	defer cancel()
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		l, err := s.Get(ctx, tx, ns, id)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		l.Failures++
		l.LastError = last
		if l.Failures == 1 {
			if err := s.tell(tx, l, Irrevocable); err != nil {
				return err
			}
		}
		return l.put(tx)
	})
	return err
}

func (s *Store) remove(ctx context.Context, ns, id string) error {
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		l, err := s.Get(ctx, tx, ns, id)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		tx.Delete(recordKey(ns, id))
		tx.Delete(refKey(ns, l.Ref))
		if l.TokenID != "" {
			tx.Delete(ofToken(ns, l.TokenID) + storage.Plain(l.Ref))
		}
		due.Cancel(tx, l.item())
		return nil
	})
	return err
}

// RevokeToken revokes the leases of a token. What an engine can't free now stays
// due, and is no reason to keep the token: only an error of the store is
// returned, or that ctx has ended.
func (s *Store) RevokeToken(ctx context.Context, ns, tokenID string, now time.Time) error {
	const atOnce = 1024
	for after := ""; ; {
		ids, last, err := s.ids(ctx, ofToken(ns, tokenID), after, atOnce, func(e storage.Entry) (string, error) {
			return string(e.Value), nil
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			err := s.Revoke(ctx, ns, id, now)
			if refused := (refusal{}); err != nil && (!errors.As(err, &refused) || ctx.Err() != nil) {
				return err
			}
		}
		if last == "" {
			return nil
		}
		after = last
	}
}
