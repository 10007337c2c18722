package grant

import (
	"net/netip"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

// ParseNetworks reads networks in CIDR form; an address is a network of one. The
// results are masked, and those of IPv4 in IPv6 are of IPv4. The error wraps
// [logical.ErrInvalid].
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var parsed []netip.Prefix
	for _, text := range texts {
		p, ok := parseNetwork(text)
		if !ok {
			return nil, logical.Invalid("invalid CIDR blocks: %q is not an address or a network", text)
		}
		parsed = append(parsed, p)
	}
	return parsed, nil
}

func parseNetwork(text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	const mapped = 96 // bits before the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}

// Inside says whether addr lies in one of networks, which ParseNetworks returned.
// An address that is not valid lies in none.
func Inside(addr netip.Addr, networks []netip.Prefix) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Covers says whether each of inner lies whole in one of outer. Both are as
// ParseNetworks returns them.
func Covers(outer, inner []netip.Prefix) bool {
	return !slices.ContainsFunc(inner, func(in netip.Prefix) bool {
		return !slices.ContainsFunc(outer, func(out netip.Prefix) bool {
			return out.Bits() <= in.Bits() && out.Contains(in.Addr())
		})
	})
}
