package approle

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// A secret id that is issued reads back as it was asked for, and can be used.
func FuzzIssue(f *testing.F) {
	f.Add(`{"a":"b"}`, "10.0.0.0/8", "")
	f.Add(`{"a":1,"b":true,"c":null}`, "10.1.2.3,::1", "10.0.0.0/8")
	f.Add(`a=b,c=d`, "", "::/0")
	f.Add(`[`, ",", "x")
	f.Fuzz(func(t *testing.T, metadata, cidrs, tokenCIDRs string) {
		h := newHouse(t)
		h.Write("role/app", "")
		body, err := json.Marshal(map[string]string{"metadata": metadata, "cidr_list": cidrs, "token_bound_cidrs": tokenCIDRs})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Call(logical.Write, "role/app/secret-id", string(body))
		if err != nil {
			if !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			return
		}
		secret := resp.Data.(object)["secret_id"].(string)
		told := h.Write("role/app/secret-id/lookup", credentials("", secret))
		auth, err := h.login(h.roleID("app"), secret)
		if err != nil {
			if !errors.Is(err, logical.ErrInvalid) || len(told["cidr_list"].([]any)) == 0 {
				t.Errorf("login: %v", err)
			}
			return
		}
		if got, want := len(auth.BoundCIDRs), len(told["token_bound_cidrs"].([]any)); got != want {
			t.Errorf("%d networks, want %d", got, want)
		}
		for name, value := range told["metadata"].(map[string]any) {
			if name != "role_name" && auth.Metadata[name] != value {
				t.Errorf("metadata %q is %q, want %q", name, auth.Metadata[name], value)
			}
		}
	})
}

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(roleForm), storetest.Records(secretIDForm), storetest.Records(accessorForm), storetest.Records(expiryForm), storetest.Records(stateForm))
}
