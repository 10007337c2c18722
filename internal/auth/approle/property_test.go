package approle

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestPropertiesAreReadWrittenAndReset(t *testing.T) {
	tests := []struct {
		path, body  string
		want, reset map[string]any
	}{
		{"policies", `{"token_policies": "b,A"}`, map[string]any{"policies": []any{"a", "b"}, "token_policies": []any{"a", "b"}}, map[string]any{"policies": []any{}, "token_policies": []any{}}},
		{"policies", `{"policies": ["a"]}`, map[string]any{"policies": []any{"a"}, "token_policies": []any{"a"}}, map[string]any{"policies": []any{}, "token_policies": []any{}}},
		{"bind-secret-id", `{"bind_secret_id": false}`, map[string]any{"bind_secret_id": false}, map[string]any{"bind_secret_id": true}},
		{"secret-id-bound-cidrs", `{"secret_id_bound_cidrs": ["10.0.0.0/8"]}`, map[string]any{"secret_id_bound_cidrs": []any{"10.0.0.0/8"}}, map[string]any{"secret_id_bound_cidrs": nil}},
		{"bound-cidr-list", `{"bound_cidr_list": "10.0.0.0/8"}`, map[string]any{"bound_cidr_list": []any{"10.0.0.0/8"}}, map[string]any{"bound_cidr_list": nil}},
		{"secret-id-num-uses", `{"secret_id_num_uses": 5}`, map[string]any{"secret_id_num_uses": 5.0}, map[string]any{"secret_id_num_uses": 0.0}},
		{"secret-id-ttl", `{"secret_id_ttl": "1h"}`, map[string]any{"secret_id_ttl": 3600.0}, map[string]any{"secret_id_ttl": 0.0}},
		{"token-ttl", `{"token_ttl": "1m"}`, map[string]any{"token_ttl": 60.0}, map[string]any{"token_ttl": 0.0}},
		{"token-max-ttl", `{"token_max_ttl": "2m"}`, map[string]any{"token_max_ttl": 120.0}, map[string]any{"token_max_ttl": 0.0}},
		{"token-num-uses", `{"token_num_uses": "7"}`, map[string]any{"token_num_uses": 7.0}, map[string]any{"token_num_uses": 0.0}},
		{"token-bound-cidrs", `{"token_bound_cidrs": "::1"}`, map[string]any{"token_bound_cidrs": []any{"::1"}}, map[string]any{"token_bound_cidrs": []any{}}},
		{"period", `{"token_period": 60}`, map[string]any{"period": 60.0, "token_period": 60.0}, map[string]any{"period": 0.0, "token_period": 0.0}},
		{"period", `{"period": "1m"}`, map[string]any{"period": 60.0, "token_period": 60.0}, map[string]any{"period": 0.0, "token_period": 0.0}},
	}
	for _, test := range tests {
		t.Run(test.path+" by "+test.body, func(t *testing.T) {
			h := newHouse(t)
			// So that nothing alone keeps the role bound.
			h.Write("role/app", `{"token_bound_cidrs": "127.0.0.0/8"}`)
			h.Must(logical.Delete, "role/app/"+test.path, "") // a default is no error
			h.Write("role/app/"+test.path, test.body)
			if diff := cmp.Diff(test.want, h.Read("role/APP/"+test.path)); diff != "" {
				t.Error(diff)
			}
			for name, value := range test.want {
				if got, ok := h.Read("role/app")[name]; ok && !cmp.Equal(got, value) {
					t.Errorf("in the role, %s is %v", name, got)
				}
			}
			h.Must(logical.Delete, "role/app/"+test.path, "")
			if diff := cmp.Diff(test.reset, h.Read("role/app/"+test.path)); diff != "" {
				t.Error(diff)
			}
			if _, ok := h.Read("role/app")["policies"]; ok {
				t.Error("an older name outlives its value")
			}
		})
	}
}

func TestPropertiesOfNoRole(t *testing.T) {
	h := newHouse(t)
	for _, p := range properties {
		h.Refused(logical.Read, "role/app/"+p.path, "", logical.ErrNotFound, "")
		h.Refused(logical.Write, "role/app/"+p.path, `{}`, logical.ErrNotFound, `role "app" does not exist`)
		h.Must(logical.Delete, "role/app/"+p.path, "")
	}
}

func TestPropertiesNeedAValueAndKeepTheRoleWhole(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"token_max_ttl": 60, "secret_id_bound_cidrs": "10.0.0.0/8"}`)
	for _, p := range properties {
		h.Refused(logical.Write, "role/app/"+p.path, `{"other": 1}`, logical.ErrInvalid, "missing "+p.names[0])
	}
	h.Refused(logical.Write, "role/app/token-ttl", `{"token_ttl": 61}`, logical.ErrInvalid, "'token_ttl' cannot be greater")
	h.Write("role/app/bind-secret-id", `{"bind_secret_id": false}`)
	h.Refused(logical.Delete, "role/app/secret-id-bound-cidrs", "", logical.ErrInvalid, "at least one constraint")
	h.Refused(logical.Write, "role/app/bound-cidr-list", `{"bound_cidr_list": "x"}`, logical.ErrInvalid, "invalid CIDR blocks")
	h.Refused(logical.Write, "role/app/local-secret-ids", `{"local_secret_ids": true}`, logical.ErrUnsupportedOp, "")
}
