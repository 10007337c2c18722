package core

import (
	"context"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// Batch tokens are rows of nothing and can't be revoked one by one. What can be
// said is that all below a path which were made up to a time are void: such times
// are rows of the configuration, one for each path that somebody revoked, and in
// memory on every node. They stay, as nobody knows how long the longest token of
// earlier settings lives; a path takes along those below it.

// void is the last moment of the tokens below a path.
type void struct {
	Before time.Time `json:"before"` // that moment itself is among them
}

var voidForm = storage.Form[void]{Name: "record of void batch tokens", Version: 1}

func voidTable() string {
	return configuration() + storage.Plain(RootNamespace) + storage.Plain("void")
}

// voids are the moments by path, which has no slash at its end. They are
// immutable.
type voids map[string]time.Time

func (c *Core) loadVoids(ctx context.Context) (all voids, err error) {
	err = storage.View(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		all, err = readVoids(ctx, tx)
		return err
	})
	return all, err
}

func readVoids(ctx context.Context, tx *storage.Tx) (voids, error) {
	all, table := voids{}, voidTable()
	for row, err := range tx.Scan(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		path, _, err := storage.Cut(row.Key[len(table):])
		if err != nil {
			return nil, err
		}
		var v void
		if err := voidForm.Decode(row.Value, &v); err != nil {
			return nil, err
		}
		all[path.Text()] = v.Before
	}
	return all, nil
}

// cover says whether a token that was made at a path and a time is void.
func (v voids) cover(path string, made time.Time) bool {
	if len(v) == 0 {
		return false
	}
	path = strings.TrimSuffix(path, "/")
	for end := 0; end < len(path); end++ {
		n := strings.IndexByte(path[end:], '/')
		if n < 0 {
			break
		}
		end += n
		if before, ok := v[path[:end]]; ok && !made.After(before) {
			return true
		}
	}
	before, ok := v[path]
	return ok && !made.After(before)
}

// voided returns [token.ErrUnknown] if a batch token is void: because its auth
// method is gone, or because of what was revoked.
func (c *Core) voided(t *token.Token) error {
	l := c.live.Load()
	if l == nil {
		return logical.ErrSealed
	}
	if m := l.table.ByID(t.MountID); m == nil || m.Leaving || l.voids.cover(t.Path, t.Created) {
		return token.ErrUnknown
	}
	return nil
}

// VoidBatchTokens makes the batch tokens void that were made below a path until
// now, and returns when that is in force. It is nothing to paths of secrets.
func (c *Core) VoidBatchTokens(ctx context.Context, path string) error {
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error { return c.voidBelow(ctx, tx, path) })
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}

func (c *Core) voidBelow(ctx context.Context, tx *storage.Tx, path string) error {
	path = strings.TrimSuffix(path, "/")
	if !strings.HasPrefix(path+"/", mount.AuthPrefix) {
		return nil
	}
	known, err := readVoids(ctx, tx)
	if err != nil {
		return err
	}
	own := void{Before: c.Now()}
	for other, before := range known {
		if other != path && !strings.HasPrefix(other, path+"/") {
			continue
		}
		if before.After(own.Before) { // the clock was put back
			own.Before = before
		}
		if tx.Room() > 2 {
			tx.Delete(voidTable() + storage.Name(other))
		}
	}
	value, err := voidForm.Encode(&own)
	if err != nil {
		return err
	}
	tx.Put(voidTable()+storage.Name(path), value)
	return nil
}
