package grant

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cofferhq/coffer/internal/logical"
)

// full has something in every field.
var full = Token{
	Policies: []string{"a", "b"}, TTL: time.Second, MaxTTL: 2 * time.Second, ExplicitMaxTTL: 3 * time.Second, Period: 4 * time.Second,
	NumUses: 5, CIDRs: []string{"10.0.0.1/8"}, NoDefaultPolicy: true, Type: "default-service", OldNames: []string{"policies"},
}

// Rows that are stored have this form.
func TestTheFormInRowsNeverChanges(t *testing.T) {
	record := struct {
		ID string `json:"id"`
		Token
	}{"x", full}
	const want = `{"id":"x","pol":["a","b"],"ttl":1000000000,"max":2000000000,"xmax":3000000000,"per":4000000000,` +
		`"uses":5,"cidr":["10.0.0.1/8"],"nodef":true,"type":"default-service","old":["policies"]}`
	got, err := json.Marshal(record)
	if err != nil || string(got) != want {
		t.Errorf("got %s, error %v\nwant %s", got, err, want)
	}
	if got, err := json.Marshal(Token{}); err != nil || string(got) != `{}` {
		t.Errorf("of nothing: %s, error %v", got, err)
	}
	var back Token
	if err := json.Unmarshal([]byte(want), &back); err != nil || !cmp.Equal(back, full) {
		t.Errorf("read back: %+v, error %v", back, err)
	}
}

func TestTheExampleSetsEveryField(t *testing.T) {
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is empty", v.Type().Field(i).Name)
		}
	}
}

func TestWhatALoginEarns(t *testing.T) {
	tests := []struct {
		name  string
		token Token
		want  logical.Auth
	}{
		{"of nothing set", Token{}, logical.Auth{Renewable: true, Type: logical.TokenDefault}},
		{"of all set", full, logical.Auth{
			Policies: []string{"a", "b"}, TTL: time.Second, MaxTTL: 2 * time.Second, ExplicitMaxTTL: 3 * time.Second, Period: 4 * time.Second,
			NumUses: 5, BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, NoDefaultPolicy: true,
			Renewable: true, Type: logical.TokenService,
		}},
		{"of service", Token{Type: "service"}, logical.Auth{Renewable: true, Type: logical.TokenService}},
		{"of batch", Token{Type: "batch"}, logical.Auth{Renewable: true, Type: logical.TokenBatch}},
		{"of default-batch", Token{Type: "default-batch"}, logical.Auth{Renewable: true, Type: logical.TokenBatch}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.token.Auth()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := (&Token{CIDRs: []string{"x"}}).Auth(); err == nil {
		t.Error("a damaged network is none")
	}
}

func TestARenewalChangesTheTimesOnly(t *testing.T) {
	auth := &logical.Auth{Policies: []string{"c"}, TTL: time.Hour, NumUses: 1}
	full.Renew(auth)
	want := &logical.Auth{Policies: []string{"c"}, TTL: time.Second, MaxTTL: 2 * time.Second, Period: 4 * time.Second, NumUses: 1}
	if diff := cmp.Diff(want, auth, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestWhatStandsTogether(t *testing.T) {
	tests := []struct {
		name  string
		token Token
		want  string // error; empty: none
	}{
		{"nothing", Token{}, ""},
		{"everything", full, ""},
		{"a TTL without a limit", Token{TTL: time.Hour}, ""},
		{"a TTL at its limit", Token{TTL: time.Hour, MaxTTL: time.Hour}, ""},
		{"a TTL over its limit", Token{TTL: time.Hour + 1, MaxTTL: time.Hour}, "'token_ttl' cannot be greater than 'token_max_ttl'"},
		{"fewer than no uses", Token{NumUses: -1}, "'token_num_uses' cannot be negative"},
		{"batch tokens with a limit", Token{Type: "batch", TTL: 1, MaxTTL: 2}, ""},
		{"periodic batch tokens", Token{Type: "batch", Period: 1}, "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens"},
		{"batch tokens with uses", Token{Type: "default-batch", NumUses: 1}, "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.token.Check()
			if test.want == "" && err == nil {
				return
			}
			if !errors.Is(err, logical.ErrInvalid) || err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAMaximumBeyondTheMountsIsWarnedOf(t *testing.T) {
	m := logical.MountPoint{MaxLeaseTTL: time.Hour}
	if got := (&Token{MaxTTL: time.Hour}).Warnings(m); len(got) > 0 {
		t.Errorf("at the maximum: %q", got)
	}
	if got := (&Token{MaxTTL: time.Hour + 1}).Warnings(m); len(got) != 1 {
		t.Errorf("beyond: %q", got)
	}
}
