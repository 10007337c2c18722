package userpass

import (
	"net/netip"
	"testing"
)

// Whatever is a network means the same however often it is read and printed, and
// holds its own address.
func FuzzParseNetwork(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "10.1.2.3", "::1", "::ffff:10.0.0.0/104", "::ffff:0:0/95", "fe80::1%eth0", "1.2.3.4/33", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseNetwork(text)
		if !ok {
			return
		}
		if again, ok := parseNetwork(p.String()); !ok || again != p {
			t.Errorf("%q is %s, which is %s", text, p, again)
		}
		if !inside(p.Addr(), []netip.Prefix{p}) {
			t.Errorf("%s does not hold itself", p)
		}
	})
}
