package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

// village is another system with two users, and a source of rotations.
type village struct {
	mu       sync.Mutex // guards the fields below
	users    map[string]string
	sessions map[string]int
	onSet    func()
}

func newVillage() *village {
	return &village{users: map[string]string{}, sessions: map[string]int{}}
}

// copied is another one, which is as v is now.
func (v *village) copied() *village {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &village{users: maps.Clone(v.users), sessions: maps.Clone(v.sessions)}
}

func (v *village) kind() *source.Kind {
	return &source.Kind{
		Type: "village", Strategies: []source.Strategy{source.Alternate, source.Replace},
		Open: func(json.RawMessage, source.Strategy) (source.Source, error) { return v, nil },
	}
}

func (v *village) Fields() []string { return []string{"username", "password"} }

func (v *village) Create(_ context.Context, a source.Attempt) (source.Values, error) {
	name := "anna"
	if a.Predecessor["username"].RevealText() == name {
		name = "bert"
	}
	return source.Values{"username": secret.Text(name), "password": secret.Text("pw-" + a.ID)}, nil
}

func (v *village) Set(_ context.Context, a source.Attempt) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.onSet != nil {
		v.onSet()
	}
	v.users[a.Candidate["username"].RevealText()] = a.Candidate["password"].RevealText()
	return nil
}

func (v *village) Test(_ context.Context, of source.Values) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users[of["username"].RevealText()] != of["password"].RevealText() {
		return fmt.Errorf("%w: wrong password", source.ErrRefused)
	}
	return nil
}

func (v *village) Retire(_ context.Context, a source.Attempt) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.users[a.Predecessor["username"].RevealText()] = "nobody knows"
	return nil
}

func (v *village) Sessions(_ context.Context, of source.Values) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, known := v.sessions[of["username"].RevealText()]
	if !known {
		return 0, source.ErrNoSessions
	}
	return n, nil
}

func (v *village) Close() error { return nil }
