package token

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/due"
)

// Due returns the token that [Store.Expire] would revoke now because of item, or nil
// if there is none.
func (s *Store) Due(ctx context.Context, item due.Item, now time.Time) (*Token, error) {
	t, err := s.stored(ctx, item.Namespace, item.Ref)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, err
	case t.alive(now):
		return nil, nil
	}
	return t, nil
}
