package torture

import (
	"fmt"
	"maps"
	"strings"
)

// policies is a client that writes policies, and a token that has them.
type policies struct {
	state[map[string]string] // name → path that the policy lets read
	token                    string
}

const policyNames = 3

func newPolicies(w *worker) actor {
	p := &policies{state: state[map[string]string]{now: map[string]string{}}}
	names := []string{ownPolicy}
	for i := range policyNames {
		names = append(names, p.policy(w, i))
	}
	p.token = w.must("auth/token/create-orphan", map[string]any{"policies": names, "ttl": "700h"}).Auth.ClientToken
	w.census.add(w.must("auth/token/lookup", map[string]any{"token": p.token}).Data["accessor"])
	return p
}

func (p *policies) policy(w *worker, i int) string { return fmt.Sprintf("%s-p%d", w.name, i) }

func (p *policies) act(w *worker) error {
	name := p.policy(w, w.dice.IntN(policyNames))
	next := maps.Clone(p.now)
	if w.dice.IntN(4) == 0 {
		delete(next, name)
		return p.change(next, func() error {
			_, err := w.delete("sys/policies/acl/" + name)
			return err
		})
	}
	next[name] = "probe/" + w.unique()
	err := p.change(next, func() error {
		_, err := w.write("sys/policies/acl/"+name, map[string]any{"policy": rule(next[name])})
		return err
	})
	if err != nil || w.dice.IntN(4) > 0 {
		return err
	}
	return p.checkForce(w, name)
}

func rule(path string) string { return `path "` + path + `" { capabilities = ["read"] }` }

func (p *policies) check(w *worker) error {
	names, err := w.list("sys/policies/acl")
	if err != nil {
		return err
	}
	got := map[string]string{}
	for _, name := range names {
		if !strings.HasPrefix(name, w.name+"-p") {
			continue
		}
		s, err := w.ask(w.root, "sys/policies/acl/"+name)
		if err != nil || s == nil {
			return fmt.Errorf("policy %s is in the list and can't be read: %w", name, err)
		}
		text := fmt.Sprint(s.Data["policy"])
		_, text, _ = strings.Cut(text, `"`)
		got[name], _, _ = strings.Cut(text, `"`)
	}
	if err := p.settle(w, got); err != nil {
		return err
	}
	for name := range p.now {
		if err := p.checkForce(w, name); err != nil {
			return err
		}
	}
	return nil
}

// checkForce asks what the token may do by a policy.
func (p *policies) checkForce(w *worker, name string) error {
	path := p.now[name]
	s, err := w.root.WithToken(p.token).Write(w.t.Context(), "sys/capabilities-self", map[string]any{"paths": []string{path}})
	if err != nil {
		return w.lost(err)
	}
	if got := fmt.Sprint(s.Data[path]); got != "[read]" {
		return fmt.Errorf("policy %s is not in force: %s on %s", name, got, path)
	}
	return nil
}
