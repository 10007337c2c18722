package approle

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

// defaults are what a new role reads as.
func defaults(changes map[string]any) map[string]any {
	data := map[string]any{
		"bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": nil,
		"secret_id_num_uses": 0.0, "secret_id_ttl": 0.0,
		"token_bound_cidrs": []any{}, "token_explicit_max_ttl": 0.0, "token_max_ttl": 0.0,
		"token_no_default_policy": false, "token_num_uses": 0.0, "token_period": 0.0,
		"token_policies": []any{}, "token_ttl": 0.0, "token_type": "default",
	}
	for name, value := range changes {
		data[name] = value
	}
	return data
}

func TestARoleReadsAsItWasWritten(t *testing.T) {
	tests := []struct {
		name   string
		bodies []string
		want   map[string]any // beside the defaults
	}{
		{"nothing given", []string{""}, nil},
		{"every field", []string{`{"bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8, 192.168.1.1",
			"secret_id_num_uses": "40", "secret_id_ttl": "10m", "local_secret_ids": true,
			"token_ttl": "20m", "token_max_ttl": 1800, "token_explicit_max_ttl": "1h", "token_num_uses": 3,
			"token_period": "1d", "token_type": "service", "token_no_default_policy": true,
			"token_policies": ["b", "A", "b"], "token_bound_cidrs": ["10.1.0.0/16", "::1"]}`},
			map[string]any{
				"bind_secret_id": false, "secret_id_bound_cidrs": []any{"10.0.0.0/8", "192.168.1.1"},
				"secret_id_num_uses": 40.0, "secret_id_ttl": 600.0, "local_secret_ids": true,
				"token_ttl": 1200.0, "token_max_ttl": 1800.0, "token_explicit_max_ttl": 3600.0, "token_num_uses": 3.0,
				"token_period": 86400.0, "token_type": "service", "token_no_default_policy": true,
				"token_policies": []any{"a", "b"}, "token_bound_cidrs": []any{"10.1.0.0/16", "::1"},
			}},
		{"older names are read back too", []string{`{"policies": "a", "period": 60, "bound_cidr_list": "10.0.0.0/8"}`},
			map[string]any{
				"policies": []any{"a"}, "token_policies": []any{"a"}, "period": 60.0, "token_period": 60.0,
				"bound_cidr_list": []any{"10.0.0.0/8"}, "secret_id_bound_cidrs": []any{"10.0.0.0/8"},
			}},
		{"the newer name wins", []string{`{"policies": "old", "token_policies": "new"}`},
			map[string]any{"token_policies": []any{"new"}}},
		{"the newer name makes the older one go", []string{`{"policies": "old", "period": 5}`, `{"token_policies": "new", "token_period": 6}`},
			map[string]any{"token_policies": []any{"new"}, "token_period": 6.0}},
		{"a change leaves the rest alone", []string{`{"token_ttl": 60, "token_policies": "a"}`, `{"token_ttl": 120}`},
			map[string]any{"token_ttl": 120.0, "token_policies": []any{"a"}}},
		{"lists can be emptied", []string{`{"token_policies": "a", "secret_id_bound_cidrs": "10.0.0.0/8"}`, `{"token_policies": [], "secret_id_bound_cidrs": []}`}, nil},
		{"null leaves a field alone", []string{`{"token_ttl": 60}`, `{"token_ttl": null}`}, map[string]any{"token_ttl": 60.0}},
		{"the default type can be named", []string{`{"token_type": "batch"}`, `{"token_type": "default"}`}, nil},
		{"types that leave the choice to the mount", []string{`{"token_type": "default-service"}`}, map[string]any{"token_type": "default-service"}},
		{"local_secret_ids may be repeated", []string{`{"local_secret_ids": true}`, `{"local_secret_ids": true}`}, map[string]any{"local_secret_ids": true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			for _, body := range test.bodies {
				h.Write("role/app", body)
			}
			if diff := cmp.Diff(defaults(test.want), h.Read("role/app")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRolesThatCannotBe(t *testing.T) {
	const batch = "'token_type' cannot be 'batch' or 'default_batch' when set to generate "
	tests := []struct{ name, body, want string }{
		{"nothing that binds logins", `{"bind_secret_id": false}`, "at least one constraint should be enabled on the role"},
		{"a TTL over its maximum", `{"token_ttl": 20, "token_max_ttl": 10}`, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{"batch tokens with uses", `{"token_type": "batch", "token_num_uses": 1}`, batch + "tokens with limited use count"},
		{"batch tokens with uses, by default", `{"token_type": "default-batch", "token_num_uses": 1}`, batch + "tokens with limited use count"},
		{"batch tokens with a period", `{"token_type": "batch", "token_period": 60}`, batch + "periodic tokens"},
		{"a type nobody knows", `{"token_type": "odd"}`, "invalid 'token_type' value \"odd\""},
		{"negative uses of secret ids", `{"secret_id_num_uses": -1}`, "secret_id_num_uses cannot be negative"},
		{"negative uses of tokens", `{"token_num_uses": -1}`, "'token_num_uses' cannot be negative"},
		{"a negative TTL", `{"token_ttl": "-1s"}`, "negative"},
		{"networks that are none", `{"secret_id_bound_cidrs": "10.0.0.0/33"}`, "invalid CIDR blocks"},
		{"token networks that are none", `{"token_bound_cidrs": "here"}`, "invalid CIDR blocks"},
		{"no boolean", `{"bind_secret_id": "perhaps"}`, "expected a boolean"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Refused(logical.Write, "role/app", test.body, logical.ErrInvalid, test.want)
			if rows := h.Keys(); len(rows) > 0 {
				t.Errorf("rows %q", rows)
			}
			h.Write("role/app", "")
			h.Refused(logical.Write, "role/app", test.body, logical.ErrInvalid, test.want)
			if diff := cmp.Diff(defaults(nil), h.Read("role/app")); diff != "" {
				t.Errorf("changed: %s", diff)
			}
		})
	}
}

func TestWhatBindsLoginsMayBeAnyOfThree(t *testing.T) {
	for _, body := range []string{
		`{"bind_secret_id": true}`,
		`{"bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8"}`,
		`{"bind_secret_id": false, "token_bound_cidrs": "10.0.0.0/8"}`,
	} {
		newHouse(t).Write("role/app", body)
	}
}

func TestLocalSecretIDsAreDecidedAtCreation(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"local_secret_ids": true}`)
	h.Refused(logical.Write, "role/app", `{"local_secret_ids": false}`, logical.ErrInvalid, "local_secret_ids can only be modified during role creation")
	if got := h.Read("role/app/local-secret-ids"); got["local_secret_ids"] != true {
		t.Errorf("got %v", got)
	}
}

func TestTheMountsLimitIsWarnedOf(t *testing.T) {
	resp, err := newHouse(t).Call(logical.Write, "role/app", `{"token_max_ttl": "1000h"}`)
	if err != nil || resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "token_max_ttl is greater") {
		t.Errorf("answer %+v, error %v", resp, err)
	}
}

func TestNamesOfRoles(t *testing.T) {
	h := newHouse(t)
	h.Write("role/My.App-1_x y", `{"token_ttl": 60}`)
	if got := h.Read("role/MY.APP-1_X Y"); got["token_ttl"] != 60.0 {
		t.Errorf("in other case: %v", got)
	}
	for _, name := range []string{"a@b", "a:b", "ä", "a\x00", strings.Repeat("a", 4096)} {
		h.Refused(logical.Write, "role/"+name, "", logical.ErrInvalid, "the name of a role")
	}
	h.Write("role/"+strings.Repeat("a", 4095), "")
	h.Must(logical.Delete, "role/"+strings.Repeat("A", 4095), "")
	h.Write("role/b", "")
	got := h.Must(logical.List, "role", "")
	if diff := cmp.Diff(map[string]any{"keys": []any{"b", "my.app-1_x y"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	h := newHouse(t)
	h.Refused(logical.List, "role/", "", logical.ErrNotFound, "")
	h.Refused(logical.Read, "role/app", "", logical.ErrNotFound, "")
	h.Refused(logical.Read, "role/app/role-id", "", logical.ErrNotFound, "")
	h.Refused(logical.Read, "role/app/local-secret-ids", "", logical.ErrNotFound, "")
	h.Must(logical.Delete, "role/app", "")
	for _, path := range []string{"role-id", "secret-id", "custom-secret-id", "secret-id/lookup", "secret-id/destroy", "secret-id-accessor/lookup", "secret-id-accessor/destroy"} {
		body := `{"role_id": "x", "secret_id": "x", "secret_id_accessor": "x"}`
		h.Refused(logical.Write, "role/app/"+path, body, logical.ErrInvalid, `role "app" does not exist`)
	}
	h.Refused(logical.List, "role/app/secret-id", "", logical.ErrInvalid, `role "app" does not exist`)
}

func TestAWriteTellsCreationFromChange(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	for name, want := range map[string]bool{"app": true, "APP": true, "other": false} {
		if got := h.Exists("role/" + name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRoleIDs(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	h.Write("role/other", `{"role_id": " others "}`)
	first := h.roleID("app")
	if len(first) != 36 || h.roleID("other") != "others" {
		t.Fatalf("role ids %q and %q", first, h.roleID("other"))
	}
	secret, _ := h.issue("app", "")
	h.Refused(logical.Write, "role/app/role-id", `{"role_id": "others"}`, logical.ErrInvalid, "role_id already in use")
	h.Refused(logical.Write, "role/app", `{"role_id": "others"}`, logical.ErrInvalid, "role_id already in use")
	h.Refused(logical.Write, "role/app/role-id", `{"role_id": " "}`, logical.ErrInvalid, "missing role_id")
	h.Write("role/app/role-id", `{"role_id": "mine"}`)
	h.Write("role/app/role-id", `{"role_id": "mine"}`) // again is no change
	h.Write("role/app", `{"token_ttl": 60}`)           // keeps it
	h.mustLogin("mine", secret)
	if _, err := h.login(first, secret); !errors.Is(err, errCredentials) {
		t.Errorf("the former role id: %v", err)
	}
	h.Must(logical.Delete, "role/app", "")
	h.Write("role/other", `{"role_id": "mine"}`) // free again
}
