package listener

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/logical"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestClientAddr(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rules   config.Forwarded
		peer    string
		headers []string
		want    string // empty: refused
	}{
		{
			"without proxies the header means nothing", config.Forwarded{},
			"192.0.2.1:5000", []string{"1.1.1.1"}, "192.0.2.1",
		},
		{
			"a proxy names its client", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"192.0.2.7"}, "192.0.2.7",
		},
		{
			"the last entry is the one that the proxy wrote", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"6.6.6.6, 192.0.2.7"}, "192.0.2.7",
		},
		{
			"two headers are one list", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"6.6.6.6", "192.0.2.7"}, "192.0.2.7",
		},
		{
			"hops are skipped from the right", config.Forwarded{Proxies: proxies, HopSkips: 1},
			"10.0.0.1:5000", []string{"6.6.6.6, 192.0.2.7", "10.9.9.9"}, "192.0.2.7",
		},
		{
			"more hops than entries", config.Forwarded{Proxies: proxies, HopSkips: 2},
			"10.0.0.1:5000", []string{"6.6.6.6, 192.0.2.7"}, "",
		},
		{
			"no header is refused", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", nil, "",
		},
		{
			"no header is let through if that is wanted", config.Forwarded{Proxies: proxies, AcceptAbsent: true},
			"10.0.0.1:5000", nil, "10.0.0.1",
		},
		{
			"another's header is refused", config.Forwarded{Proxies: proxies, AcceptAbsent: true},
			"192.0.2.1:5000", []string{"1.1.1.1"}, "",
		},
		{
			"another's header is not believed", config.Forwarded{Proxies: proxies, AcceptUnauthorized: true},
			"192.0.2.1:5000", []string{"1.1.1.1"}, "192.0.2.1",
		},
		{
			"another without a header is refused for that", config.Forwarded{Proxies: proxies, AcceptUnauthorized: true},
			"192.0.2.1:5000", nil, "",
		},
		{
			"what is no address", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"unknown"}, "",
		},
		{
			"an empty last entry", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"192.0.2.7,"}, "",
		},
		{
			"an entry with a port", config.Forwarded{Proxies: proxies},
			"10.0.0.1:5000", []string{"192.0.2.7:443"}, "192.0.2.7",
		},
		{
			"an IPv6 entry with a port", config.Forwarded{Proxies: proxies},
			"[fd00::1]:5000", []string{"[2001:db8::7]:443"}, "2001:db8::7",
		},
		{
			"a proxy that comes as IPv4 in IPv6", config.Forwarded{Proxies: proxies},
			"[::ffff:10.0.0.1]:5000", []string{"::ffff:192.0.2.7"}, "192.0.2.7",
		},
		{
			"a peer with a zone", config.Forwarded{},
			"[fe80::1%eth0]:5000", nil, "fe80::1",
		},
		{"a peer that is no address", config.Forwarded{}, "@", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &Listener{cfg: config.Listener{Network: config.TCP, Forwarded: tt.rules}}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.headers
			got, err := l.ClientAddr(r)
			if tt.want == "" {
				if !errors.Is(err, logical.ErrInvalid) {
					t.Errorf("got %v, %v; want logical.ErrInvalid", got, err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// Whatever the header, nobody but a proxy chooses the address, and what is
// chosen is one.
func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 5.6.7.8", 1)
	f.Add("192.0.2.1:1", "[::1%lo]:5", 0)
	f.Add("[fd00::1%a]:1", ",,", -1)
	f.Fuzz(func(t *testing.T, peer, header string, skips int) {
		l := &Listener{cfg: config.Listener{Network: config.TCP, Forwarded: config.Forwarded{
			Proxies: proxies, HopSkips: max(skips, 0), AcceptUnauthorized: true,
		}}}
		got, err := l.ClientAddr(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {header}}})
		if err != nil {
			return
		}
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("got %v", got)
		}
		own, _ := parseAddr(peer)
		if got != own && !authorized(proxies, own) {
			t.Errorf("%s chose to be %v", peer, got)
		}
	})
}
