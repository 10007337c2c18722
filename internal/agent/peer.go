package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
)

// peer is who is at the other end of a connection.
type peer struct {
	addr    string // of TCP: the address without its port
	process bool   // the fields below are known
	pid     int
	uid     int
	started string // when the process did, in the system's words: numbers come again
}

// instance is the name by which the server tells our clients apart.
func (p *peer) instance(agent string) string {
	if p.process {
		return agent + "/pid:" + strconv.Itoa(p.pid) + "/uid:" + strconv.Itoa(p.uid)
	}
	return fmt.Sprintf("%s/tcp:%s", agent, p.addr)
}

// gone says whether the process has ended.
func (p *peer) gone() bool { return p.process && startOf(p.pid) != p.started }

// peerKey is where a connection's context has its peer.
type peerKey struct{}

// withPeer is [http.Server]'s ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

func peerOf(c net.Conn) *peer {
	for {
		switch conn := c.(type) {
		case *tls.Conn:
			c = conn.NetConn()
		case interface{ NetConn() net.Conn }:
			c = conn.NetConn()
		case *net.UnixConn:
			p := &peer{}
			if pid, uid, err := credentialsOf(conn); err == nil {
				*p = peer{process: true, pid: pid, uid: uid, started: startOf(pid)}
			}
			return p
		default:
			host, _, err := net.SplitHostPort(c.RemoteAddr().String())
			if err != nil {
				host = "unknown"
			}
			return &peer{addr: host}
		}
	}
}

func peerFrom(r *http.Request) *peer {
	p, ok := r.Context().Value(peerKey{}).(*peer)
	if !ok {
		return &peer{addr: "unknown"}
	}
	return p
}

// admits says whether the peer may use a socket that is for one user alone: that
// user, the agent's own, and root, who could take what he wants anyway. Without a
// way to know, the mode of the socket must do.
func (l *Listener) admits(p *peer) bool {
	if !p.process || l.Socket.Mode.Perm()&0o077 != 0 {
		return true
	}
	return p.uid == os.Geteuid() || p.uid == 0 || l.Socket.User != "" && isUser(l.Socket.User, p.uid)
}
