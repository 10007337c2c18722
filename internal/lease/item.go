package lease

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/storage"
)

// Due returns the lease that [Store.Expire] would revoke now because of item, or nil
// if there is none.
func (s *Store) Due(ctx context.Context, item due.Item, now time.Time) (l *Lease, err error) {
	id, err := s.idOf(ctx, item)
	if err == nil {
		err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
			l, err = s.Get(ctx, tx, item.Namespace, id)
			return err
		})
	}
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, err
	case l.Revoking.IsZero() && now.Before(l.Expires):
		return nil, nil
	}
	return l, nil
}
