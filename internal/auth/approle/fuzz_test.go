package approle

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

// Whatever is a network means the same however often it is read and printed, and
// holds its own address.
func FuzzParseNetwork(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "10.1.2.3", "::1", "::ffff:10.0.0.0/104", "::ffff:0:0/95", "fe80::1%eth0", "2001:db8::/32", "0.0.0.0/0", "1.2.3.4/33", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseNetwork(text)
		if !ok {
			return
		}
		again, ok := parseNetwork(p.String())
		if !ok || again != p {
			t.Errorf("%q is %s, which is %s", text, p, again)
		}
		all := []netip.Prefix{p}
		if !inside(p.Addr(), all) || !covers(all, all) {
			t.Errorf("%s does not hold itself", p)
		}
	})
}

// A secret id that is issued reads back as it was asked for, and can be used.
func FuzzIssue(f *testing.F) {
	f.Add(`{"a":"b"}`, "10.0.0.0/8", "")
	f.Add(`{"a":1,"b":true,"c":null}`, "10.1.2.3,::1", "10.0.0.0/8")
	f.Add(`a=b,c=d`, "", "::/0")
	f.Add(`[`, ",", "x")
	f.Fuzz(func(t *testing.T, metadata, cidrs, tokenCIDRs string) {
		h := newHouse(t)
		h.write("role/app", "")
		body, err := json.Marshal(map[string]string{"metadata": metadata, "cidr_list": cidrs, "token_bound_cidrs": tokenCIDRs})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.call(logical.Write, "role/app/secret-id", string(body))
		if err != nil {
			if !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			return
		}
		secret := resp.Data.(object)["secret_id"].(string)
		told := h.write("role/app/secret-id/lookup", credentials("", secret))
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
