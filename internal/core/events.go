package core

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// recheckTime is how often it is looked whether subscribers may still be told.
const recheckTime = 500 * time.Millisecond

// Stream is a subscription to events that was granted. Close it.
type Stream struct {
	*event.Subscription
	JSON     bool // as the subscriber wants its events; else in protocol buffers
	Progress bool // it wants to know how far the stream has come

	core *Core
	who  subscriber
}

// subscriber is who may be told as long as nothing of it changes.
type subscriber struct {
	ns     string
	token  secret.Bytes
	call   policy.Query
	usable func(t *token.Token) bool // from where the request came
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.core.streams.remove(s)
	return s.Subscription.Close()
}

// streams is the subscriptions that are open.
type streams struct {
	mu   sync.Mutex // guards the field below
	open map[*Stream]struct{}
}

func (o *streams) add(s *Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = make(map[*Stream]struct{})
	}
	o.open[s] = struct{}{}
}

func (o *streams) remove(s *Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, s)
}

func (o *streams) all() []*Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.open))
}

// Subscribe grants a subscription to events as Handle does any other call: routed,
// decided and on record. The stream outlives ctx.
func (c *Core) Subscribe(ctx context.Context, call *Call) (*Stream, error) {
	v := &visit{Call: call}
	c.underway.enter(v)
	defer c.underway.leave(v)
	if err := c.route(v); err != nil {
		return nil, err
	}
	if err := c.limit(ctx, v); err != nil {
		return nil, c.refuseOverLimit(ctx, v, err)
	}
	if err := c.admit(ctx, v); err != nil {
		return nil, err
	}
	if v.lastUse {
		c.revokeUsedUp(ctx, v)
		return nil, c.recordRefusal(ctx, v, logical.Invalid("the token had one use left, which does not last for a subscription"))
	}
	s, err := c.stream(ctx, v)
	if err != nil {
		return nil, c.recordRefusal(ctx, v, fromStorage(err))
	}
	if err := c.recordAnswer(ctx, v, &Answer{RequestID: v.ID, MountType: v.mount.Type, Empty: true}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// stream makes the subscription of a call that is allowed.
func (c *Core) stream(ctx context.Context, v *visit) (*Stream, error) {
	r := v.request
	w := event.Wish{
		Types: r.Text("type"), Namespaces: r.Texts("namespaces"), Filter: r.Text("filter"), Owner: v.token.Accessor,
	}
	if w.Types == "" {
		return nil, logical.Invalid("did not specify eventType to subscribe to")
	}
	if text := r.Text("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, logical.Invalid("since must be a revision, a number as in X-Vault-Index")
		}
		rev := storage.Revision(n)
		w.Since = &rev
	}
	hub := c.events.Load()
	if hub == nil {
		return nil, logical.ErrSealed
	}
	sub, err := hub.Subscribe(ctx, w, v.acl)
	if err != nil {
		return nil, err
	}
	s := &Stream{Subscription: sub, JSON: r.Bool("json"), Progress: r.Bool("progress"), core: c, who: subscriber{
		ns: v.ns, token: secret.Text(v.Token), call: v.check(),
		usable: func(t *token.Token) bool { return t.UsableFrom(r.RemoteAddr) },
	}}
	c.streams.add(s)
	return s, nil
}

// keepStreams has streams end when their tokens do, and follow their policies,
// until ctx ends.
func (c *Core) keepStreams(ctx context.Context) {
	tick := time.NewTicker(recheckTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.RecheckStreams(ctx)
		}
	}
}

// RecheckStreams ends the streams of those who may no longer subscribe, and has
// the others go by the policies as they are now.
func (c *Core) RecheckStreams(ctx context.Context) {
	seen := make(map[string]*policy.ACL) // many streams may have one token
	for _, s := range c.streams.all() {
		acl, err := c.recheck(ctx, s, seen)
		switch {
		case err == nil:
			s.Allow(acl)
		case errors.Is(err, event.ErrToken), errors.Is(err, event.ErrPolicy):
			s.End(err)
		case ctx.Err() == nil && !errors.Is(err, logical.ErrSealed):
			c.log.Error("checking a subscriber again", "error", err)
		}
	}
}

// recheck returns what the owner of a stream may do now.
func (c *Core) recheck(ctx context.Context, s *Stream, seen map[string]*policy.ACL) (*policy.ACL, error) {
	text := s.who.token.RevealText()
	acl, known := seen[text]
	if !known {
		t, err := c.tokens.Lookup(ctx, s.who.ns, text, c.Now())
		switch {
		case errors.Is(err, token.ErrUnknown), err == nil && !s.who.usable(t):
			return nil, event.ErrToken
		case err != nil:
			return nil, err
		}
		if acl, err = c.policies.ACL(ctx, t.Policies, t.EntityID); err != nil {
			return nil, err
		}
		seen[text] = acl
	}
	if !acl.Check(s.who.call).Allowed {
		return nil, event.ErrPolicy
	}
	return acl, nil
}

// EndStreams ends every subscription, as the server is about to stop. There are no
// new ones until the core has been sealed and unsealed.
func (c *Core) EndStreams() {
	if hub := c.events.Load(); hub != nil {
		hub.Stop(event.ErrStopping)
	}
}

// openHub gives events to subscribers from now on, until end is called.
func (c *Core) openHub() (end func()) {
	hub := event.NewHub(event.Options{Store: c.barrier, Log: c.log, Now: c.Now, Source: "vault://" + c.barrier.ClusterID()})
	c.events.Store(hub)
	stop := inBackground(c.keepStreams)
	return func() {
		c.events.Store(nil)
		stop()
		hub.Close()
	}
}

// The events that the core adds to those of engines.
const (
	loggedIn      = "coffer/auth-login"
	mountEnabled  = "coffer/mount-enable"
	mountDisabled = "coffer/mount-disable"
	mountMoved    = "coffer/mount-move"
	mountTuned    = "coffer/mount-tune"
	leaseExpired  = "coffer/lease-expire"
	leaseRevoked  = "coffer/lease-revoke"
	leaseStuck    = "coffer/lease-irrevocable"
	rotationEvent = "coffer/rotation-"
)

// note writes an event of the core's own to the outbox. subject is the path whose
// policy decides who may learn of it; more is metadata in pairs.
func (c *Core) note(tx *storage.Tx, m logical.MountPoint, requestID, eventType, subject string, more ...string) error {
	_, operation, _ := strings.Cut(eventType, "/")
	metadata := map[string]string{"path": subject, "data_path": subject, "operation": operation, "modified": "true"}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			metadata[more[i]] = more[i+1]
		}
	}
	return event.Append(tx, RootNamespace, m, requestID, c.Now(), logical.Event{Type: eventType, Metadata: metadata})
}

// noteLogin tells of a login that has made a token in tx. One that made none costs
// no commit, and is not told.
func (c *Core) noteLogin(tx *storage.Tx, v *visit, t *token.Token) error {
	if !v.mount.Auth() || v.mount.Type == "token" || t.Batch() {
		return nil
	}
	return c.note(tx, v.mount.Point, v.ID, loggedIn, v.Path,
		"display_name", t.Display, "entity_id", t.EntityID)
}

// noteMount tells of what has become of a mount.
func (c *Core) noteMount(tx *storage.Tx, eventType string, e *mount.Entry, more ...string) error {
	subject := "sys/mounts/" + e.Path
	if path, ok := strings.CutPrefix(e.Path, mount.AuthPrefix); ok {
		subject = "sys/auth/" + path
	}
	return c.note(tx, e.Point(c.Limits()), "", eventType, strings.TrimSuffix(subject, "/"), append(more, "type", e.Type)...)
}

// noteLease tells that a lease is over, or that it can't be revoked. Its id stays
// untold: who has it can renew.
func (c *Core) noteLease(tx *storage.Tx, l *lease.Lease, what lease.News) error {
	eventType := map[lease.News]string{
		lease.Expired: leaseExpired, lease.Revoked: leaseRevoked, lease.Irrevocable: leaseStuck,
	}[what]
	var point logical.MountPoint
	if m, err := c.mountByID(l.MountID); err == nil && m != nil {
		point = m.Point
	}
	subject := strings.TrimSuffix(strings.TrimSuffix(l.ID, l.Ref), "/")
	return c.note(tx, point, "", eventType, subject, "issue_time", l.Issued.Format(time.RFC3339Nano), "error", l.LastError)
}

// noteRotation tells how far a rotation has come.
func (c *Core) noteRotation(tx *storage.Tx, n rotate.News) error {
	var point logical.MountPoint
	if m := c.Mounts().At("sys/"); m != nil {
		point = m.Point
	}
	more := []string{"name", n.Rotation, "attempt", n.Attempt, "target", n.Target, "error", n.Error}
	if n.Version > 0 {
		more = append(more, "current_version", strconv.Itoa(n.Version))
	}
	return c.note(tx, point, n.Attempt, rotationEvent+string(n.What), "sys/coffer/rotation/"+n.Rotation, more...)
}
