// Package core is the rules of the house: who may do what, in which order, and
// what is remembered. Every request goes through [Core.Handle]; read that first.
package core

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/authz"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/quota"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// undoTimeout bounds the clean-up after a failure, which must not depend on a
// client that has gone away.
const undoTimeout = 10 * time.Second

// Options is what a Core is made of. Every field is needed unless it says so.
type Options struct {
	Store   storage.Store // below the barrier
	Barrier *barrier.Barrier
	Keeper  *custody.Keeper
	Kinds   []logical.Kind // what can be mounted
	// System makes the engines below sys/ and auth/token/ for a core.
	System func(c *Core) []logical.Kind
	Log    *slog.Logger
	Now    func() time.Time
	// Steady is time that nobody can set, against which the clock is held. Nil: what
	// the readings of Now tell beside the time.
	Steady func() time.Duration

	DefaultLeaseTTL time.Duration // zero: 768 h
	MaxLeaseTTL     time.Duration // zero: 768 h

	// Sources are where rotations find new secrets; may be empty.
	Sources source.Kinds
	// Rotated is told of each attempt of a rotation that has ended, perhaps twice
	// if the server dies about then. May be nil.
	Rotated func(name string, e *rotate.Evidence)
	// Audit is devices that the configuration declares; may be empty.
	Audit []audit.Declared
	// FirstMounts is what a new server gets beside the system's own; may be nil.
	FirstMounts []*mount.Entry
}

// defaultTTL is Vault's default for both lease times.
const defaultTTL = 768 * time.Hour

// Core serves requests on a store. It is made sealed; it is safe for concurrent
// use.
type Core struct {
	Options
	kinds     map[string]logical.Kind // type → kind
	barrier   *barrier.Barrier
	tokens    *token.Store
	leases    *lease.Store
	policies  *authz.Store
	quotas    *quota.Store
	devices   *audit.Broker
	consumers *consumer.Store
	rotator   *rotate.Rotator
	underway  underway
	queues    map[line]queue // the calls of each sort
	log       *slog.Logger

	live   atomic.Pointer[live]       // nil while sealed
	follow atomic.Pointer[follower]   // of the last unsealing
	runner atomic.Pointer[due.Runner] // of the last unsealing

	events  atomic.Pointer[event.Hub] // nil while sealed
	streams streams

	newRoot rootGeneration

	// enabled is the records of the devices that are open; it belongs to whoever
	// reloads the configuration.
	enabled map[string]deviceRecord // name → record

	mu     sync.Mutex // guards the fields below, and unsealing and sealing as a whole
	aside  func()     // ends what runs beside the runner, and waits for that
	endHub func()     // ends the subscriptions to events, and waits for that
	epoch  uint64     // of the last unsealing
}

// live is what an unsealed core knows of its configuration at one moment. It is
// immutable.
type live struct {
	table   *mount.Table
	surface *surface
	voids   voids
	epoch   uint64 // counts the unsealings: requests do not outlive theirs
}

// New returns a sealed Core.
func New(o Options) *Core {
	if o.DefaultLeaseTTL == 0 {
		o.DefaultLeaseTTL = defaultTTL
	}
	if o.MaxLeaseTTL == 0 {
		o.MaxLeaseTTL = defaultTTL
	}
	o.Barrier.Now = o.Now
	c := &Core{
		Options: o, barrier: o.Barrier, log: o.Log,
		kinds:     make(map[string]logical.Kind),
		enabled:   make(map[string]deviceRecord),
		tokens:    token.NewStore(o.Barrier, o.Barrier),
		policies:  authz.NewStore(o.Barrier, RootNamespace),
		quotas:    quota.NewStore(o.Barrier, RootNamespace),
		devices:   audit.NewBroker(),
		consumers: consumer.NewStore(o.Barrier, RootNamespace),
	}
	c.rotator = rotate.New(rotate.Options{
		Store: o.Barrier, Namespace: RootNamespace, Kinds: o.Sources, House: publisher{c}, Consumers: tallier{c}, Log: o.Log, Now: c.plannedTime,
		Announce: c.noteRotation,
	})
	c.leases = lease.NewStore(o.Barrier, c.freeLease)
	c.leases.OnNews(c.noteLease)
	c.tokens.OnRevoke(func(ctx context.Context, t *token.Token) error {
		return c.leases.RevokeToken(ctx, t.Namespace, t.ID, c.Now())
	})
	c.tokens.OnRevoke(c.emptyCubbyhole)
	c.tokens.CheckBatch(c.voided)
	for _, k := range append(o.Kinds, o.System(c)...) {
		c.kinds[k.Type] = k
	}
	c.queues = newQueues(c.kinds)
	return c
}

// Tokens, Leases, Policies and Devices are for the system's engines.

// Tokens returns the token store.
func (c *Core) Tokens() *token.Store { return c.tokens }

// Leases returns the lease store.
func (c *Core) Leases() *lease.Store { return c.leases }

// Policies returns the policy store.
func (c *Core) Policies() *authz.Store { return c.policies }

// Rotator returns what rotates secrets.
func (c *Core) Rotator() *rotate.Rotator { return c.rotator }

// Devices returns the audit devices.
func (c *Core) Devices() *audit.Broker { return c.devices }

// Offered returns what can be mounted, by type.
func (c *Core) Offered() []logical.Kind {
	var all []logical.Kind
	for _, name := range slices.Sorted(maps.Keys(c.kinds)) {
		if !reserved(name) {
			all = append(all, c.kinds[name])
		}
	}
	return all
}

// Limits returns the system's lease times.
func (c *Core) Limits() mount.Limits {
	return mount.Limits{DefaultLeaseTTL: c.DefaultLeaseTTL, MaxLeaseTTL: c.MaxLeaseTTL}
}

// start makes an unsealed barrier a serving core. c.mu is held.
func (c *Core) startLocked(ctx context.Context) error {
	if c.live.Load() != nil {
		return nil
	}
	if err := c.syncConfigured(ctx); err != nil {
		return err
	}
	if err := c.startKeyChecks(ctx); err != nil {
		return err
	}
	c.epoch++
	follow, err := c.startFollower(ctx, c.epoch)
	if err != nil {
		return errors.Join(err, c.devices.Close())
	}
	c.follow.Store(follow)
	c.runner.Store(c.startRunner())
	c.rotator.NewEpoch() // reads from before the last sealing may be forgotten
	c.aside = inBackground(c.keepObserving)
	c.endHub = c.openHub()
	c.recordUnseal(ctx)
	c.log.Info("unsealed", "cluster", c.barrier.ClusterID())
	return nil
}

// stopLocked ends everything that start began. c.mu is held.
func (c *Core) stopLocked() {
	l := c.live.Load()
	if l == nil {
		return
	}
	c.endHub()              // subscribers hear of it while there is something to say
	c.follow.Load().Close() // before the rest, or it would bring live back
	c.runner.Load().Close()
	c.aside()
	c.saveConsumers()
	c.saveUsage()
	c.recordSeal(context.Background())
	c.live.Store(nil) // before the devices: see record
	for _, m := range l.table.All() {
		closeEngine(m, c.log)
	}
	if err := c.devices.Close(); err != nil {
		c.log.Error("closing the audit", "error", err)
	}
	c.consumers.Forget()
	c.tokens.Forget() // what engines remember goes with them
}

// inBackground runs fn in a goroutine of its own. What it returns ends fn's context and
// waits until fn has returned.
func inBackground(fn func(ctx context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(ctx)
	}()
	return func() { cancel(); <-done }
}

func closeEngine(m *mount.Mounted, log *slog.Logger) {
	if m.Engine.Close == nil {
		return
	}
	if err := m.Engine.Close(); err != nil {
		log.Error("closing an engine", "mount", m.Path, "error", err)
	}
}

// Close seals the core; the store is the caller's to close.
func (c *Core) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked()
	c.Keeper.Seal()
	return nil
}

// freeLease revokes at its engine what a lease is about.
func (c *Core) freeLease(ctx context.Context, l *lease.Lease) error {
	m, err := c.mountByID(l.MountID)
	if err != nil || m == nil || m.Engine.RevokeLease == nil {
		return err
	}
	return m.Engine.RevokeLease(ctx, c.byItself(m), &logical.Lease{TTL: l.TTL, Renewable: l.Renewable, State: l.State})
}

// withPart runs fn with a request of nobody on the rows of a mount.
func (c *Core) withPart(ctx context.Context, m *mount.Mounted, fn func(r *logical.Request) error) error {
	_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		return fn(&logical.Request{Mount: m.Point, Now: c.Now(), Part: tx.Below(m.Data)})
	})
	return err
}

func (c *Core) mountByID(id string) (*mount.Mounted, error) {
	l := c.live.Load()
	if l == nil {
		return nil, logical.ErrSealed
	}
	return l.table.ByID(id), nil
}
