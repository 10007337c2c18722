package userpass

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/cofferhq/coffer/internal/logical"
)

// defaults are what a new user reads as.
func defaults(changes map[string]any) map[string]any {
	data := map[string]any{
		"token_bound_cidrs": []any{}, "token_explicit_max_ttl": 0.0, "token_max_ttl": 0.0,
		"token_no_default_policy": false, "token_num_uses": 0.0, "token_period": 0.0,
		"token_policies": []any{}, "token_ttl": 0.0, "token_type": "default",
	}
	maps.Copy(data, changes)
	return data
}

func TestAUserReadsAsItWasWritten(t *testing.T) {
	tests := []struct {
		name   string
		bodies []string
		want   map[string]any // beside the defaults
	}{
		{"nothing but the password", nil, nil},
		{"every field", []string{`{"token_ttl": "20m", "token_max_ttl": 1800, "token_explicit_max_ttl": "1h", "token_num_uses": "3",
			"token_period": "1d", "token_type": "service", "token_no_default_policy": true,
			"token_policies": ["b", "A", "b"], "token_bound_cidrs": ["10.1.0.0/16", "::1"]}`},
			map[string]any{
				"token_ttl": 1200.0, "token_max_ttl": 1800.0, "token_explicit_max_ttl": 3600.0, "token_num_uses": 3.0,
				"token_period": 86400.0, "token_type": "service", "token_no_default_policy": true,
				"token_policies": []any{"a", "b"}, "token_bound_cidrs": []any{"10.1.0.0/16", "::1"},
			}},
		{"older names are read back too", []string{`{"policies": "a", "ttl": 60, "max_ttl": 70, "bound_cidrs": "10.0.0.0/8"}`},
			map[string]any{
				"policies": []any{"a"}, "token_policies": []any{"a"}, "ttl": 60.0, "token_ttl": 60.0, "max_ttl": 70.0, "token_max_ttl": 70.0,
				"bound_cidrs": []any{"10.0.0.0/8"}, "token_bound_cidrs": []any{"10.0.0.0/8"},
			}},
		{"the newer name wins", []string{`{"policies": "old", "token_policies": "new"}`},
			map[string]any{"token_policies": []any{"new"}}},
		{"the newer name makes the older one go", []string{`{"policies": "old", "ttl": 5}`, `{"token_policies": "new", "token_ttl": 6}`},
			map[string]any{"token_policies": []any{"new"}, "token_ttl": 6.0}},
		{"a change leaves the rest alone", []string{`{"token_ttl": 60, "token_policies": "a"}`, `{"token_ttl": 120}`},
			map[string]any{"token_ttl": 120.0, "token_policies": []any{"a"}}},
		{"lists can be emptied", []string{`{"token_policies": "a", "token_bound_cidrs": "10.0.0.0/8"}`, `{"token_policies": [], "token_bound_cidrs": ""}`}, nil},
		{"the default type can be named", []string{`{"token_type": "batch"}`, `{"token_type": "default"}`}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("users/Ann", withPassword("pw"))
			for _, body := range test.bodies {
				h.Write("users/ann", body)
			}
			if diff := cmp.Diff(defaults(test.want), h.Read("users/ANN")); diff != "" {
				t.Error(diff)
			}
			h.mustLogin("ann", "pw")
		})
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	const batch = "'token_type' cannot be 'batch' or 'default_batch' when set to generate "
	hash := bcryptOf(t, "x")
	tests := []struct{ name, body, want string }{
		{"a TTL over its maximum", `{"token_ttl": 20, "token_max_ttl": 10}`, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{"batch tokens with uses", `{"token_type": "batch", "token_num_uses": 1}`, batch + "tokens with limited use count"},
		{"batch tokens with a period", `{"token_type": "default-batch", "token_period": 60}`, batch + "periodic tokens"},
		{"a type nobody knows", `{"token_type": "odd"}`, "invalid 'token_type' value \"odd\""},
		{"negative uses", `{"token_num_uses": -1}`, "'token_num_uses' cannot be negative"},
		{"networks that are none", `{"token_bound_cidrs": "here"}`, "invalid CIDR blocks"},
		{"an empty password", `{"password": ""}`, "missing password"},
		{"two passwords", `{"password": "pw", "password_hash": "` + hash + `"}`, "password and password_hash are mutually exclusive"},
		{"a hash that is none", `{"password_hash": "secret"}`, "password_hash is not a bcrypt hash"},
		{"a hash that would take days", `{"password_hash": "` + strings.Replace(hash, "$04$", "$31$", 1) + `"}`, "cost of at most 16"},
		{"a password without end", withPassword(strings.Repeat("x", maxPasswordBytes+1)), "a password has at most 4096 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("users/ann", withPassword("pw"))
			before := h.stored()
			h.Refused(logical.Write, "users/ann", test.body, logical.ErrInvalid, test.want)
			if _, err := h.Call(logical.Write, "users/bob", test.body); err == nil {
				t.Error("a new one: no error")
			}
			if diff := cmp.Diff(before, h.stored()); diff != "" {
				t.Errorf("changed: %s", diff)
			}
		})
	}
	newHouse(t).Refused(logical.Write, "users/ann", `{"token_policies": "a"}`, logical.ErrInvalid, "missing password")
}

func TestNamesOfUsers(t *testing.T) {
	for name, good := range map[string]bool{
		"ann": true, "Ann": true, "a": true, "a.b-c_9": true, "_x": true, "x-": true, "7": true, strings.Repeat("a", 255): true,
		"-a": false, ".a": false, "a.": false, "a b": false, "a@b": false, "ä": false, strings.Repeat("a", 256): false,
	} {
		h := newHouse(t)
		if !good {
			h.Refused(logical.Write, "users/"+name, withPassword("pw"), logical.ErrInvalid, "a username")
			h.fails(name, "pw", 2*vaultLimits.failures)
			continue
		}
		h.Write("users/"+name, withPassword("pw"))
		if got := h.mustLogin(strings.ToUpper(name), "pw").DisplayName; got != strings.ToLower(name) {
			t.Errorf("%s logs in as %s", name, got)
		}
	}
}

func TestListAndDelete(t *testing.T) {
	h := newHouse(t)
	h.Refused(logical.List, "users", "", logical.ErrNotFound, "")
	h.Write("users/bob", withPassword("pw"))
	h.Write("users/Ann", withPassword("pw"))
	if diff := cmp.Diff([]any{"ann", "bob"}, h.Must(logical.List, "users/", "")["keys"]); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		h.Must(logical.Delete, "users/BOB", "")
	}
	h.Refused(logical.Read, "users/bob", "", logical.ErrNotFound, "")
	h.fails("bob", "pw", 1)
}

func TestACreationIsToldFromAnUpdate(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	for path, want := range map[string]bool{"users/Ann": true, "users/bob": false} {
		if found := h.Exists(path); found != want {
			t.Errorf("%s: %t", path, found)
		}
	}
}

func TestAPasswordCanBeChanged(t *testing.T) {
	const other = "another password"
	hash := bcryptOf(t, other)
	for name, path := range map[string]string{"with the user": "users/ann", "alone": "users/Ann/password"} {
		for kind, body := range map[string]string{"password": withPassword(other), "hash": `{"password_hash": " ` + hash + `\n"}`} {
			t.Run(name+", as "+kind, func(t *testing.T) {
				h := newHouse(t)
				h.Write("users/ann", `{"password": "pw", "token_policies": "a"}`)
				h.Write(path, body)
				h.fails("ann", "pw", 1)
				h.mustLogin("ann", other)
				if diff := cmp.Diff(defaults(map[string]any{"token_policies": []any{"a"}}), h.Read("users/ann")); diff != "" {
					t.Error(diff)
				}
				if all := h.stored(); strings.Contains(all, other) {
					t.Errorf("stored as it is: %q", all)
				}
			})
		}
	}
}

func TestWhatStandsAlone(t *testing.T) {
	h := newHouse(t)
	h.Refused(logical.Write, "users/ann/password", withPassword("pw"), logical.ErrInvalid, "username does not exist")
	h.Refused(logical.Write, "users/ann/policies", `{"policies": "a"}`, logical.ErrInvalid, "username does not exist")
	h.Write("users/ann", withPassword("pw"))
	h.Refused(logical.Write, "users/ann/password", `{}`, logical.ErrInvalid, "missing password")
	h.Refused(logical.Write, "users/ann/policies", `{}`, logical.ErrInvalid, "missing token_policies")
	h.Write("users/ann/policies", `{"token_policies": "B,a"}`)
	if diff := cmp.Diff(defaults(map[string]any{"token_policies": []any{"a", "b"}}), h.Read("users/ann")); diff != "" {
		t.Error(diff)
	}
	h.Write("users/ann/policies", `{"policies": ["c"]}`)
	want := defaults(map[string]any{"token_policies": []any{"c"}, "policies": []any{"c"}})
	if diff := cmp.Diff(want, h.Read("users/ann")); diff != "" {
		t.Error(diff)
	}
	h.mustLogin("ann", "pw")
}

func TestATimeOverTheMountsIsWarnedOf(t *testing.T) {
	h := newHouse(t)
	resp, err := h.Call(logical.Write, "users/ann", `{"password": "pw", "token_max_ttl": "1000h"}`)
	if err != nil || len(resp.Warnings) != 1 {
		t.Errorf("answer %+v, error %v", resp, err)
	}
}

// No error tells what it was about to keep secret.
func TestErrorsTellNoPassword(t *testing.T) {
	const canary = "correct-horse-battery"
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	paths := []string{"login/ann", "login/nobody", "users/ann/password", "users/nobody/password", "users/-", "users/ann"}
	for _, path := range paths {
		for _, body := range []string{
			withPassword(canary), withPassword(strings.Repeat(canary, 999)), `{"password": ["` + canary + `"]}`,
			`{"password_hash": "` + canary + `"}`, fmt.Sprintf(`{"password": %q, "password_hash": %[1]q}`, canary),
		} {
			resp, err := h.Call(logical.Write, path, body)
			if text := fmt.Sprintf("%+v %+v %v", resp, err, errors.Unwrap(err)); strings.Contains(text, canary) {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
}

// bcryptOf returns the cheapest hash there is.
func bcryptOf(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}
