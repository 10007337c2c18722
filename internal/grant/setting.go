package grant

import (
	"maps"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

// Setting is a field of a record T that can be written, read and reset. What the
// functions of this package return may be changed before it is used: another
// Read, say.
type Setting[T any] struct {
	Name    string
	OldName string // deprecated, and still taken; empty: none
	Field   logical.Field

	Set   func(o *T, r *logical.Request, name string) error // name: of the two
	Read  func(o *T) any
	Reset func(o *T) // gives back the default

	// Old is where a record remembers the old names that it was set by; nil if
	// OldName is empty.
	Old func(o *T) *[]string
}

// OrOld returns the setting with a deprecated name. A record that was set by it
// remembers that in what at returns.
func (s Setting[T]) OrOld(name string, at func(*T) *[]string) Setting[T] {
	s.OldName, s.Old = name, at
	return s
}

// Take sets what the request brought and says whether it brought anything. The
// newer name wins.
func (s *Setting[T]) Take(o *T, r *logical.Request) (found bool, err error) {
	for _, name := range []string{s.OldName, s.Name} {
		if name == "" || !r.Has(name) {
			continue
		}
		found = true
		if err := s.Set(o, r, name); err != nil {
			return true, err
		}
		s.forgetOld(o)
		if name == s.OldName {
			old := s.Old(o)
			*old = append(*old, name)
		}
	}
	return found, nil
}

func (s *Setting[T]) forgetOld(o *T) {
	if s.Old != nil {
		old := s.Old(o)
		*old = slices.DeleteFunc(*old, func(name string) bool { return name == s.OldName })
	}
}

// Tell adds the setting to data, under its old name too if it was set by that.
func (s *Setting[T]) Tell(o *T, data map[string]any) {
	data[s.Name] = s.Read(o)
	if s.Old != nil && slices.Contains(*s.Old(o), s.OldName) {
		data[s.OldName] = s.Read(o)
	}
}

// Clear gives the setting back its default.
func (s *Setting[T]) Clear(o *T) {
	s.Reset(o)
	s.forgetOld(o)
}

// Fields are the fields of a request that writes the setting.
func (s *Setting[T]) Fields() logical.Fields {
	fields := logical.Fields{s.Name: s.Field}
	if s.OldName != "" {
		fields[s.OldName] = logical.Field{Type: s.Field.Type, Help: "Older name of " + s.Name + "."}
	}
	return fields
}

// Settings are fields of a record, in the order in which they are set: of several
// that are wrong the first is refused.
type Settings[T any] []Setting[T]

// Take sets what the request brought.
func (all Settings[T]) Take(o *T, r *logical.Request) error {
	for i := range all {
		if _, err := all[i].Take(o, r); err != nil {
			return err
		}
	}
	return nil
}

// Tell adds all settings to data.
func (all Settings[T]) Tell(o *T, data map[string]any) {
	for i := range all {
		all[i].Tell(o, data)
	}
}

// Fields are the fields of a request that writes the record.
func (all Settings[T]) Fields() logical.Fields {
	fields := logical.Fields{}
	for i := range all {
		maps.Copy(fields, all[i].Fields())
	}
	return fields
}

// Named returns the setting with a name, the older one counting too. It panics if
// there is none, which any test that mounts the auth method finds.
func (all Settings[T]) Named(name string) *Setting[T] {
	i := slices.IndexFunc(all, func(s Setting[T]) bool { return s.Name == name || s.OldName == name })
	if i < 0 {
		panic("grant: internal error: no setting " + name)
	}
	return &all[i]
}
