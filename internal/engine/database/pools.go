package database

import (
	"context"
	"errors"
	"sync"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

// pools are the open connections of a mount, one pool for each connection that is
// configured. A pool that is replaced is closed when its last user has let go.
type pools struct {
	mu     sync.Mutex       // guards the fields below
	open   map[string]*pool // name of a connection → its newest
	closed bool

	busy sync.WaitGroup // users of pools
}

type pool struct {
	generation string // of the record that it was opened for
	conn       dbms.Conn

	left chan struct{} // gets an element when a user has let go, unless it has one

	users int  // guarded by pools.mu
	stale bool // the last user closes it; guarded by pools.mu
}

var errClosed = logical.Errorf(logical.ErrSealed, "the database engine is being closed")

// take returns the pool of the named connection in that generation, opened if
// need be, and what lets go of it. open dials nothing.
func (p *pools) take(name, generation string, open func() (dbms.Conn, error)) (conn dbms.Conn, letGo func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	one := p.open[name]
	if one == nil || one.generation != generation {
		conn, err := open()
		if err != nil {
			return nil, nil, err
		}
		one = &pool{generation: generation, conn: conn, left: make(chan struct{}, 1)}
		if p.open == nil {
			p.open = make(map[string]*pool)
		}
		if old := p.open[name]; old != nil {
			p.busy.Go(func() { p.retire(old) })
		}
		p.open[name] = one
	}
	one.users++
	p.busy.Add(1)
	return one.conn, func() { p.letGo(one); p.busy.Done() }, nil
}

func (p *pools) letGo(one *pool) {
	p.mu.Lock()
	one.users--
	last := one.stale && one.users == 0
	p.mu.Unlock()
	select {
	case one.left <- struct{}{}:
	default:
	}
	if last {
		one.conn.Close() // nobody is left who could use the error
	}
}

// retire closes a pool, or leaves that to its last user.
func (p *pools) retire(one *pool) error {
	p.mu.Lock()
	one.stale = true
	idle := one.users == 0
	p.mu.Unlock()
	if idle {
		return one.conn.Close()
	}
	return nil
}

// drop closes the pool of a connection: the next use opens another.
func (p *pools) drop(name string) {
	p.mu.Lock()
	one := p.open[name]
	delete(p.open, name)
	p.mu.Unlock()
	if one != nil {
		p.retire(one)
	}
}

// maxQuiet is how long quiet waits: who holds a pool for longer hangs.
const maxQuiet = 5 * time.Second

// quiet waits, for a while, until the caller is the only user of a connection's pool.
func (p *pools) quiet(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, maxQuiet)
	defer cancel()
	for {
		p.mu.Lock()
		one := p.open[name]
		alone := one == nil || one.users <= 1
		p.mu.Unlock()
		if alone {
			return
		}
		select {
		case <-one.left:
		case <-ctx.Done():
			return
		}
	}
}

// close closes all pools and waits for their users. No pool is opened any more.
func (p *pools) close() error {
	p.mu.Lock()
	p.closed = true
	all := p.open
	p.open = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range all {
		errs = append(errs, p.retire(one))
	}
	p.busy.Wait()
	return errors.Join(errs...)
}
