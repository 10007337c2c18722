package config

import (
	"io/fs"
	"net/netip"
	"time"
)

// Network is what a listener listens on.
type Network string

// The networks.
const (
	TCP  Network = "tcp"
	Unix Network = "unix"
)

// DefaultAddress is where a listener listens that has not been told.
const DefaultAddress = "127.0.0.1:8200"

// Listener is one address at which the server takes requests.
type Listener struct {
	Network Network
	Address string // "host:port"; of Unix, the path of the socket
	Socket  Socket // Unix only
	TLS     TLS    // TCP only

	Forwarded Forwarded

	MaxRequestBytes    int64         // of a body; zero: 32 MiB, below zero: any
	MaxRequestDuration time.Duration // zero: Config.DefaultMaxRequestDuration
	MaxConnections     int           // open at once; zero: 10,000

	ReadHeaderTimeout time.Duration // zero: 10 s
	ReadTimeout       time.Duration // header and body; zero: 30 s
	WriteTimeout      time.Duration // of the answer; zero: none
	IdleTimeout       time.Duration // between two requests; zero: 5 min

	UnauthenticatedMetrics      bool // sys/metrics needs no token here
	DisableUnauthedRekey        bool // sys/rekey needs a token here
	DisableUnauthedGenerateRoot bool // sys/generate-root needs a token here
}

// Socket is who may use a Unix socket.
type Socket struct {
	Mode        fs.FileMode // zero: 0600
	User, Group string      // name or number; empty: the server's own
}

// TLS is how connections are protected. The zero value is TLS with a
// certificate that the server makes for itself.
type TLS struct {
	Disabled bool

	CertFile, KeyFile string // PEM; the certificate first, then its issuers
	SelfSignedDir     string // where a certificate of the server's own is kept

	MinVersion uint16 // a constant of crypto/tls; zero: TLS 1.2
	MaxVersion uint16 // zero: the newest

	ClientCAFile      string // PEM, of who signs clients' certificates; empty: the system's
	RequireClientCert bool   // refuse clients without a certificate of these
	NoClientCert      bool   // do not even ask for one
}

// SelfSigned says whether the server makes a certificate for itself.
func (t TLS) SelfSigned() bool { return !t.Disabled && t.CertFile == "" && t.KeyFile == "" }

// Forwarded is whose X-Forwarded-For header is believed.
type Forwarded struct {
	Proxies            []netip.Prefix // who may send it; empty: the header is ignored
	HopSkips           int            // addresses to skip, from the right
	AcceptAbsent       bool           // let requests through that do not have it
	AcceptUnauthorized bool           // let it through from others, without believing it
}
