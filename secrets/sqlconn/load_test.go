package sqlconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/secrets/sqlconn"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

// database is a real server and how its users are kept.
type database struct {
	dial        sqlconn.Dial
	super       *sql.DB
	create      string // user, password
	setPassword string // user, password
	sessions    string // how many there are of a user
}

func postgres(t *testing.T) database {
	s := parts.PostgreSQL(t)
	base, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s/postgres?sslmode=disable", s.Address()))
	if err != nil {
		t.Fatal(err)
	}
	d := database{
		dial: func(ctx context.Context, username, password string) (driver.Conn, error) {
			c := base.Copy()
			c.User, c.Password = username, password
			return stdlib.GetConnector(*c).Connect(ctx)
		},
		create:      "CREATE ROLE %s LOGIN PASSWORD '%s'",
		setPassword: "ALTER ROLE %s PASSWORD '%s'",
		sessions:    "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'",
	}
	d.super = d.open(t, s)
	return d
}

func mariadb(t *testing.T) database {
	s := parts.MariaDB(t)
	d := database{
		dial: func(ctx context.Context, username, password string) (driver.Conn, error) {
			c := mysql.NewConfig()
			c.Net, c.Addr, c.User, c.Passwd = "tcp", s.Address(), username, password
			connector, err := mysql.NewConnector(c)
			if err != nil {
				return nil, err
			}
			return connector.Connect(ctx)
		},
		create:      "CREATE USER %s IDENTIFIED BY '%s'",
		setPassword: "ALTER USER %s IDENTIFIED BY '%s'",
		sessions:    "SELECT count(*) FROM information_schema.processlist WHERE user = '%s'",
	}
	d.super = d.open(t, s)
	return d
}

// open returns a pool of the superuser.
func (d database) open(t *testing.T, s parts.Server) *sql.DB {
	db := sql.OpenDB(super{d.dial, s})
	t.Cleanup(func() { db.Close() })
	return db
}

type super struct {
	dial sqlconn.Dial
	parts.Server
}

func (s super) Connect(ctx context.Context) (driver.Conn, error) {
	return s.dial(ctx, s.User, s.Password)
}
func (super) Driver() driver.Driver { return nil }

func (d database) exec(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := d.super.ExecContext(t.Context(), fmt.Sprintf(format, args...)); err != nil {
		t.Fatal(err)
	}
}

func (d database) sessionsOf(t *testing.T, user string) (n int) {
	t.Helper()
	if err := d.super.QueryRowContext(t.Context(), fmt.Sprintf(d.sessions, user)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// load uses a pool in all usual ways until stop is called, which returns how
// many uses there were. A use that fails fails the test.
func load(t *testing.T, db *sql.DB) (stop func() int64) {
	var uses atomic.Int64
	var wg sync.WaitGroup
	end := make(chan struct{})
	for i := range 8 {
		use := []func(context.Context, *sql.DB) error{query, transact, prepare, hold}[i%4]
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if err := use(t.Context(), db); err != nil {
					t.Error(err)
					return
				}
				uses.Add(1)
			}
		})
	}
	return func() int64 { close(end); wg.Wait(); return uses.Load() }
}

func query(ctx context.Context, db *sql.DB) error {
	var n int
	return db.QueryRowContext(ctx, "SELECT 1").Scan(&n)
}

func transact(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 3 {
		if _, err := tx.ExecContext(ctx, "SELECT 1"); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func prepare(ctx context.Context, db *sql.DB) error {
	s, err := db.PrepareContext(ctx, "SELECT 1")
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.ExecContext(ctx)
	return err
}

// hold keeps one connection for a few queries.
func hold(ctx context.Context, db *sql.DB) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 3 {
		if err := c.PingContext(ctx); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "SELECT 1"); err != nil {
			return err
		}
	}
	return nil
}

const rotations = 12

// Two users in turn: the old one is dead as soon as the application says that it
// uses the new one.
func TestNoQueryFailsWhileUsersAlternate(t *testing.T) {
	for name, start := range map[string]func(*testing.T) database{"PostgreSQL": postgres, "MariaDB": mariadb} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			users := [2]string{"alternate_a", "alternate_b"}
			for _, user := range users {
				d.exec(t, d.create, user, "dead")
			}
			d.exec(t, d.setPassword, users[0], "p0")
			v := &vault{version: 1, username: users[0], password: "p0"}
			db := sql.OpenDB(sqlconn.New(follow(t, v, interval), d.dial))
			defer db.Close()
			db.SetMaxOpenConns(6)
			db.SetMaxIdleConns(4)
			stop := load(t, db)
			for n := 1; n <= rotations && !t.Failed(); n++ {
				user, password := users[n%2], fmt.Sprintf("p%d", n)
				d.exec(t, d.setPassword, user, password)
				v.await(t, v.publish(user, password))
				old := users[(n+1)%2]
				if left := d.sessionsOf(t, old); left > 0 {
					// A session ends a moment after its connection has.
					waitFor(t, func() bool { return d.sessionsOf(t, old) == 0 })
				}
				d.exec(t, d.setPassword, old, "dead")
			}
			if uses := stop(); uses < rotations {
				t.Errorf("%d uses", uses)
			}
		})
	}
}

// waitFor asks again and again; each question takes the database some time.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// One user, whose password changes before the server tells it: logins are
// refused for a while.
func TestNoQueryFailsWhileAPasswordIsReplaced(t *testing.T) {
	for name, start := range map[string]func(*testing.T) database{"PostgreSQL": postgres, "MariaDB": mariadb} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			d.exec(t, d.create, "replaced", "p0")
			v := &vault{version: 1, username: "replaced", password: "p0"}
			refused := make(chan struct{}, 1)
			connector := sqlconn.New(follow(t, v, time.Hour), d.dial, sqlconn.WithRefused(func(err error) bool {
				if !sqlconn.Refused(err) {
					return false
				}
				select {
				case refused <- struct{}{}:
				default:
				}
				return true
			}))
			db := sql.OpenDB(connector)
			defer db.Close()
			db.SetMaxIdleConns(1) // so that there are logins all the time
			stop := load(t, db)
			for n := 1; n <= rotations && !t.Failed(); n++ {
				select {
				case <-refused:
				default:
				}
				password := fmt.Sprintf("p%d", n)
				d.exec(t, d.setPassword, "replaced", password)
				<-refused
				v.await(t, v.publish("replaced", password))
			}
			if uses := stop(); uses < rotations {
				t.Errorf("%d uses", uses)
			}
		})
	}
}
