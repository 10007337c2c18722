// Package redis makes, changes and ends users of Redis and Valkey, which are
// entries of its access control list.
package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

const username = `{{ printf "V_%s_%s_%s_%s" (.DisplayName | uppercase | truncate 64) (.RoleName | uppercase | truncate 64) ` +
	`(random 20 | uppercase) (unix_time) | replace " " "_" | truncate 256 }}`

// maxName is ours: the server has no limit.
const maxName = 256

// Kind is Redis from version 6 on, and Valkey. Of a role's statements it takes the
// creation statements only, which are the rules of the user.
var Kind = &database.Kind{
	Plugins: []database.Plugin{
		{Name: "redis-database-plugin", Username: username, MaxName: maxName},
		{Name: "valkey-database-plugin", Username: username, MaxName: maxName},
	},
	Fields: database.Choose("host", "port", "username", "password", "tls", "insecure_tls", "ca_cert", "persistence_mode",
		"max_open_connections", "max_idle_connections", "max_connection_lifetime", "username_template"),
	Check:           check,
	CheckStatements: checkStatements,
	Open:            func(cfg database.Config) (database.Conn, error) { return Open(cfg) },
}

func check(cfg database.Config) (problems []database.Problem) {
	add := func(field, text string) { problems = append(problems, database.Problem{Field: field, Text: text}) }
	if cfg.Host == "" {
		add("host", "is required")
	}
	if cfg.Port < 1 || cfg.Port > 65535 {
		add("port", "is required, and from 1 to 65535")
	}
	if cfg.Username == "" {
		add("username", "is required")
	}
	if cfg.Password.Empty() {
		add("password", "is required")
	}
	if !cfg.TLS && (cfg.CA != "" || cfg.SkipTLSVerify) {
		add("tls", "is off, but there are fields for it")
	}
	return problems
}

// Conn is a connection to one server.
type Conn struct {
	cfg  database.Config
	tls  *tls.Config // nil: without TLS
	pool *redis.Pool
}

var _ database.Conn = (*Conn)(nil)

// Open returns a connection, which dials when it is used. It returns an error of
// kind [logical.ErrInvalid] if the configuration cannot be used.
func Open(cfg database.Config) (*Conn, error) {
	if p := check(cfg); len(p) > 0 {
		return nil, logical.Invalid("%s: %s", p[0].Field, p[0].Text)
	}
	own, err := cfg.ClientTLS(cfg.Host)
	if err != nil {
		return nil, logical.Invalid("tls: %v", err)
	}
	c := &Conn{cfg: cfg, tls: own}
	c.pool = &redis.Pool{
		DialContext:     func(ctx context.Context) (redis.Conn, error) { return c.dial(ctx, cfg.Username, cfg.Password) },
		MaxActive:       cfg.MaxOpen,
		MaxIdle:         max(0, cfg.MaxIdle),
		MaxConnLifetime: cfg.MaxLifetime,
		Wait:            true,
		TestOnBorrowContext: func(ctx context.Context, c redis.Conn, since time.Time) error {
			if time.Since(since) < idleTime {
				return nil
			}
			_, err := redis.DoContext(c, ctx, "PING")
			return err
		},
	}
	return c, nil
}

// idleTime is after how long a connection is tried before it is used.
const idleTime = time.Second

// dial connects and logs in.
func (c *Conn) dial(ctx context.Context, name string, password secret.Bytes) (redis.Conn, error) {
	options := []redis.DialOption{
		redis.DialConnectTimeout(database.LoginTime), redis.DialReadTimeout(database.CallTime), redis.DialWriteTimeout(database.CallTime),
	}
	if c.tls != nil {
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(c.tls))
	}
	conn, err := redis.DialContext(ctx, "tcp", net.JoinHostPort(c.cfg.Host, strconv.Itoa(c.cfg.Port)), options...)
	if err != nil {
		return nil, err
	}
	if _, err := redis.DoContext(conn, ctx, "AUTH", name, password.Reveal()); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Close closes all connections.
func (c *Conn) Close() error { return c.pool.Close() }

// Ping logs in as the administrator.
func (c *Conn) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, database.LoginTime)
	defer cancel()
	if _, err := c.do(ctx, "PING"); err != nil {
		return c.failure("connect", err)
	}
	return nil
}

// Login tries a password.
func (c *Conn) Login(ctx context.Context, name string, password secret.Bytes) error {
	ctx, cancel := context.WithTimeout(ctx, database.LoginTime)
	defer cancel()
	conn, err := c.dial(ctx, name, password)
	if err == nil {
		conn.Close()
		return nil
	}
	if says(err, "WRONGPASS") {
		return database.Upstream("log in", fmt.Errorf("%w (WRONGPASS)", database.ErrRefused))
	}
	return c.failure("log in", err, password)
}

// Sessions counts the clients of the user.
func (c *Conn) Sessions(ctx context.Context, name string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	text, err := redis.String(c.do(ctx, "CLIENT", "LIST"))
	if err != nil {
		return 0, c.failure("count sessions", err)
	}
	return clients(text, name), nil
}

// clients counts the lines of CLIENT LIST that are of a user, whose name has no
// spaces.
func clients(list, name string) (n int) {
	for line := range strings.Lines(list) {
		for _, field := range strings.Fields(line) {
			if user, ok := strings.CutPrefix(field, "user="); ok && user == name {
				n++
			}
		}
	}
	return n
}

// EndSessions ends the user's connections.
func (c *Conn) EndSessions(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	_, err := c.do(ctx, "CLIENT", "KILL", "USER", name)
	if err != nil && !(says(err, "ERR No such user") || says(err, "ERR no such user")) {
		return c.failure("end sessions", err)
	}
	return nil
}

// do executes one command on a connection of the pool.
func (c *Conn) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}

// says says whether the error is an answer that begins with code.
func says(err error, code string) bool {
	answer, ok := err.(redis.Error)
	return ok && strings.HasPrefix(string(answer), code)
}

func (c *Conn) failure(doing string, err error, secrets ...secret.Bytes) error {
	return database.Upstream(doing, err, append(secrets, c.cfg.Password)...)
}
