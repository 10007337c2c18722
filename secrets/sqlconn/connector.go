// Package sqlconn connects database/sql with a credential that rotates: new
// connections log in with the newest one, those of an old one leave the pool as
// they come back to it, and none that is in use is cut. It works with every
// driver, and imports none.
//
//	g, err := secrets.OpenGroup(ctx, map[string]string{
//		"username": "vault:database/creds/app#username",
//		"password": "vault:database/creds/app#password",
//	})
//	db := sql.OpenDB(sqlconn.New(g, func(ctx context.Context, username, password string) (driver.Conn, error) {
//		config := config.Copy() // of pgx
//		config.User, config.Password = username, password
//		return stdlib.GetConnector(*config).Connect(ctx)
//	}))
//	defer g.Close()
//	defer db.Close() // first
//
// Start reading at [New].
package sqlconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cofferhq/coffer/secrets"
)

// Names of the values that [New] takes from its group.
const (
	Username = "username"
	Password = "password"
)

// DefaultPatience is how long a login that is refused is tried again.
const DefaultPatience = 15 * time.Second

// Dial opens one connection of the driver.
type Dial func(ctx context.Context, username, password string) (driver.Conn, error)

// Connector makes connections with the newest credential. It is safe for
// concurrent use; what it was given must be, too.
type Connector struct {
	group    *secrets.Group
	dial     func(context.Context, secrets.Snapshot) (driver.Conn, error)
	refused  func(error) bool
	patience time.Duration
	cancel   func() // of the group's OnChange

	mu    sync.Mutex // guards the field below
	conns map[*conn]struct{}
}

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// Option changes a connector.
type Option func(*Connector)

// WithRefused replaces [Refused], which tells a login that the database refuses
// from other errors.
func WithRefused(fn func(error) bool) Option { return func(c *Connector) { c.refused = fn } }

// WithPatience sets how long a login that is refused is tried again, within the
// context: in the middle of a rotation the database may know the new password
// before the server tells it. Zero: [DefaultPatience].
func WithPatience(d time.Duration) Option { return func(c *Connector) { c.patience = d } }

// New returns a connector that dials with the group's values [Username] and
// [Password]. The group must outlive it: close the [database/sql.DB], which closes
// the connector, and then the group.
func New(g *secrets.Group, dial Dial, opts ...Option) *Connector {
	return NewWith(g, func(ctx context.Context, s secrets.Snapshot) (driver.Conn, error) {
		return dial(ctx, s.Value(Username).Reveal(), s.Value(Password).Reveal())
	}, opts...)
}

// NewWith is New for values of any names, such as whole connection strings.
func NewWith(g *secrets.Group, dial func(context.Context, secrets.Snapshot) (driver.Conn, error), opts ...Option) *Connector {
	c := &Connector{group: g, dial: dial, conns: map[*conn]struct{}{}}
	for _, opt := range opts {
		opt(c)
	}
	if c.refused == nil {
		c.refused = Refused
	}
	if c.patience == 0 {
		c.patience = DefaultPatience
	}
	c.cancel = g.OnChange(func(context.Context, secrets.Snapshot) error {
		c.retire()
		return nil
	})
	return c
}

// Pauses between logins that are refused with a credential that stays the same.
const (
	firstPause   = 50 * time.Millisecond // doubled after each
	longestPause = time.Second
)

// Connect opens a connection with the newest credential. If the database refuses
// it, the server is asked for a newer one, at once, and then again and again.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	end := time.Now().Add(c.patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		tried, opened, err := c.connect(ctx)
		if err == nil || !c.refused(err) || time.Until(end) < pause {
			return opened, err
		}
		if c.group.Snapshot().Generation() == tried {
			c.refresh(ctx, end)
		}
		if c.group.Snapshot().Generation() == tried && !sleep(ctx, pause) {
			return nil, err
		}
	}
}

// refresh asks the server. Its error matters less than the database's, which may
// end by itself.
func (c *Connector) refresh(ctx context.Context, end time.Time) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	_ = c.group.Refresh(ctx)
}

func (c *Connector) connect(ctx context.Context) (tried uint64, _ driver.Conn, err error) {
	s, done := c.group.Use()
	inner, err := c.dial(ctx, s)
	if err != nil {
		done()
		return s.Generation(), nil, err
	}
	made := &conn{Conn: inner, connector: c, generation: s.Generation(), done: done}
	c.mu.Lock()
	c.conns[made] = struct{}{}
	c.mu.Unlock()
	return s.Generation(), made, nil
}

// retire closes the connections of old credentials that lie in the pool: left
// there, they would keep the old credential in use for as long as nobody needs
// them.
func (c *Connector) retire() {
	c.mu.Lock()
	all := make([]*conn, 0, len(c.conns))
	for made := range c.conns {
		all = append(all, made)
	}
	c.mu.Unlock()
	for _, made := range all {
		made.retire()
	}
}

func (c *Connector) forget(made *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, made)
}

// Close ends the connector's interest in the group. [database/sql.DB.Close] calls
// it.
func (c *Connector) Close() error {
	c.cancel()
	return nil
}

// Driver returns a driver that opens nothing, as it lacks a credential.
func (c *Connector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("sqlconn: open the database with sql.OpenDB and the connector")
}

// Format prints no credential.
func (c *Connector) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sqlconn.Connector(%v)", c.group) }

// sleep returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
