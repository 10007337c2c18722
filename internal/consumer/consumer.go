// Package consumer remembers who has read which version of which secret, and what
// is known of them now, so that a rotation can wait for those who use the old one.
//
// A read costs a look into memory. What it shows that is new goes to the store in
// batches, at most one a second ([Store.Flush]); a crash loses the last of them,
// which is why who awaits consumers must know whether it has seen all reads.
package consumer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Secret names a secret.
type Secret struct {
	MountID string
	Path    string // below the mount, without data/
}

// Reader is an authenticated client. A token is one reader, or several if they
// tell their instances apart.
type Reader struct {
	Token    string // accessor; of a batch token, which has none, what tells it from others
	Instance string // as the client calls itself; may be empty
	Batch    bool
	EntityID string
	Display  string
	Role     string // of the auth method or of the token; may be empty
	Addr     netip.Addr
	Expires  time.Time // of the token; zero: never
}

// maxInstance bounds the name of an instance, in bytes. What is longer is cut.
const maxInstance = 128

// ReaderOf returns who calls with a token of that text, from addr, as the instance
// of that name, which may be empty.
func ReaderOf(c *logical.Caller, text string, addr netip.Addr, instance string) Reader {
	r := Reader{
		Token: c.Accessor, Batch: c.TokenType == logical.TokenBatch, EntityID: c.EntityID,
		Display: c.DisplayName, Role: c.Role, Addr: addr, Expires: c.Expires,
		Instance: instance[:min(len(instance), maxInstance)],
	}
	if r.Role == "" {
		r.Role = c.Metadata["role_name"]
	}
	if r.Batch {
		// A token has far too much chance in it to be found by its hash.
		sum := sha256.Sum256([]byte(text))
		r.Token = base64.RawURLEncoding.EncodeToString(sum[:18])
	}
	return r
}

// State is what is known of a consumer, seen from the newest version.
type State string

// The states.
const (
	Moved   State = "moved"   // it has said that it uses the version, or no session of an older one is left
	Behind  State = "behind"  // it may use an older one
	Unknown State = "unknown" // its token has gone without a word
	Left    State = "left"    // it has said goodbye
)

// Consumer is a reader of a secret, as it is stored.
type Consumer struct {
	Token    string     `json:"tok"`
	Instance string     `json:"inst,omitempty"`
	Batch    bool       `json:"batch,omitempty"`
	EntityID string     `json:"ent,omitempty"`
	Display  string     `json:"dn,omitempty"`
	Role     string     `json:"role,omitempty"`
	Addr     netip.Addr `json:"addr,omitzero"`
	Expires  time.Time  `json:"exp,omitzero"`
	First    time.Time  `json:"first"`
	Last     time.Time  `json:"last"`            // of the reads; may be late by freshness
	Read     int        `json:"read,omitempty"`  // newest version that was read
	Using    int        `json:"using,omitempty"` // version that the client has said it uses
	Gone     time.Time  `json:"gone,omitzero"`   // when it said goodbye
}

var form = storage.Form[Consumer]{Name: "consumer record", Version: 1}

const (
	// freshness is how often the time of the last read is stored.
	freshness = time.Hour
	// Kept is how long a consumer whose token has ended is remembered.
	Kept = 24 * time.Hour
	// remembered bounds the consumers in memory.
	remembered = 100_000
	// atOnce bounds the rows of a commit.
	atOnce = 100
)

// mark is what reads have shown of a consumer that the store is still to be told.
type mark struct {
	secret Secret
	reader Reader
	first  time.Time
	last   time.Time
	read   int
}

type key struct{ token, instance, mount, path string }

func keyOf(s Secret, r Reader) key { return key{r.Token, r.Instance, s.MountID, s.Path} }

// told is what the store has been told of a consumer, or soon will be. There is one
// for each client and each secret it reads: it holds no text.
type told struct {
	last int64 // Unix nanoseconds
	read int
}

// id stands for a key in memory, in a fifth of its bytes. The hashes are under seeds
// of this process, so that nobody can make two consumers be taken for one, which
// chance does not do to 128 bits.
type id [2]uint64

func (st *Store) idOf(k key) id {
	return id{maphash.Comparable(st.seeds[0], k), maphash.Comparable(st.seeds[1], k)}
}

// Store remembers the consumers of all secrets of a namespace. It is safe for
// concurrent use.
type Store struct {
	store storage.Store
	ns    string
	seeds [2]maphash.Seed
	known *otter.Cache[id, told]

	flushing sync.Mutex // held while what was fresh is on its way to the store

	mu    sync.Mutex // guards the field below
	fresh map[key]mark
}

// NewStore returns a Store on the barrier.
func NewStore(s storage.Store, ns string) *Store {
	return &Store{
		store: s, ns: ns, fresh: make(map[key]mark),
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		known: otter.Must(&otter.Options[id, told]{MaximumSize: remembered, Executor: func(fn func()) { fn() }}),
	}
}

// Saw remembers that r has read a version of s. It does not touch the store.
func (st *Store) Saw(s Secret, r Reader, version int, now time.Time) {
	k := keyOf(s, r)
	who := st.idOf(k)
	t, ok := st.known.GetIfPresent(who)
	if ok && version <= t.read && now.UnixNano()-t.last < int64(freshness) {
		return
	}
	t = told{last: now.UnixNano(), read: max(t.read, version)}
	st.known.Set(who, t)
	m := mark{secret: s, reader: r, first: now, last: now, read: t.read}
	st.mu.Lock()
	defer st.mu.Unlock()
	if earlier, waiting := st.fresh[k]; waiting {
		m.first, m.read = earlier.first, max(m.read, earlier.read)
	}
	st.fresh[k] = m
}

// Forget forgets what is in memory, when the barrier is sealed: reads that no Flush
// has stored were for nothing.
func (st *Store) Forget() {
	st.known.InvalidateAll()
	st.mu.Lock()
	defer st.mu.Unlock()
	clear(st.fresh)
}

// Flush stores what reads have shown since the last one, and returns when what
// another Flush has taken is stored, too. What can't be stored now waits for the next.
func (st *Store) Flush(ctx context.Context) error {
	st.flushing.Lock()
	defer st.flushing.Unlock()
	fresh := st.takeFresh()
	for marks := range slices.Chunk(slices.Collect(maps.Values(fresh)), atOnce) {
		if err := st.merge(ctx, marks); err != nil {
			st.putBack(fresh)
			return err
		}
	}
	return nil
}

// takeFresh returns what is fresh, which is the caller's own from here on.
func (st *Store) takeFresh() map[key]mark {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.fresh) == 0 {
		return nil
	}
	fresh := st.fresh
	st.fresh = make(map[key]mark)
	return fresh
}

func (st *Store) putBack(marks map[key]mark) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for k, m := range marks {
		if _, newer := st.fresh[k]; !newer {
			st.fresh[k] = m
		}
	}
}

func (st *Store) merge(ctx context.Context, marks []mark) error {
	_, err := storage.Update(ctx, st.store, func(tx *storage.Tx) error {
		for _, m := range marks {
			err := st.change(ctx, tx, m.secret, m.reader, func(c *Consumer) {
				if c.First.IsZero() {
					c.First = m.first
				}
				c.Last, c.Read = m.last, max(c.Read, m.read)
				if m.last.After(c.Gone) { // else it is a read from before the goodbye
					c.Gone = time.Time{}
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Acknowledge remembers in tx that r uses a version of s, as it says itself.
func (st *Store) Acknowledge(ctx context.Context, tx *storage.Tx, s Secret, r Reader, version int, now time.Time) error {
	return st.change(ctx, tx, s, r, func(c *Consumer) {
		if c.First.IsZero() {
			c.First, c.Last = now, now
		}
		c.Using, c.Read, c.Gone = version, max(c.Read, version), time.Time{}
	})
}

// Leave remembers in tx that r has no more use for s, until it reads it again.
func (st *Store) Leave(ctx context.Context, tx *storage.Tx, s Secret, r Reader, now time.Time) error {
	st.known.Invalidate(st.idOf(keyOf(s, r))) // or that read would be nothing new
	return st.change(ctx, tx, s, r, func(c *Consumer) {
		if c.First.IsZero() {
			c.First, c.Last = now, now
		}
		c.Gone = now
	})
}

func (st *Store) change(ctx context.Context, tx *storage.Tx, s Secret, r Reader, fn func(c *Consumer)) error {
	var c Consumer
	row := st.rowKey(s, r.Token, r.Instance)
	e, err := tx.Get(ctx, row)
	if err == nil {
		err = form.Decode(e.Value, &c)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	c.Token, c.Instance = r.Token, r.Instance
	c.Batch, c.EntityID, c.Display, c.Role, c.Addr, c.Expires = r.Batch, r.EntityID, r.Display, r.Role, r.Addr, r.Expires
	fn(&c)
	value, err := form.Encode(&c)
	if err == nil {
		tx.Put(row, value)
	}
	return err
}

func (st *Store) table() string { return storage.Plain("consumer") + storage.Plain(st.ns) }

// Below is where the rows of the consumers of a mount's secrets begin.
func (st *Store) Below(mountID string) string { return st.table() + storage.Plain(mountID) }

func (st *Store) secretKey(s Secret) string {
	return st.Below(s.MountID) + storage.Path(s.Path) + storage.Plain("by")
}

func (st *Store) rowKey(s Secret, token, instance string) string {
	return st.secretKey(s) + storage.Name(token) + storage.Name(instance)
}

// Of returns the consumers of a secret, those who have read last first.
func (st *Store) Of(ctx context.Context, s Secret) ([]Consumer, error) {
	if err := st.Flush(ctx); err != nil {
		return nil, err
	}
	var all []Consumer
	err := storage.View(ctx, st.store, func(tx *storage.Tx) error {
		all = nil
		for e, err := range tx.Scan(ctx, st.secretKey(s), "") {
			if err != nil {
				return err
			}
			var c Consumer
			if err := form.Decode(e.Value, &c); err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Consumer) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Token, b.Token), strings.Compare(a.Instance, b.Instance))
	})
	return all, err
}

// StateAt says what is known of the consumer, seen from a version of its secret.
// alive says that its token can still be used; idle that nobody is logged in with
// an older version. Having read the version is not using it, unless idle.
func (c *Consumer) StateAt(version int, alive, idle bool) State {
	switch {
	case !c.Gone.IsZero():
		return Left
	case c.Using >= version, c.Read >= version && idle:
		return Moved
	case !alive:
		return Unknown
	}
	return Behind
}

// HasRole says whether the consumer counts for one of roles: by its role, or by the
// id of its entity. No roles are all.
func (c *Consumer) HasRole(roles []string) bool {
	return len(roles) == 0 || slices.ContainsFunc(roles, func(r string) bool { return r == c.Role || r == c.EntityID })
}
