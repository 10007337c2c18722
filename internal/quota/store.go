package quota

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Store keeps the rules of a namespace. Load comes before all else; it is safe
// for concurrent use.
type Store struct {
	store   storage.Store
	ns      string
	clients func() *clients // made with the first rule

	set atomic.Pointer[set] // never nil
}

// set is all rules and the settings at one moment. It is immutable.
type set struct {
	settings Settings
	byName   map[string]*Limit
	global   *Limit            // nil: none
	mounts   map[string]*scope // id of the mount → rules
}

// scope is the rules of a mount.
type scope struct {
	whole    *Limit            // nil: none
	paths    map[string]*Limit // path without a slash at its end
	prefixes []*Limit          // longest first
	roles    map[string]*Limit
}

// NewStore returns a Store of one namespace on the barrier.
func NewStore(s storage.Store, ns string) *Store {
	q := &Store{store: s, ns: ns, clients: sync.OnceValue(func() *clients { return newClients(maxClients) })}
	q.set.Store(&set{settings: Default()})
	return q
}

func table(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("quota")
}

func settingsKey(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("quotas") + storage.Plain("settings")
}

// guardKey is a row that every new or changed rule rewrites, so that two at once
// conflict: no two may be for the same.
func guardKey(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("quotas") + storage.Plain("guard")
}

// Load reads all rules, at start and whenever one has changed. What clients have
// used of a rule that is as before is not forgotten.
func (s *Store) Load(ctx context.Context) error {
	next := &set{byName: map[string]*Limit{}, mounts: map[string]*scope{}}
	err := storage.View(ctx, s.store, func(tx *storage.Tx) (err error) {
		if next.settings, err = s.readSettings(ctx, tx); err != nil {
			return err
		}
		rules, err := s.all(ctx, tx)
		if err != nil {
			return err
		}
		previous := s.set.Load()
		for _, r := range rules {
			l := previous.byName[r.Name]
			if l == nil || l.Rule != r {
				l = newLimit(r, s.clients())
			}
			next.add(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.set.Store(next)
	return nil
}

func (s *set) add(l *Limit) {
	s.byName[l.Name] = l
	if l.MountID == "" {
		s.global = l
		return
	}
	m := s.mounts[l.MountID]
	if m == nil {
		m = &scope{paths: map[string]*Limit{}, roles: map[string]*Limit{}}
		s.mounts[l.MountID] = m
	}
	switch {
	case l.Role != "":
		m.roles[l.Role] = l
	case l.Path == "":
		m.whole = l
	case strings.HasSuffix(l.Path, "*"):
		m.prefixes = append(m.prefixes, l)
		slices.SortFunc(m.prefixes, func(a, b *Limit) int { return len(b.Path) - len(a.Path) })
	default:
		m.paths[trimSlash(l.Path)] = l
	}
}

// Empty says whether there is no rule at all.
func (s *Store) Empty() bool { return len(s.set.Load().byName) == 0 }

// Settings returns what is for all rules. The caller must not change it.
func (s *Store) Settings() Settings { return s.set.Load().settings }

// Names returns the names of all rules, sorted.
func (s *Store) Names() []string { return slices.Sorted(maps.Keys(s.set.Load().byName)) }

// Rule returns the rule of that name.
func (s *Store) Rule(name string) (r Rule, ok bool) {
	if l := s.set.Load().byName[name]; l != nil {
		return l.Rule, true
	}
	return Rule{}, false
}

// Target is what a request is for.
type Target struct {
	Path    string // of the API
	MountID string // empty: no mount
	Rest    string // path below the mount
	// Role names the role that a login is for, or is empty. It is asked only if
	// the mount has rules for roles. Nil: no login.
	Role func() string
}

// For returns the most specific limit of a request, or nil: that of the role
// before that of the path, before the mount's, before that of the server.
func (s *Store) For(t Target) *Limit {
	all := s.set.Load()
	if len(all.byName) == 0 || all.settings.exempt(t.Path) {
		return nil
	}
	if m := all.mounts[t.MountID]; m != nil {
		if l := m.limit(t); l != nil {
			return l
		}
	}
	return all.global
}

func (m *scope) limit(t Target) *Limit {
	if len(m.roles) > 0 && t.Role != nil {
		if l := m.roles[t.Role()]; l != nil {
			return l
		}
	}
	if l := m.paths[trimSlash(t.Rest)]; l != nil {
		return l
	}
	for _, l := range m.prefixes {
		if strings.HasPrefix(t.Rest, strings.TrimSuffix(l.Path, "*")) {
			return l
		}
	}
	return m.whole
}

// Put checks and stores a rule, in the place of the one with its name.
func (s *Store) Put(ctx context.Context, r Rule) (storage.Revision, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	value, err := ruleForm.Encode(&r)
	if err != nil {
		return 0, err
	}
	return storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		if _, err := tx.Get(ctx, guardKey(s.ns)); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		tx.Put(guardKey(s.ns), nil)
		rules, err := s.all(ctx, tx)
		if err != nil {
			return err
		}
		for _, other := range rules {
			if other.Name != r.Name && other.sameScope(&r) {
				return logical.Invalid("the quota %q is for the same path and role already", other.Name)
			}
		}
		tx.Put(table(s.ns)+storage.Name(r.Name), value)
		return nil
	})
}

// Delete removes a rule. An unknown one is no error.
func (s *Store) Delete(ctx context.Context, name string) (storage.Revision, error) {
	return storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		tx.Delete(table(s.ns) + storage.Name(name))
		return nil
	})
}

// Forget removes the rules of a mount, which is going.
func (s *Store) Forget(ctx context.Context, mountID string) error {
	for more := true; more; {
		_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
			rules, err := s.all(ctx, tx)
			more = false
			for _, r := range rules {
				if r.MountID != mountID {
					continue
				}
				if more = tx.Room() == 0; more {
					break
				}
				tx.Delete(table(s.ns) + storage.Name(r.Name))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Configure changes the settings.
func (s *Store) Configure(ctx context.Context, change func(*Settings)) (storage.Revision, error) {
	return storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		settings, err := s.readSettings(ctx, tx)
		if err != nil {
			return err
		}
		change(&settings)
		value, err := settingsForm.Encode(&settings)
		if err != nil {
			return err
		}
		tx.Put(settingsKey(s.ns), value)
		return nil
	})
}

func (s *Store) readSettings(ctx context.Context, tx *storage.Tx) (Settings, error) {
	row, err := tx.Get(ctx, settingsKey(s.ns))
	if errors.Is(err, storage.ErrNotFound) {
		return Default(), nil
	}
	if err != nil {
		return Settings{}, err
	}
	var settings Settings
	if err := settingsForm.Decode(row.Value, &settings); err != nil {
		return Settings{}, err
	}
	return settings, nil
}

func (s *Store) all(ctx context.Context, tx *storage.Tx) ([]Rule, error) {
	var all []Rule
	table := table(s.ns)
	for row, err := range tx.Scan(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		name, _, err := storage.Cut(row.Key[len(table):])
		if err != nil {
			return nil, err
		}
		r := Rule{Name: name.Text()}
		if err := ruleForm.Decode(row.Value, &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
