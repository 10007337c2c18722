package sqlconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/secrets/sqlconn"
)

// bare is a connection of a driver that can do no more than it must.
type bare struct {
	log  *journal
	name string
}

// journal is what happened to connections.
type journal struct {
	mu      sync.Mutex // guards the fields below
	entries []string
	closed  chan string // if not nil, gets the names of closed connections
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func (j *journal) has(entry string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.entries, entry)
}

func (b *bare) Prepare(query string) (driver.Stmt, error) { return statement{b, query}, nil }
func (b *bare) Begin() (driver.Tx, error)                 { b.log.add("%s begin", b.name); return b, nil }
func (b *bare) Commit() error                             { b.log.add("%s commit", b.name); return nil }
func (b *bare) Rollback() error                           { b.log.add("%s rollback", b.name); return nil }
func (b *bare) Close() error {
	b.log.add("%s close", b.name)
	if b.log.closed != nil {
		b.log.closed <- b.name
	}
	return nil
}

type statement struct {
	conn  *bare
	query string
}

func (s statement) Close() error  { return nil }
func (s statement) NumInput() int { return -1 }
func (s statement) Exec([]driver.Value) (driver.Result, error) {
	s.conn.log.add("%s %s", s.conn.name, s.query)
	return driver.ResultNoRows, nil
}
func (s statement) Query([]driver.Value) (driver.Rows, error) {
	return nil, errors.New("no rows here")
}

func (j *journal) dial(_ context.Context, username, password string) (driver.Conn, error) {
	return &bare{log: j, name: username + ":" + password}, nil
}

func exec(t *testing.T, x interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string) {
	t.Helper()
	if _, err := x.ExecContext(t.Context(), query, 1); err != nil {
		t.Fatal(err)
	}
}

func TestConnectionsOfAnOldCredentialLeaveThePool(t *testing.T) {
	v := &vault{version: 1, username: "u", password: "1"}
	g := follow(t, v, time.Hour)
	j := &journal{closed: make(chan string, 8)}
	db := sql.OpenDB(sqlconn.New(g, j.dial))
	defer db.Close()

	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, held, "a")
	exec(t, db, "b") // on a second connection, which lies in the pool after it
	v.await(t, 1)
	v.publish("u", "2")
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-j.closed; got != "u:1" { // the one that lies in the pool
		t.Errorf("%s is closed", got)
	}
	exec(t, db, "c")
	exec(t, held, "d")
	if v.used != 1 {
		t.Errorf("version %d is acknowledged while an older one is in use", v.used)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-j.closed; got != "u:1" {
		t.Errorf("%s is closed", got)
	}
	v.await(t, 2)
	want := []string{"u:1 a", "u:1 b", "u:1 close", "u:2 c", "u:1 d", "u:1 close"}
	if !slices.Equal(j.entries, want) {
		t.Errorf("got %q, want %q", j.entries, want)
	}
}

func TestADriverThatCanDoLittleIsEnough(t *testing.T) {
	v := &vault{version: 1, username: "u", password: "1"}
	j := &journal{}
	connector := sqlconn.New(follow(t, v, time.Hour), j.dial)
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "in")
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if _, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true}); err == nil {
		t.Error("a read-only transaction is given")
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Raw(func(v any) error {
		if _, ok := sqlconn.Unwrap(v).(*bare); !ok {
			t.Errorf("%T", sqlconn.Unwrap(v))
		}
		return nil
	})
	if err != nil || sqlconn.Unwrap(3) != 3 {
		t.Error(err)
	}
	if !j.has("u:1 begin") || !j.has("u:1 in") || !j.has("u:1 commit") {
		t.Errorf("got %q", j.entries)
	}
	if _, err := connector.Driver().Open("x"); err == nil {
		t.Error("a driver without a credential opens")
	}
	if text := fmt.Sprintf("%+v", connector); strings.Contains(text, "u:1") {
		t.Error(text)
	}
}

func TestARefusedLoginIsTriedWithANewerCredential(t *testing.T) {
	refusal := errors.New(`FATAL: password authentication failed for user "u" (SQLSTATE 28P01)`)
	v := &vault{version: 1, username: "u", password: "1"}
	g := follow(t, v, time.Hour)
	var tried []string
	dial := func(_ context.Context, username, password string) (driver.Conn, error) {
		tried = append(tried, password)
		if password != "2" {
			v.publish("u", "2")
			return nil, refusal
		}
		return &bare{log: &journal{}}, nil
	}
	c, err := sqlconn.New(g, dial).Connect(t.Context())
	if err != nil || !slices.Equal(tried, []string{"1", "2"}) {
		t.Fatalf("%v after %q", err, tried)
	}
	c.Close()

	for name, tt := range map[string]struct {
		err      error
		patience time.Duration
	}{
		"it is refused for good":  {refusal, time.Nanosecond},
		"it fails in another way": {errors.New("connection reset"), time.Hour},
	} {
		n := 0
		_, err := sqlconn.New(g, func(context.Context, string, string) (driver.Conn, error) {
			n++
			return nil, tt.err
		}, sqlconn.WithPatience(tt.patience)).Connect(t.Context())
		if !errors.Is(err, tt.err) || n != 1 {
			t.Errorf("%s: %v after %d", name, err, n)
		}
	}
}

type stateError string

func (e stateError) Error() string    { return "no text of use" }
func (e stateError) SQLState() string { return string(e) }

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"pgx, wrapped", fmt.Errorf("connect: %w", stateError("28P01")), true},
		{"a role that may not log in", stateError("28000"), true},
		{"a database that starts", stateError("57P03"), false},
		{"a text of pgx", errors.New("failed to connect: FATAL: x (SQLSTATE 28P01)"), true},
		{"pq of old", errors.New(`pq: password authentication failed for user "x"`), true},
		{"mysql", errors.New("Error 1045 (28000): Access denied for user 'x'@'h' (using password: YES)"), true},
		{"mysql of old", errors.New("Error 1045: Access denied"), true},
		{"too many connections", errors.New("Error 1040: Too many connections"), false},
		{"another number", errors.New("Error 10451: x"), false},
		{"the network", errors.New("connection refused"), false},
	} {
		if got := sqlconn.Refused(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
