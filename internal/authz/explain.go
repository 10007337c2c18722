package authz

import (
	"context"

	"github.com/cofferhq/coffer/internal/policy"
)

// Explainer returns what decides as [Store.ACL] does and tells why. Nothing of it
// is remembered: it is for people's questions.
func (s *Store) Explainer(ctx context.Context, names []string, entityID string) (*policy.Explainer, error) {
	all := s.set.Load()
	var policies []*policy.Policy
	for _, name := range names {
		if name == policy.RootName {
			policies = append(policies, policy.Root())
		} else if p := all.parsed[name]; p != nil {
			policies = append(policies, p)
		}
	}
	who, err := s.identity(ctx, entityID)
	if err != nil {
		return nil, err
	}
	return policy.NewExplainer(policies, who)
}
