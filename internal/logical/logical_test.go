package logical_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestPoliciesOfATokenAreNormal(t *testing.T) {
	tests := []struct {
		name string
		in   logical.Auth
		want []string
	}{
		{"none but the default", logical.Auth{}, []string{"default"}},
		{"none at all", logical.Auth{NoDefaultPolicy: true}, []string{}},
		{"sorted, in lower case, each once", logical.Auth{Policies: []string{"Dev", "admin", " dev ", ""}}, []string{"admin", "default", "dev"}},
		{"the default one that was asked for", logical.Auth{Policies: []string{"default"}, NoDefaultPolicy: true}, []string{"default"}},
		{"root stands alone", logical.Auth{Policies: []string{"dev", "ROOT"}}, []string{"root"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.in.TokenPolicies(); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestErrorsHaveAKindAndACause(t *testing.T) {
	cause := errors.New("secret detail")
	tests := []struct {
		name string
		err  *logical.Error
		text string
		kind error
	}{
		{"a text", logical.Invalid("no %q", "name"), `no "name"`, logical.ErrInvalid},
		{"no text", &logical.Error{Kind: logical.ErrDenied, Err: cause}, "permission denied", logical.ErrDenied},
		{"a hint changes nothing", logical.Invalid("no name").WithHint("give one"), "no name", logical.ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.err.Error(); got != test.text {
				t.Errorf("%q, want %q", got, test.text)
			}
			if !errors.Is(test.err, test.kind) || errors.Is(test.err, logical.ErrSealed) {
				t.Errorf("%v is of another kind", test.err)
			}
			if errors.Is(test.err, cause) != (test.err.Err != nil) {
				t.Error("the cause is not seen")
			}
		})
	}
	first := logical.Invalid("a")
	if first.WithHint("b").Hint != "b" || first.Hint != "" {
		t.Error("WithHint changes the error that it is called on")
	}
}

func TestOperationsHaveTheNamesOfTheAudit(t *testing.T) {
	want := map[logical.Op]string{
		logical.Read: "read", logical.List: "list", logical.Write: "update", logical.Update: "update",
		logical.Create: "create", logical.Patch: "patch", logical.Delete: "delete", logical.Op(99): "unknown",
	}
	for op, name := range want {
		if op.String() != name {
			t.Errorf("operation %d is %q, want %q", op, op.String(), name)
		}
	}
}
