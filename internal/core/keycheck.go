package core

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/storage"
)

// keyChecking is the kind of the due item that looks after the data key. There is
// one such item from the moment on that a rotation is stored.
const keyChecking due.Kind = "key"

// keyCheckEvery is the time between looks at how much the data key was used.
const keyCheckEvery = 5 * time.Minute

// startKeyChecks schedules the first look at the data key, once in a server's
// life.
func (c *Core) startKeyChecks(ctx context.Context) error {
	_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		_, err := barrier.ReadRotation(ctx, tx)
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err := barrier.DefaultRotation().Put(tx); err != nil {
			return err
		}
		return due.Schedule(tx, due.Item{At: c.Now().Add(keyCheckEvery), Kind: keyChecking, Namespace: RootNamespace})
	})
	return err
}

// checkKey rotates the data key if its time has come, and comes back later. What
// was missed is done once, for the age of the key is what counts.
func (c *Core) checkKey(ctx context.Context, item due.Item) error {
	if err := c.barrier.SaveUsage(ctx); err != nil {
		return err
	}
	var policy barrier.Rotation
	err := storage.View(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		policy, err = barrier.ReadRotation(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.rotateIfDue(ctx, policy); err != nil {
		return err
	}
	_, err = storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		due.Cancel(tx, item)
		item := item
		item.At, item.Attempts = c.nextKeyCheck(policy), 0
		return due.Schedule(tx, item)
	})
	return err
}

func (c *Core) rotateIfDue(ctx context.Context, policy barrier.Rotation) error {
	n, err := c.barrier.Encryptions(ctx)
	if err != nil {
		return err
	}
	newest := c.newestTerm()
	reason, isDue := policy.Due(newest, n, c.Now())
	if !isDue {
		return nil
	}
	if err := c.barrier.RotateFrom(ctx, newest.Number); err != nil {
		return err
	}
	c.log.Info("the encryption key was rotated", "reason", reason,
		"term", c.newestTerm().Number, "begun", newest.Created, "encryptions", n)
	return nil
}

// newestTerm is zero while the barrier is sealed.
func (c *Core) newestTerm() barrier.Term {
	terms := c.barrier.Terms()
	if len(terms) == 0 {
		return barrier.Term{}
	}
	return terms[len(terms)-1]
}

// nextKeyCheck is when the key is looked at again: when its age will matter, or
// sooner for the sake of its use.
func (c *Core) nextKeyCheck(policy barrier.Rotation) time.Time {
	next := c.Now().Add(keyCheckEvery)
	if policy.Enabled && policy.Interval > 0 {
		if old := c.newestTerm().Created.Add(policy.Interval); old.Before(next) && old.After(c.Now()) {
			return old
		}
	}
	return next
}

// saveUsage stores how much the key was used, before the server forgets it.
func (c *Core) saveUsage() {
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	if err := c.barrier.SaveUsage(ctx); err != nil {
		c.log.Warn("storing how much the encryption key was used", "error", err)
	}
}
