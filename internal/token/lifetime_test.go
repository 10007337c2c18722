package token_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestLifetimesAreGrantedAsVaultDoes(t *testing.T) {
	const h = time.Hour
	tests := []struct {
		name    string
		in      token.Token
		want    time.Duration
		warning string // part of it; empty: none
	}{
		{"the mount's default", token.Token{}, h, ""},
		{"what is asked for", token.Token{TTL: 2 * h}, 2 * h, ""},
		{"more than the mount's limit", token.Token{TTL: 48 * h}, 24 * h, `TTL of "48h0m0s" exceeded the effective max_ttl of "24h0m0s"; TTL value is capped accordingly`},
		{"more than the role's limit", token.Token{TTL: 3 * h, MaxTTL: 2 * h}, 2 * h, `TTL of "3h0m0s" exceeded the effective max_ttl of "2h0m0s"`},
		{"a default above the role's limit", token.Token{MaxTTL: h / 2}, h / 2, `TTL of "1h0m0s" exceeded`},
		{"a role's limit above the mount's", token.Token{TTL: 48 * h, MaxTTL: 72 * h}, 24 * h, `effective max_ttl of "24h0m0s"`},
		{"more than the explicit limit", token.Token{TTL: 3 * h, ExplicitMax: 2 * h}, 2 * h, `TTL of "3h0m0s"`},
		{"an explicit limit above the mount's", token.Token{ExplicitMax: 48 * h}, h, "Explicit max TTL of 172800 seconds is greater than system/mount allowed value; value is being capped to 86400 seconds"},
		{"a period", token.Token{Period: 2 * h}, 2 * h, ""},
		{"a period instead of a TTL", token.Token{Period: 2 * h, TTL: h}, 2 * h, ""},
		{"a period instead of a limit", token.Token{Period: 2 * h, MaxTTL: h}, 2 * h, ""},
		{"a period above the mount's limit", token.Token{Period: 48 * h}, 24 * h, `period of "48h0m0s" exceeded the effective max_ttl of "24h0m0s"; period value is capped accordingly`},
		{"a period above the explicit limit", token.Token{Period: 3 * h, ExplicitMax: 2 * h}, 2 * h, `TTL of "3h0m0s"`},
		{"a period and an explicit limit above the mount's", token.Token{Period: 3 * h, ExplicitMax: 48 * h}, 3 * h, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok := test.in
			warnings := strings.Join(tok.Grant(noon, limits), "; ")
			if tok.TTL != test.want || !tok.Expires.Equal(noon.Add(test.want)) || !tok.Created.Equal(noon) || tok.Left(noon) != test.want {
				t.Errorf("%s until %s, want %s", tok.TTL, tok.Expires, test.want)
			}
			if (test.warning == "") != (warnings == "") || !strings.Contains(warnings, test.warning) {
				t.Errorf("warnings %q, want %q", warnings, test.warning)
			}
		})
	}
}

func TestRenewalsMoveTheEndAsVaultDoes(t *testing.T) {
	const h = time.Hour
	tests := []struct {
		name      string
		in        token.Token
		after     time.Duration // since the token was created
		increment time.Duration
		want      time.Duration // from the renewal on; zero: refused
		warning   string
	}{
		{"by what it had", token.Token{TTL: 2 * h}, h, 0, 2 * h, ""},
		{"by the default it had", token.Token{}, h / 2, 0, h, ""},
		{"by more", token.Token{TTL: 2 * h}, h, 5 * h, 5 * h, ""},
		{"by less than is left", token.Token{TTL: 2 * h}, h, h / 2, h / 2, ""},
		{"to the mount's limit", token.Token{TTL: 24 * h}, 20 * h, 0, 4 * h, `TTL of "24h0m0s" exceeded the effective max_ttl of "4h0m0s"`},
		{"to the role's limit", token.Token{TTL: 2 * h, MaxTTL: 3 * h}, h, 0, 2 * h, ""},
		{"beyond the role's limit", token.Token{TTL: 2 * h, MaxTTL: 3 * h}, h, 4 * h, 2 * h, `TTL of "4h0m0s"`},
		{"to the explicit limit", token.Token{TTL: 2 * h, ExplicitMax: 3 * h}, 3 * h / 2, 0, 3 * h / 2, `TTL of "2h0m0s"`},
		{"at the limit", token.Token{TTL: 3 * h, MaxTTL: 3 * h}, 3 * h, 0, 0, ""},
		{"past the limit", token.Token{TTL: 3 * h, MaxTTL: 3 * h}, 4 * h, 0, 0, ""},
		{"of a periodic token by its period", token.Token{Period: 2 * h}, 100 * h, 0, 2 * h, ""},
		{"of a periodic token, whatever is asked for", token.Token{Period: 2 * h}, h, 9 * h, 2 * h, ""},
		{"of a periodic token to its explicit limit", token.Token{Period: 2 * h, ExplicitMax: 5 * h}, 4 * h, 0, h, `TTL of "2h0m0s"`},
		{"of a periodic token at its explicit limit", token.Token{Period: 2 * h, ExplicitMax: 5 * h}, 5 * h, 0, 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok := test.in
			tok.Grant(noon, limits)
			tok.Renewable = true
			was, now := tok, noon.Add(test.after)
			warnings, err := tok.Renew(now, test.increment, limits)
			if test.want == 0 {
				if !errors.Is(err, logical.ErrInvalid) || !tok.Expires.Equal(was.Expires) {
					t.Errorf("until %s, %v", tok.Expires, err)
				}
				return
			}
			if err != nil || tok.Expires.Sub(now) != test.want || !tok.LastRenewal.Equal(now) || tok.TTL != was.TTL {
				t.Errorf("%s, %v, want %s", tok.Expires.Sub(now), err, test.want)
			}
			if all := strings.Join(warnings, "; "); (test.warning == "") != (all == "") || !strings.Contains(all, test.warning) {
				t.Errorf("warnings %q, want %q", all, test.warning)
			}
		})
	}
}

func TestSomeTokensAreNotRenewable(t *testing.T) {
	tests := []struct {
		name string
		in   token.Token
	}{
		{"one that was made so", token.Token{Expires: noon.Add(time.Hour)}},
		{"a batch token", token.Token{Type: logical.TokenBatch, Renewable: true, Expires: noon.Add(time.Hour)}},
		{"one that never ends", token.Token{Renewable: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.in.Renew(noon, 0, limits); !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
}

// However often a token is renewed, it never outlives its limits.
func TestNoRenewalsOutliveTheLimits(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	some := func() time.Duration { return time.Duration(rnd.IntN(3)*rnd.IntN(60)) * time.Hour }
	for range 2000 {
		tok := token.Token{TTL: some(), MaxTTL: some(), ExplicitMax: some(), Period: some(), Renewable: true}
		tok.Grant(noon, limits)
		last := noon.Add(limits.Max)
		switch {
		case tok.Period > 0 && tok.ExplicitMax > 0:
			last = noon.Add(tok.ExplicitMax)
		case tok.Period > 0:
			last = noon.AddDate(1, 0, 0)
		case tok.MaxTTL > 0 && tok.MaxTTL < limits.Max:
			last = noon.Add(tok.MaxTTL)
		}
		for now := noon; now.Before(tok.Expires) && now.Before(noon.AddDate(0, 6, 0)); now = now.Add(tok.Expires.Sub(now)/2 + 1) {
			if tok.Expires.After(last) || tok.ExplicitMax > 0 && tok.Expires.After(noon.Add(tok.ExplicitMax)) {
				t.Fatalf("seed %d: %+v lives until %s, limit %s", seed, tok, tok.Expires, last)
			}
			if _, err := tok.Renew(now, some(), limits); err != nil {
				break
			}
			if tok.Expires.Sub(now) < time.Nanosecond*2 {
				break
			}
		}
	}
}

func TestTokensAreBoundToNetworks(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name string
		nets []netip.Prefix
		addr string
		want bool
	}{
		{"no network is any", nil, "1.2.3.4", true},
		{"no network and no address", nil, "", true},
		{"inside", nets, "10.1.2.3", true},
		{"inside, written as IPv6", nets, "::ffff:10.1.2.3", true},
		{"inside of the second", nets, "fd00::1", true},
		{"outside", nets, "11.0.0.1", false},
		{"no address", nets, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var addr netip.Addr
			if test.addr != "" {
				addr = netip.MustParseAddr(test.addr)
			}
			tok := token.Token{BoundCIDRs: test.nets}
			if got := tok.UsableFrom(addr); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
}
