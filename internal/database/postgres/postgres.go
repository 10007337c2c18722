// Package postgres makes, changes and ends users of PostgreSQL.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Kind is PostgreSQL and what speaks its protocol and has its roles.
var Kind = &database.Kind{
	Plugins: []database.Plugin{{
		Name:     "postgresql-database-plugin",
		Username: `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}`,
		MaxName:  maxName,
	}},
	Fields: database.Choose("connection_url", "username", "password", "disable_escaping", "max_open_connections",
		"max_idle_connections", "max_connection_lifetime", "tls_ca", "tls_certificate", "private_key", "username_template",
		"password_authentication"),
	Check:           check,
	CheckStatements: database.CheckSQL,
	Open:            func(cfg database.Config) (database.Conn, error) { return Open(cfg) },
}

// maxName is the longest name of a role; the server cuts longer ones off.
const maxName = 63

func check(cfg database.Config) []database.Problem {
	if cfg.URL.Empty() {
		return []database.Problem{{Field: "connection_url", Text: "is required"}}
	}
	if _, err := parse(cfg); err != nil {
		return []database.Problem{{Field: "connection_url", Text: err.Error()}}
	}
	return nil
}

// Conn is a connection to one PostgreSQL server, or to several that share their
// roles.
type Conn struct {
	cfg    *pgx.ConnConfig
	db     *sql.DB
	hash   bool // passwords go to the server as verifiers
	secret secret.Bytes
}

var _ database.Conn = (*Conn)(nil)

// Open returns a connection, which dials when it is used. It returns an error of
// kind [logical.ErrInvalid] if connection_url cannot be used.
func Open(cfg database.Config) (*Conn, error) {
	cc, err := parse(cfg)
	if err != nil {
		return nil, logical.Invalid("connection_url: %v", err)
	}
	db := stdlib.OpenDB(*cc)
	db.SetMaxOpenConns(cfg.MaxOpen)
	db.SetMaxIdleConns(cfg.MaxIdle)
	db.SetConnMaxLifetime(cfg.MaxLifetime)
	return &Conn{cfg: cc, db: db, hash: cfg.Verifier, secret: secret.Text(cc.Password)}, nil
}

// Close closes all connections.
func (c *Conn) Close() error { return c.db.Close() }

// Ping logs in as the administrator.
func (c *Conn) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, database.LoginTime)
	defer cancel()
	if err := c.db.PingContext(ctx); err != nil {
		return failure("connect", err, c.secret)
	}
	return nil
}

// Login tries a password.
func (c *Conn) Login(ctx context.Context, name string, password secret.Bytes) error {
	if err := sound(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, database.LoginTime)
	defer cancel()
	cc := c.cfg.Copy()
	cc.User, cc.Password = name, password.RevealText()
	cc.RuntimeParams = map[string]string{"application_name": "coffer"} // others might need privileges
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err == nil {
		conn.Close(ctx)
	}
	return verdict(err, c.secret, password)
}

// Sessions counts what pg_stat_activity has of the user.
func (c *Conn) Sessions(ctx context.Context, name string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	err = c.db.QueryRowContext(ctx, "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = $1", name).Scan(&n)
	if err != nil {
		return 0, failure("count sessions", err, c.secret)
	}
	return n, nil
}

// endTime is how long the server waits for each session to end.
const endTime = 5 * time.Second

// EndSessions ends the user's sessions.
func (c *Conn) EndSessions(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	const of = " FROM pg_catalog.pg_stat_activity WHERE usename = $1 AND pid <> pg_catalog.pg_backend_pid()"
	_, err := c.db.ExecContext(ctx, fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(pid, %d)", endTime.Milliseconds())+of, name)
	if state(err) == undefinedFunction { // before PostgreSQL 14
		_, err = c.db.ExecContext(ctx, "SELECT pg_catalog.pg_terminate_backend(pid)"+of, name)
	}
	if err != nil {
		return failure("end sessions", err, c.secret)
	}
	return nil
}

// sound returns an error if a name is none that the server takes as it is.
func sound(name string) error {
	if name == "" || len(name) > maxName {
		return logical.Invalid("a user name has from 1 to %d bytes", maxName)
	}
	return database.Sound("name", name)
}
