package core

import (
	"context"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
)

// follower keeps what the core holds in memory of its configuration (mounts,
// policies, quotas, audit devices) up to date with the store, whoever changed it. It
// owns one goroutine.
type follower struct {
	epoch  uint64 // of the unsealing it belongs to
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has returned

	mu   sync.Mutex       // guards the fields below
	seen storage.Revision // every change up to here is in force
	news chan struct{}    // closed when seen grows
}

// configuration is where all rows begin that the follower watches.
func configuration() string { return storage.Plain("conf") }

// startFollower loads the configuration and goes on following it.
func (c *Core) startFollower(ctx context.Context, epoch uint64) (*follower, error) {
	rev, err := c.newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.reload(ctx, epoch); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	f := &follower{epoch: epoch, cancel: cancel, done: make(chan struct{}), seen: rev, news: make(chan struct{})}
	go c.followChanges(run, f, rev)
	return f, nil
}

func (c *Core) newest(ctx context.Context) (storage.Revision, error) {
	snap, err := c.barrier.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	return snap.Revision(), nil
}

// followChanges reloads at every change until ctx ends. After an error it starts
// again from what is newest.
func (c *Core) followChanges(ctx context.Context, f *follower, rev storage.Revision) {
	defer close(f.done)
	const pause = 100 * time.Millisecond
	for ctx.Err() == nil {
		for commit, err := range c.barrier.Watch(ctx, configuration(), rev) {
			if err == nil && len(commit.Ops) > 0 {
				err = c.reload(ctx, f.epoch)
			}
			if err != nil {
				if ctx.Err() == nil {
					c.log.Error("following the configuration", "error", err)
				}
				break
			}
			rev = commit.Revision
			f.advance(rev)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if newest, err := c.newest(ctx); err == nil && c.reload(ctx, f.epoch) == nil {
			rev = newest
			f.advance(rev)
		}
	}
}

// reload reads the whole configuration as it is now and puts it in force.
func (c *Core) reload(ctx context.Context, epoch uint64) error {
	if err := c.policies.Load(ctx); err != nil {
		return err
	}
	var previous *mount.Table
	if l := c.live.Load(); l != nil {
		previous = l.table
	}
	table, err := c.loadTable(ctx, previous)
	if err != nil {
		return err
	}
	if err := c.quotas.Load(ctx); err != nil {
		return err
	}
	surface, err := c.loadSurface(ctx)
	if err != nil {
		return err
	}
	voids, err := c.loadVoids(ctx)
	if err != nil {
		return err
	}
	if err := c.loadDevices(ctx); err != nil {
		return err
	}
	c.live.Store(&live{table: table, surface: surface, voids: voids, epoch: epoch})
	if previous != nil {
		c.closeGone(previous, table)
	}
	return nil
}

// closeGone closes the engines that are no longer mounted, or are in a new form.
func (c *Core) closeGone(previous, table *mount.Table) {
	for _, m := range previous.All() {
		if now := table.ByID(m.ID); now == nil || now.Engine != m.Engine {
			closeEngine(m, c.log)
		}
	}
}

func (f *follower) advance(rev storage.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rev > f.seen {
		f.seen = rev
		close(f.news)
		f.news = make(chan struct{})
	}
}

// Close stops following and waits until that is so.
func (f *follower) Close() { f.cancel(); <-f.done }

// await returns when the configuration of rev is in force here.
func (c *Core) await(ctx context.Context, rev storage.Revision) error {
	f := c.follow.Load()
	if f == nil {
		return logical.ErrSealed
	}
	for {
		f.mu.Lock()
		seen, news := f.seen, f.news
		f.mu.Unlock()
		if seen >= rev {
			return nil
		}
		select {
		case <-news:
		case <-f.done:
			return logical.ErrSealed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Await is await, for the system's engines.
func (c *Core) Await(ctx context.Context, rev storage.Revision) error { return c.await(ctx, rev) }
