package listener

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/logical"
)

// ClientAddr returns the address of whoever sent r: the other end of the
// connection, or what an authorized proxy says in X-Forwarded-For, by the
// rules of Vault's listener. It is the zero Addr for a Unix socket. Its errors
// are of [logical.ErrInvalid] and name no address.
func (l *Listener) ClientAddr(r *http.Request) (netip.Addr, error) {
	if l.cfg.Network == config.Unix {
		return netip.Addr{}, nil
	}
	peer, err := parseAddr(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, logical.Invalid("error parsing client hostport")
	}
	return clientAddr(l.cfg.Forwarded, peer, r.Header.Values("X-Forwarded-For"))
}

// clientAddr applies the rules f to a connection from peer that brought headers.
func clientAddr(f config.Forwarded, peer netip.Addr, headers []string) (netip.Addr, error) {
	if len(f.Proxies) == 0 {
		return peer, nil
	}
	if len(headers) == 0 {
		if f.AcceptAbsent {
			return peer, nil
		}
		return netip.Addr{}, logical.Invalid("missing x-forwarded-for header and configured to reject when not present")
	}
	if !authorized(f.Proxies, peer) {
		if f.AcceptUnauthorized {
			return peer, nil
		}
		return netip.Addr{}, logical.Invalid("client address not authorized for x-forwarded-for and configured to reject connection")
	}
	// Several headers are one list (RFC 9110 §5.3), to whose right end each proxy
	// on the way has added whom it heard from.
	chain := strings.Split(strings.Join(headers, ","), ",")
	at := len(chain) - 1 - f.HopSkips
	if at < 0 {
		return netip.Addr{}, logical.Invalid(
			"malformed x-forwarded-for configuration or request, hops to skip (%d) would skip before earliest chain link (chain length %d)",
			f.HopSkips, len(chain))
	}
	client, err := parseAddr(strings.TrimSpace(chain[at]))
	if err != nil {
		return netip.Addr{}, logical.Invalid("malformed x-forwarded-for header: not an address")
	}
	return client, nil
}

func authorized(proxies []netip.Prefix, peer netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port. An IPv4 address in IPv6's
// form is the IPv4 address, and a zone, which means nothing elsewhere, is
// dropped: otherwise networks would not contain their own.
func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort(s); err != nil {
			return netip.Addr{}, err
		}
		addr = at.Addr()
	}
	return addr.Unmap().WithZone(""), nil
}
