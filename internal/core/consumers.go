package core

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// instanceHeader is by which clients that share a token tell themselves apart.
const instanceHeader = "X-Coffer-Instance"

// observe remembers who has read which version of a secret. Root tokens are
// people's, who use nothing.
func (c *Core) observe(v *visit, a *Answer) {
	if a.secret.Version == 0 || v.token == nil || v.token.Root() {
		return
	}
	instance := ""
	if names := v.Header[instanceHeader]; len(names) > 0 {
		instance = names[0]
	}
	r := consumer.ReaderOf(v.request.Caller, v.Token, v.request.RemoteAddr, instance)
	c.consumers.Saw(consumer.Secret{MountID: v.mount.ID, Path: a.secret.Path}, r, a.secret.Version, v.Now)
}

// NewestVersion returns the number of the newest version of a secret; zero if there
// is none.
func (c *Core) NewestVersion(ctx context.Context, s consumer.Secret) (version int, err error) {
	err = storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		version, err = publisher{c}.newest(ctx, tx, &rotate.Target{MountID: s.MountID, Path: s.Path})
		return err
	})
	return version, err
}

// Consumers returns the consumers of secrets.
func (c *Core) Consumers() *consumer.Store { return c.consumers }

// keepObserving stores once a second what reads have shown, until ctx ends.
func (c *Core) keepObserving(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.consumers.Flush(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("storing who has read what, will try again", "error", err)
		}
	}
}

// saveConsumers stores what reads have shown, before the barrier is sealed. What is
// lost all the same is as after a crash.
func (c *Core) saveConsumers() {
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	if err := c.consumers.Flush(ctx); err != nil {
		c.log.Warn("storing who has read what", "error", err)
	}
}

// tallier is how rotations see consumers.
type tallier struct{ *Core }

var _ rotate.Consumers = tallier{}

// Tally implements [rotate.Consumers].
func (t tallier) Tally(ctx context.Context, target *rotate.Target, version int, roles []string, idle bool) (rotate.Tally, error) {
	// Who reads the old version at this moment is seen when the answer is ready.
	tally := rotate.Tally{Behind: t.readsEnd(ctx, target)}
	err := t.EachConsumer(ctx, consumer.Secret{MountID: target.MountID, Path: target.Path}, version, idle, func(c *consumer.Consumer, s consumer.State) {
		if !c.HasRole(roles) {
			return
		}
		switch s {
		case consumer.Moved:
			tally.Moved++
		case consumer.Left:
			tally.Left++
		case consumer.Behind:
			tally.Behind++
		case consumer.Unknown:
			tally.Unknown++
		}
	})
	return tally, err
}

// readTime is how long an awaiting rotation waits for reads of its secret that are
// under way.
const readTime = 2 * time.Second

// readsEnd waits until the reads of a secret that are under way have been answered,
// and returns how many have not been in time.
func (t tallier) readsEnd(ctx context.Context, target *rotate.Target) (left int) {
	m := t.Mounts().ByID(target.MountID)
	if m == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	for _, ended := range t.underway.reads(m.Path + "data/" + target.Path) {
		select {
		case <-ended:
		case <-ctx.Done():
			left++
		}
	}
	return left
}

// EachConsumer calls fn with each consumer of a secret and what is known of it, seen
// from version. idle says that nobody is logged in with an older one.
func (c *Core) EachConsumer(ctx context.Context, s consumer.Secret, version int, idle bool, fn func(c *consumer.Consumer, s consumer.State)) error {
	all, err := c.consumers.Of(ctx, s)
	if err != nil {
		return err
	}
	for i := range all {
		alive, err := c.alive(ctx, &all[i])
		if err != nil {
			return err
		}
		fn(&all[i], all[i].StateAt(version, alive, idle))
	}
	return nil
}

// alive says whether a consumer's token can still be used.
func (c *Core) alive(ctx context.Context, who *consumer.Consumer) (bool, error) {
	now := c.Now()
	if who.Batch {
		return who.Expires.IsZero() || now.Before(who.Expires), nil
	}
	_, err := c.tokens.ByAccessor(ctx, RootNamespace, who.Token, now)
	if errors.Is(err, token.ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

// tidyConsumers forgets consumers whose tokens have ended.
func (c *Core) tidyConsumers(ctx context.Context) error {
	return c.consumers.Tidy(ctx, c.Now(), func(ctx context.Context, who *consumer.Consumer) (bool, error) {
		alive, err := c.alive(ctx, who)
		return !alive, err
	})
}
