// Package authz keeps the policies and compiles, for each set of them that
// tokens have, the access-control list that decides requests.
package authz

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cofferhq/coffer/internal/identity"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
)

var form = storage.Form[record]{Name: "policy record", Version: 1}

// wrappingPolicy is what the holder of a wrapping token may do. It is built in
// and can't be changed.
const (
	wrappingName   = "response-wrapping"
	wrappingPolicy = `
path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`
)

type record struct {
	Text string `json:"text"`
}

// Store keeps the policies of the root namespace. Load comes before all else; it
// is safe for concurrent use.
type Store struct {
	store storage.Store
	ns    string
	set   atomic.Pointer[set]
}

// set is all policies at one moment.
type set struct {
	texts  map[string]string
	parsed map[string]*policy.Policy

	acls       sync.Map // key of names → *policy.ACL, see setKey
	remembered atomic.Int64
}

// maxRemembered bounds the ACLs that are kept. Clients choose which policies their
// tokens have, so the number of different sets is theirs to choose as well.
const maxRemembered = 4096

// remember keeps an ACL. When there are too many all are forgotten, which costs
// those in use one compilation each.
func (s *set) remember(key string, acl *policy.ACL) {
	if s.remembered.Add(1) > maxRemembered {
		s.acls.Clear()
		s.remembered.Store(1)
	}
	s.acls.Store(key, acl)
}

// setKey is names in one text from which they can be told apart again: a name may
// have any character.
func setKey(names []string) string {
	n := 0
	for _, name := range names {
		n += len(name) + 2
	}
	key := make([]byte, 0, n)
	for _, name := range names {
		key = binary.AppendUvarint(key, uint64(len(name)))
		key = append(key, name...)
	}
	return string(key)
}

// NewStore returns a Store of one namespace on the barrier.
func NewStore(s storage.Store, ns string) *Store { return &Store{store: s, ns: ns} }

// Table is where the policies of a namespace begin.
func Table(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("policy")
}

// Load reads all policies, at start and whenever one has changed.
func (s *Store) Load(ctx context.Context) error {
	next := &set{texts: map[string]string{}, parsed: map[string]*policy.Policy{}}
	err := storage.View(ctx, s.store, func(tx *storage.Tx) error {
		table := Table(s.ns)
		for row, err := range tx.Scan(ctx, table, "") {
			if err != nil {
				return err
			}
			name, _, err := storage.Cut(row.Key[len(table):])
			if err != nil {
				return err
			}
			var r record
			if err := form.Decode(row.Value, &r); err != nil {
				return err
			}
			if err := next.add(name.Text(), r.Text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := next.add(wrappingName, wrappingPolicy); err != nil {
		return err
	}
	s.set.Store(next)
	return nil
}

func (s *set) add(name, text string) error {
	p, err := policy.Parse(name, text)
	if err != nil {
		return fmt.Errorf("policy %q: %w", name, err)
	}
	s.texts[name], s.parsed[name] = text, p
	return nil
}

// Init stores the default policy in tx; a new server has no other.
func Init(tx *storage.Tx, ns string) error {
	return put(tx, ns, logical.DefaultPolicy, policy.DefaultText)
}

func put(tx *storage.Tx, ns, name, text string) error {
	value, err := form.Encode(&record{Text: text})
	if err != nil {
		return err
	}
	tx.Put(Table(ns)+storage.Name(name), value)
	return nil
}

// Put checks and stores a policy. The name is taken in lower case.
func (s *Store) Put(ctx context.Context, name, text string) (storage.Revision, error) {
	name = strings.ToLower(name)
	switch {
	case name == "":
		return 0, logical.Invalid("policy name is missing")
	case name == "root" || name == wrappingName:
		return 0, logical.Invalid("cannot update %q policy", name)
	}
	if _, err := policy.Parse(name, text); err != nil {
		return 0, logical.Invalid("failed to parse policy: %s", err)
	}
	return storage.Update(ctx, s.store, func(tx *storage.Tx) error { return put(tx, s.ns, name, text) })
}

// Delete removes a policy. An unknown one is no error.
func (s *Store) Delete(ctx context.Context, name string) (storage.Revision, error) {
	name = strings.ToLower(name)
	if name == logical.DefaultPolicy || name == "root" || name == wrappingName {
		return 0, logical.Invalid("cannot delete %q policy", name)
	}
	return storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		tx.Delete(Table(s.ns) + storage.Name(name))
		return nil
	})
}

// Text returns the text of a policy.
func (s *Store) Text(name string) (text string, ok bool) {
	name = strings.ToLower(name)
	if name == "root" {
		return "", true
	}
	text, ok = s.set.Load().texts[name]
	return text, ok
}

// Names returns the names of all policies, sorted.
func (s *Store) Names() []string {
	names := []string{"root"}
	for name := range s.set.Load().texts {
		if name != wrappingName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Missing returns those of names that no policy has.
func (s *Store) Missing(names []string) []string {
	all := s.set.Load()
	var missing []string
	for _, name := range names {
		if _, ok := all.texts[name]; !ok && name != "root" {
			missing = append(missing, name)
		}
	}
	return missing
}

// ACL returns what a token with these policies may do. Policies that don't exist
// allow nothing. entityID fills in templates; it may be empty.
func (s *Store) ACL(ctx context.Context, names []string, entityID string) (*policy.ACL, error) {
	all := s.set.Load()
	key := setKey(names)
	if acl, ok := all.acls.Load(key); ok {
		return acl.(*policy.ACL), nil
	}
	policies := make([]*policy.Policy, 0, len(names))
	templated := false
	for _, name := range names {
		if name == "root" {
			policies = append(policies, policy.Root())
		} else if p := all.parsed[name]; p != nil {
			policies = append(policies, p)
			templated = templated || p.Templated()
		}
	}
	var who *policy.Identity
	if templated {
		// What an entity is called can change at any time: don't remember.
		var err error
		if who, err = s.identity(ctx, entityID); err != nil {
			return nil, err
		}
		return policy.Compile(policies, who)
	}
	acl, err := policy.Compile(policies, nil)
	if err == nil {
		all.remember(key, acl)
	}
	return acl, err
}

func (s *Store) identity(ctx context.Context, entityID string) (who *policy.Identity, err error) {
	if entityID == "" {
		return nil, nil
	}
	err = storage.View(ctx, s.store, func(tx *storage.Tx) error {
		e, err := identity.Get(ctx, tx, s.ns, entityID)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		who = &policy.Identity{ID: e.ID, Name: e.Name, Metadata: e.Metadata}
		for _, a := range e.Aliases {
			who.Aliases = append(who.Aliases, policy.Alias{
				ID: a.ID, Name: a.Name, MountAccessor: a.MountAccessor, Metadata: a.Metadata,
			})
		}
		return nil
	})
	return who, err
}
