// Package mysql makes, changes and ends users of MySQL and MariaDB.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

const (
	username       = `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}`
	legacyUsername = `{{ printf "v-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16 }}`

	// How long a user name can be: since MySQL 5.7, and before it.
	maxName       = 32
	maxLegacyName = 16
)

// Kind is MySQL, MariaDB, and the services that are one of them. The plug-ins
// differ in the length of user names only.
var Kind = &database.Kind{
	Plugins: []database.Plugin{
		{Name: "mysql-database-plugin", Username: username, MaxName: maxName},
		{Name: "mysql-aurora-database-plugin", Username: legacyUsername, MaxName: maxLegacyName},
		{Name: "mysql-rds-database-plugin", Username: legacyUsername, MaxName: maxLegacyName},
		{Name: "mysql-legacy-database-plugin", Username: legacyUsername, MaxName: maxLegacyName},
	},
	Fields: database.Choose("connection_url", "username", "password", "disable_escaping", "max_open_connections",
		"max_idle_connections", "max_connection_lifetime", "tls_ca", "tls_certificate_key", "tls_server_name", "tls_skip_verify",
		"username_template"),
	Check:           check,
	CheckStatements: database.CheckSQL,
	Open:            func(cfg database.Config) (database.Conn, error) { return Open(cfg) },
}

func check(cfg database.Config) []database.Problem {
	if cfg.URL.Empty() {
		return []database.Problem{{Field: "connection_url", Text: "is required"}}
	}
	if _, err := parse(cfg); err != nil {
		return []database.Problem{{Field: "connection_url", Text: err.Error()}}
	}
	return nil
}

// Conn is a connection to one server.
type Conn struct {
	cfg    *mysql.Config
	db     *sql.DB
	secret secret.Bytes
}

var _ database.Conn = (*Conn)(nil)

// Open returns a connection, which dials when it is used. It returns an error of
// kind [logical.ErrInvalid] if connection_url cannot be used.
func Open(cfg database.Config) (*Conn, error) {
	mc, err := parse(cfg)
	if err != nil {
		return nil, logical.Invalid("connection_url: %v", err)
	}
	connector, err := mysql.NewConnector(mc)
	if err != nil {
		return nil, logical.Invalid("connection_url: %v", errURL)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(cfg.MaxOpen)
	db.SetMaxIdleConns(cfg.MaxIdle)
	db.SetConnMaxLifetime(cfg.MaxLifetime)
	return &Conn{cfg: mc, db: db, secret: secret.Text(mc.Passwd)}, nil
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

// Login tries a password, without choosing a database: that the user may not use
// it says nothing about the password.
func (c *Conn) Login(ctx context.Context, name string, password secret.Bytes) error {
	if err := sound(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, database.LoginTime)
	defer cancel()
	mc := c.cfg.Clone()
	mc.User, mc.Passwd, mc.DBName, mc.Params = name, password.RevealText(), "", nil
	connector, err := mysql.NewConnector(mc)
	if err != nil {
		return failure("log in", err, c.secret, password)
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return verdict(err, c.secret, password)
	}
	conn.Close()
	return nil
}

// processes are the sessions of a user.
const processes = " FROM information_schema.PROCESSLIST WHERE USER = ?"

// Sessions counts the processes of the user. It needs the privilege PROCESS, which
// the administrator must have itself, not by a role.
func (c *Conn) Sessions(ctx context.Context, name string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	if err := c.seesProcesses(ctx); err != nil {
		return 0, failure("count sessions", err, c.secret)
	}
	if err := c.db.QueryRowContext(ctx, "SELECT COUNT(*)"+processes, name).Scan(&n); err != nil {
		return 0, failure("count sessions", err, c.secret)
	}
	return n, nil
}

// seesProcesses returns an error if the server would not show us others'
// sessions: it says nothing when it hides them.
func (c *Conn) seesProcesses(ctx context.Context) error {
	const query = "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' AND GRANTEE = " +
		"CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')"
	var n int
	if err := c.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the privilege PROCESS is needed")
	}
	return nil
}

// EndSessions kills the processes of the user.
func (c *Conn) EndSessions(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	if err := c.seesProcesses(ctx); err != nil {
		return failure("end sessions", err, c.secret)
	}
	ids, err := list[int64](ctx, c.db, "SELECT ID"+processes+" AND ID <> CONNECTION_ID()", name)
	if err != nil {
		return failure("end sessions", err, c.secret)
	}
	for _, id := range ids {
		if _, err := c.db.ExecContext(ctx, "KILL CONNECTION ?", id); err != nil && number(err) != noSuchThread {
			return failure("end sessions", err, c.secret)
		}
	}
	return nil
}

// querier is a pool or one of its connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list returns the one column of a query.
func list[T any](ctx context.Context, q querier, query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// isLost says whether the connection has failed rather than the statement.
func isLost(err error) bool {
	return number(err) == 0 || errors.Is(err, driver.ErrBadConn)
}

// sound returns an error if a name is none that a server takes.
func sound(name string) error {
	if name == "" { // any anonymous account
		return logical.Invalid("a user needs a name")
	}
	return database.Sound("name", name)
}
