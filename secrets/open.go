package secrets

import (
	"context"
	"fmt"
)

// Secret is one secret that is followed: a [Group] of one. Reading its value takes
// no lock and asks nobody.
type Secret struct{ group *Group }

// Open resolves a text with a reference, or several, and follows it. See
// [OpenGroup], whose word on contexts, server and login holds here too.
func Open(ctx context.Context, reference string, opts ...Option) (*Secret, error) {
	t, err := Parse(reference)
	if err != nil {
		return nil, err
	}
	g, err := OpenTemplates(ctx, map[string]Template{theOne: t}, opts...)
	if err != nil {
		return nil, err
	}
	return &Secret{group: g}, nil
}

// theOne names the template in errors, too.
const theOne = "secret"

// Format prints what is printed of its group.
func (s *Secret) Format(f fmt.State, verb rune) { s.group.Format(f, verb) }

// Value returns the newest value.
func (s *Secret) Value() Value { return s.group.Snapshot().Value(theOne) }

// Version is that of the newest value.
func (s *Secret) Version() int { return s.Value().Version() }

// OnChange is [Group.OnChange].
func (s *Secret) OnChange(fn func(ctx context.Context, v Value) error) (cancel func()) {
	return s.group.OnChange(func(ctx context.Context, all Snapshot) error { return fn(ctx, all.Value(theOne)) })
}

// Use is [Group.Use].
func (s *Secret) Use() (v Value, done func()) {
	all, done := s.group.Use()
	return all.Value(theOne), done
}

// Err is [Group.Err].
func (s *Secret) Err() error { return s.group.Err() }

// Pushed is [Group.Pushed].
func (s *Secret) Pushed() bool { return s.group.Pushed() }

// Refresh is [Group.Refresh].
func (s *Secret) Refresh(ctx context.Context) error { return s.group.Refresh(ctx) }

// Close is [Group.Close].
func (s *Secret) Close() error { return s.group.Close() }
