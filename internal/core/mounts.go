package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/authz"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Kinds of due items that are the core's own.
const (
	leaving due.Kind = "unmount" // Ref: id of the mount
	pruning due.Kind = "prune"   // of the outbox
)

// furnish gives a new server, in the transaction that makes it one, its first
// mounts and policies.
func (c *Core) furnish(ctx context.Context, tx *storage.Tx) error {
	first := []*mount.Entry{
		{Path: "sys/", Type: "system", Description: "system endpoints used for control, policy and debugging", SealWrap: true},
		{Path: "cubbyhole/", Type: "cubbyhole", Description: "per-token private secret storage", Local: true},
		{Path: "auth/token/", Type: "token", Description: "token based credentials"},
	}
	for _, e := range append(first, c.FirstMounts...) {
		own := *e
		if err := mount.Add(ctx, tx, named(&own)); err != nil {
			return err
		}
	}
	if err := due.Schedule(tx, due.Item{At: c.Now(), Kind: pruning, Namespace: RootNamespace}); err != nil {
		return err
	}
	return authz.Init(tx, RootNamespace)
}

// named gives a new entry its id and accessor.
func named(e *mount.Entry) *mount.Entry {
	e.ID, e.Namespace = uuid.New(), RootNamespace
	e.Accessor = e.Type + "_" + strings.ToLower(token.NewAccessor()[:8])
	if e.Auth() {
		e.Accessor = "auth_" + e.Accessor
	}
	return e
}

// loadTable makes a table of the stored entries. Mounts of previous that have
// not changed keep their engine.
func (c *Core) loadTable(ctx context.Context, previous *mount.Table) (*mount.Table, error) {
	var mounts []*mount.Mounted
	err := storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		entries, revs, err := mount.All(ctx, tx, RootNamespace)
		if err != nil {
			return err
		}
		for _, e := range entries {
			var old *mount.Mounted
			if previous != nil {
				old = previous.ByID(e.ID)
			}
			m, err := c.engine(e, revs[e.ID], old)
			if err != nil {
				return err
			}
			mounts = append(mounts, m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return mount.NewTable(mounts), nil
}

func (c *Core) engine(e *mount.Entry, rev storage.Revision, old *mount.Mounted) (*mount.Mounted, error) {
	if old != nil && old.Revision == rev {
		return old, nil
	}
	m := &mount.Mounted{Entry: e, Revision: rev, Point: e.Point(c.Limits()), Data: mount.DataKey(e.Namespace, e.ID)}
	kind, ok := c.kinds[e.Type]
	if !ok {
		return nil, fmt.Errorf("mount %s is of type %q, which this coffer does not have", e.Path, e.Type)
	}
	var err error
	if m.Engine, err = kind.New(m.Point); err != nil {
		return nil, fmt.Errorf("mount %s: %w", e.Path, err)
	}
	if old != nil && m.Engine.Succeed != nil {
		m.Engine.Succeed(old.Engine)
	}
	return m, nil
}

// Mounts returns all mounts, or nothing while sealed.
func (c *Core) Mounts() *mount.Table {
	if l := c.live.Load(); l != nil {
		return l.table
	}
	return mount.NewTable(nil)
}

// Mount adds a mount and returns when it answers. Path, Type, Description,
// Options, Local, SealWrap and Config of e are set.
func (c *Core) Mount(ctx context.Context, e *mount.Entry) error {
	kind, ok := c.kinds[e.Type]
	switch {
	case !ok || kind.Auth != e.Auth() || reserved(e.Type):
		return logical.Invalid("plugin not found in the catalog: %s", e.Type).
			WithHint("this coffer has: %s", strings.Join(c.types(e.Auth()), ", "))
	case kind.Check != nil:
		if err := kind.Check(e.Options); err != nil {
			return err
		}
	}
	if err := checkMountPath(e.Path); err != nil {
		return err
	}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if err := mount.Add(ctx, tx, named(e)); err != nil {
			return err
		}
		return c.noteMount(tx, mountEnabled, e)
	})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}

// reserved says whether a type is mounted once, by the server itself.
func reserved(typ string) bool { return typ == "system" || typ == "token" || typ == "cubbyhole" }

func (c *Core) types(auth bool) []string {
	var types []string
	for _, k := range c.Offered() {
		if k.Auth == auth {
			types = append(types, k.Type)
		}
	}
	return types
}

func checkMountPath(path string) error {
	bare := strings.TrimSuffix(strings.TrimPrefix(path, mount.AuthPrefix), "/")
	first, _, _ := strings.Cut(bare, "/")
	switch {
	case bare == "":
		return logical.Invalid("a mount needs a path")
	case slices.Contains([]string{"sys", "auth", "identity"}, first):
		return logical.Invalid("path %q is reserved", path)
	case strings.ContainsFunc(bare, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return logical.Invalid("path cannot contain control characters")
	}
	return checkPath(bare)
}

// Tune changes a mount and returns when the change is in force.
func (c *Core) Tune(ctx context.Context, id string, change func(e *mount.Entry) error) error {
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		return mount.Change(ctx, tx, RootNamespace, id, func(e *mount.Entry, _ []*mount.Entry) error {
			if err := change(e); err != nil {
				return err
			}
			if kind := c.kinds[e.Type]; kind.Check != nil {
				if err := kind.Check(e.Options); err != nil {
					return err
				}
			}
			return c.noteMount(tx, mountTuned, e)
		})
	})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}

// Move gives a mount another path. Its leases and tokens, which are named by
// the old one, are revoked.
func (c *Core) Move(ctx context.Context, from, to string) error {
	m := c.Mounts().At(from)
	to = strings.Trim(to, "/") + "/"
	switch {
	case m == nil:
		return logical.Invalid("no matching mount at %q", from)
	case reserved(m.Type):
		return logical.Invalid("cannot remount %q", m.Path)
	case m.Auth() != strings.HasPrefix(to, mount.AuthPrefix):
		return logical.Invalid("cannot remount between secret engines and auth methods")
	}
	if err := checkMountPath(to); err != nil {
		return err
	}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if err := c.voidBelow(ctx, tx, m.Path); err != nil {
			return err
		}
		return mount.Change(ctx, tx, RootNamespace, m.ID, func(e *mount.Entry, others []*mount.Entry) error {
			if err := mount.Free(to, others); err != nil {
				return err
			}
			e.Path = to
			return c.noteMount(tx, mountMoved, e, "from", m.Path)
		})
	})
	if err != nil {
		return err
	}
	if err := c.await(ctx, rev); err != nil {
		return err
	}
	// Now that nothing is given away under the old path any more. What a crash
	// leaves here still ends in its time.
	return c.freeMount(ctx, m)
}

// unmountTime is how long an Unmount is left alone before the due queue takes it
// for one that has failed. Two at once do no harm, but work twice.
const unmountTime = time.Minute

// Unmount ends a mount: from the first commit on it answers nothing, then what
// it gave away is revoked and its data deleted. What a crash or an engine's
// failure leaves undone goes on from the due queue. An unknown path is no error.
func (c *Core) Unmount(ctx context.Context, path string) error {
	m := c.Mounts().At(path)
	if m == nil {
		return c.goOnUnmounting(ctx, path)
	}
	if reserved(m.Type) {
		return logical.Invalid("cannot unmount %q", m.Path)
	}
	// An attempt that is half-way would have nowhere to go on to.
	if names, err := c.rotationsOf(ctx, m.ID); err != nil {
		return err
	} else if len(names) > 0 {
		return logical.Invalid("rotations write secrets of %q: %s", m.Path, strings.Join(names, ", ")).
			WithHint("delete them first, or give them another target")
	}
	item := due.Item{At: c.Now().Add(unmountTime), Kind: leaving, Namespace: RootNamespace, Ref: m.ID}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if err := due.Schedule(tx, item); err != nil {
			return err
		}
		return mount.Change(ctx, tx, RootNamespace, m.ID, func(e *mount.Entry, _ []*mount.Entry) error {
			e.Leaving = true
			return c.noteMount(tx, mountDisabled, e)
		})
	})
	if err != nil {
		return err
	}
	if err := c.await(ctx, rev); err != nil {
		return err
	}
	return c.finishUnmount(ctx, item)
}

// goOnUnmounting does what an earlier Unmount of path has left undone, if there
// was one: who asks again should not have to wait for the due queue.
func (c *Core) goOnUnmounting(ctx context.Context, path string) error {
	m := c.Mounts().Leaving(path)
	if m == nil {
		return nil
	}
	// The item in the queue finds nothing to do, later.
	return c.finishUnmount(ctx, due.Item{At: c.Now(), Kind: leaving, Namespace: RootNamespace, Ref: m.ID})
}

// finishUnmount does the rest of an Unmount. It may run twice at once.
func (c *Core) finishUnmount(ctx context.Context, item due.Item) error {
	m, err := c.mountByID(item.Ref)
	if err != nil {
		return err
	}
	if m != nil {
		if err := c.freeMount(ctx, m); err != nil {
			return err
		}
		if m.Engine.Leave != nil {
			if err := m.Engine.Leave(ctx, c.byItself(m)); err != nil {
				return err
			}
		}
		if err := c.deleteBelow(ctx, m.Data); err != nil {
			return err
		}
		if err := c.quotas.Forget(ctx, m.ID); err != nil {
			return err
		}
		if err := c.deleteBelow(ctx, c.consumers.Below(m.ID)); err != nil {
			return err
		}
	}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		due.Cancel(tx, item)
		if m != nil {
			return mount.Remove(ctx, tx, RootNamespace, item.Ref)
		}
		return expectGone(ctx, tx, RootNamespace, item.Ref) // then it is done already
	})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}

// freeMount revokes the leases and tokens that came from a mount.
func (c *Core) freeMount(ctx context.Context, m *mount.Mounted) error {
	ids, err := c.leases.Below(ctx, m.Namespace, m.Path)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.leases.Revoke(ctx, m.Namespace, id, c.Now()); err != nil {
			return fmt.Errorf("lease of mount %s: %w", m.Path, err)
		}
	}
	if !m.Auth() {
		return nil
	}
	return c.RevokeTokensOf(ctx, func(t *token.Token) bool { return t.MountID == m.ID })
}

// RevokeTokensOf revokes the service tokens for which match says yes.
func (c *Core) RevokeTokensOf(ctx context.Context, match func(t *token.Token) bool) error {
	var ids []string
	err := c.tokens.Each(ctx, RootNamespace, c.Now(), func(t *token.Token) error {
		if match(t) {
			ids = append(ids, t.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.tokens.Revoke(ctx, RootNamespace, id, c.Now()); err != nil {
			return err
		}
	}
	return nil
}

// deleteBelow removes all rows below prefix, a commit's worth at a time.
func (c *Core) deleteBelow(ctx context.Context, prefix string) error {
	for more := true; more; {
		more = false
		_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
			more = false
			for row, err := range tx.Scan(ctx, prefix, "") {
				if err != nil {
					return err
				}
				if more = tx.Room() == 0; more {
					return nil
				}
				tx.Delete(row.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// emptyCubbyhole removes what a token has put into its cubbyhole.
func (c *Core) emptyCubbyhole(ctx context.Context, t *token.Token) error {
	l := c.live.Load()
	if l == nil {
		return logical.ErrSealed
	}
	return c.deleteBelow(ctx, l.cubbyhole().Data+storage.Plain("t")+storage.Name(t.ID))
}

// prune removes old events and consumers that have gone, and comes back later.
func (c *Core) prune(ctx context.Context, item due.Item) error {
	if err := c.tidyConsumers(ctx); err != nil {
		return err
	}
	for more := true; more; {
		_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) (err error) {
			if more, err = event.Prune(ctx, tx, c.Now()); err != nil || more {
				return err
			}
			due.Cancel(tx, item)
			item := item
			item.At = c.Now().Add(event.Retention / 4)
			return due.Schedule(tx, item)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
