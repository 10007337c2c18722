package consumer

import (
	"context"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Tidy removes consumers that have said goodbye, or whose token has ended, as ended
// says, a while before now.
func (st *Store) Tidy(ctx context.Context, now time.Time, ended func(ctx context.Context, c *Consumer) (bool, error)) error {
	for after := ""; ; {
		stale, last, err := st.stale(ctx, after, now, ended)
		if err != nil {
			return err
		}
		for rows := range slices.Chunk(stale, atOnce) {
			_, err := storage.Update(ctx, st.store, func(tx *storage.Tx) error {
				for _, row := range rows {
					tx.Delete(row)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if last == "" {
			return nil
		}
		after = last
	}
}

// stale returns the keys of consumers to be removed, of a page of those after the
// key after, and the last key of the page; "" if there are no more.
func (st *Store) stale(ctx context.Context, after string, now time.Time, ended func(ctx context.Context, c *Consumer) (bool, error)) (keys []string, last string, err error) {
	const page = 1024
	err = storage.View(ctx, st.store, func(tx *storage.Tx) error {
		n := 0
		for e, err := range tx.Scan(ctx, st.table(), after) {
			if err != nil {
				return err
			}
			if n++; n > page {
				return nil
			}
			last = e.Key
			var c Consumer
			if err := form.Decode(e.Value, &c); err != nil {
				return err
			}
			if now.Sub(c.Last) < Kept {
				continue
			}
			gone := !c.Gone.IsZero()
			if !gone {
				if gone, err = ended(ctx, &c); err != nil {
					return err
				}
			}
			if gone {
				keys = append(keys, e.Key)
			}
		}
		last = ""
		return nil
	})
	return keys, last, err
}
