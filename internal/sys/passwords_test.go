package sys

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

const fourOfA = "length = 4\nrule \"charset\" {\n  charset = \"a\"\n}\n"

func newPasswordPolicies(t *testing.T) PasswordPolicies {
	t.Helper()
	s := inmem.New()
	t.Cleanup(func() { s.Close() })
	return NewPasswordPolicies(s, rootNS)
}

func TestAPasswordPolicyIsFoundByItsName(t *testing.T) {
	p, ctx := newPasswordPolicies(t), t.Context()
	for _, name := range []string{"web", "Web", "team/web"} {
		if err := p.Put(ctx, name, fourOfA); err != nil {
			t.Fatal(err)
		}
	}
	var source password.Source = p.Policy
	policy, err := source(ctx, "team/web")
	if err != nil {
		t.Fatal(err)
	}
	if got := policy.Generate().RevealText(); got != "aaaa" {
		t.Errorf("generated %q", got)
	}
	if text, err := p.Text(ctx, "web"); text != fourOfA || err != nil {
		t.Errorf("text %q, %v", text, err)
	}
	if names, err := p.Names(ctx); !slices.Equal(names, []string{"Web", "team/web", "web"}) || err != nil {
		t.Errorf("names %q, %v", names, err)
	}
	if err := p.Delete(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if names, err := p.Names(ctx); !slices.Equal(names, []string{"Web", "team/web"}) || err != nil {
		t.Errorf("after the deletion: %q, %v", names, err)
	}
}

func TestAPasswordPolicyThatIsNotThere(t *testing.T) {
	p, ctx := newPasswordPolicies(t), t.Context()
	if _, err := p.Policy(ctx, "none"); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("who asks for it is told %v", err)
	}
	if _, err := p.Text(ctx, "none"); !errors.Is(err, logical.ErrNotFound) {
		t.Errorf("who reads it is told %v", err)
	}
	if err := p.Delete(ctx, "none"); err != nil {
		t.Errorf("who deletes it is told %v", err)
	}
}

func TestAPasswordPolicyWithAMistakeReplacesNothing(t *testing.T) {
	p, ctx := newPasswordPolicies(t), t.Context()
	if err := p.Put(ctx, "web", fourOfA); err != nil {
		t.Fatal(err)
	}
	if err := p.Put(ctx, "web", "length = 4"); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if text, err := p.Text(ctx, "web"); text != fourOfA || err != nil {
		t.Errorf("text %q, %v", text, err)
	}
}

func TestAPasswordPolicyOfANewerVersionIsRefused(t *testing.T) {
	p, ctx := newPasswordPolicies(t), t.Context()
	_, err := storage.Update(ctx, p.store, func(tx *storage.Tx) error {
		tx.Put(p.table()+storage.Name("web"), []byte(`{"v":2,"text":""}`))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Policy(ctx, "web"); !errors.Is(err, storage.ErrNewer) {
		t.Errorf("got %v", err)
	}
}
