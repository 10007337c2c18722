package listener

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// names returns what a certificate of this listener is for: every name and
// address by which the machine may be called, sorted, each once.
func (l *Listener) names() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1", hostname()}, machineAddrs()...)
	names = append(names, l.opts.Names...)
	if host, _, err := net.SplitHostPort(l.cfg.Address); err == nil {
		names = append(names, host)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !certifiable(name) })
	slices.Sort(names)
	return slices.Compact(names)
}

// certifiable says whether a certificate can be for name.
func certifiable(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return !ip.IsUnspecified() && ip.Zone() == ""
	}
	notASCII := func(r rune) bool { return r <= ' ' || r > '~' }
	return name != "" && !strings.ContainsFunc(name, notASCII)
}

// hostname returns the machine's name, or "localhost" if it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// machineAddrs returns the addresses by which others can reach the machine.
// Link-local ones need a zone, which no certificate can have.
func machineAddrs() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // a certificate for fewer names is better than none
	}
	var all []string
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			all = append(all, p.Addr().String())
		}
	}
	return all
}
