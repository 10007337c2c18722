package grant

import (
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
		if !Inside(p.Addr(), all) || !Covers(all, all) {
			t.Errorf("%s does not hold itself", p)
		}
	})
}

func networks(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	parsed, err := ParseNetworks(texts)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestWhatIsNoNetworkIsRefused(t *testing.T) {
	for _, text := range []string{"", "x", "10.0.0.0/33", "10.0.0.256", "fe80::1%eth0", "10.0.0.0/8,::1"} {
		if _, err := ParseNetworks([]string{"::1", text}); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnAddressIsInside(t *testing.T) {
	tests := []struct {
		name, addr string
		networks   []string
		want       bool
	}{
		{"a network", "10.1.2.3", []string{"10.0.0.0/8"}, true},
		{"one of several", "::1", []string{"10.0.0.0/8", "::1"}, true},
		{"none of none", "10.1.2.3", nil, false},
		{"not another network", "11.0.0.0", []string{"10.0.0.0/8"}, false},
		{"as IPv4 in IPv6", "::ffff:10.1.2.3", []string{"10.0.0.0/8"}, true},
		{"a network of IPv4 in IPv6", "10.1.2.3", []string{"::ffff:10.0.0.0/104"}, true},
		{"whatever its zone", "fe80::1%eth0", []string{"fe80::/10"}, true},
		{"not all of the other family", "10.1.2.3", []string{"::/0"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Inside(netip.MustParseAddr(test.addr), networks(t, test.networks...)); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
	if Inside(netip.Addr{}, networks(t, "0.0.0.0/0", "::/0")) {
		t.Error("no address is somewhere")
	}
}

func TestNetworksCoverOthers(t *testing.T) {
	tests := []struct {
		name         string
		outer, inner []string
		want         bool
	}{
		{"that are smaller", []string{"10.0.0.0/8"}, []string{"10.1.0.0/16", "10.2.0.1"}, true},
		{"that are the same", []string{"10.0.0.0/8"}, []string{"10.9.9.9/8"}, true},
		{"not larger ones", []string{"10.0.0.0/8"}, []string{"10.0.0.0/7"}, false},
		{"not some of which lie elsewhere", []string{"10.0.0.0/8"}, []string{"10.1.0.0/16", "11.0.0.1"}, false},
		{"each in one of several", []string{"10.0.0.0/8", "::1"}, []string{"::1", "10.0.0.1"}, true},
		{"not in two halves", []string{"10.0.0.0/9", "10.128.0.0/9"}, []string{"10.0.0.0/8"}, false},
		{"if there are none", nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Covers(networks(t, test.outer...), networks(t, test.inner...)); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
