package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/secret"
)

// system is a kind of system that users log in at.
type system struct {
	name    string // for people
	plugin  string // of the driver
	port    string // if none is said
	schemes []string
	words   []string // in names of variables
}

var systems = []system{
	{"PostgreSQL", "postgresql-database-plugin", "5432", []string{"postgres", "postgresql"}, []string{"PG", "POSTGRES", "POSTGRESQL", "PGSQL"}},
	{"MySQL", "mysql-database-plugin", "3306", []string{"mysql", "mariadb", "mysql2"}, []string{"MYSQL", "MARIADB"}},
	{"Redis", "redis-database-plugin", "6379", []string{"redis", "rediss", "valkey"}, []string{"REDIS", "VALKEY"}},
}

// login is a user with a password, and where.
type login struct {
	system         system
	host, port     string
	user, database string
	sslmode        string // PostgreSQL's
	tls            bool   // Redis's
	password       secret.Bytes
}

func (l login) address() string { return net.JoinHostPort(l.host, l.port) }

func (l login) same(other login) bool {
	return l.address() == other.address() && l.user == other.user && l.password.Equal(other.password)
}

// loginOfURL reads postgres://user:password@host/database and its kin.
func loginOfURL(text string) (login, bool) {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return login{}, false
	}
	password, ok := u.User.Password()
	if !ok || password == "" {
		return login{}, false
	}
	scheme, _, _ := strings.Cut(u.Scheme, "+") // postgresql+psycopg2
	for _, s := range systems {
		for _, name := range s.schemes {
			if scheme != name {
				continue
			}
			l := login{
				system: s, host: u.Hostname(), port: u.Port(), user: u.User.Username(), password: secret.Text(password),
				database: strings.Trim(u.Path, "/"), sslmode: u.Query().Get("sslmode"), tls: scheme == "rediss",
			}
			return l, l.complete() == nil
		}
	}
	return login{}, false
}

// loginOfGroup reads a login of variables; group says which is what.
func loginOfGroup(prefix string, group map[string]string, values map[string]secret.Bytes) (login, error) {
	text := func(role string) string { return values[group[role]].RevealText() }
	l := login{
		host: text("host"), port: text("port"), user: text("user"), database: text("database"), password: values[group["password"]],
	}
	if host, port, err := net.SplitHostPort(l.host); err == nil && l.port == "" {
		l.host, l.port = host, port
	}
	s, ok := guessSystem(prefix+"_"+text("kind"), l.port)
	if !ok {
		return login{}, errors.New("it is not clear what is at " + group["host"] + ": neither a name nor the port tells")
	}
	l.system = s
	return l, l.complete()
}

// guessSystem goes by words, else by the port.
func guessSystem(words, port string) (system, bool) {
	for _, s := range systems {
		for _, w := range strings.FieldsFunc(strings.ToUpper(words), func(r rune) bool { return r == '_' || r == '-' }) {
			for _, known := range s.words {
				if w == known {
					return s, true
				}
			}
		}
	}
	for _, s := range systems {
		if port == s.port {
			return s, true
		}
	}
	return system{}, false
}

// complete fills in what is usual, and refuses what no address has.
func (l *login) complete() error {
	if l.port == "" {
		l.port = l.system.port
	}
	if l.user == "" && l.system.name == "Redis" {
		l.user = "default"
	}
	if l.user == "" || l.host == "" || l.password.Empty() {
		return errors.New("host, user or password is empty")
	}
	if strings.ContainsAny(l.host+l.port+l.database, "{}@/?#\\()'\" \t\n") {
		return errors.New("host, port or database has characters that no address has")
	}
	return nil
}

// config is the login as the driver takes it, with the user in place of an
// administrator: only the login is made.
func (l login) config() map[string]any {
	cfg := map[string]any{"username": l.user, "password": l.password.RevealText()}
	switch l.system.name {
	case "PostgreSQL":
		u := fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/%s", l.address(), l.database)
		if l.sslmode != "" {
			u += "?sslmode=" + url.QueryEscape(l.sslmode)
		}
		cfg["connection_url"] = u
	case "MySQL":
		cfg["connection_url"] = fmt.Sprintf("{{username}}:{{password}}@tcp(%s)/%s", l.address(), l.database)
	default:
		cfg["host"], cfg["port"], cfg["tls"] = l.host, l.port, l.tls
	}
	return cfg
}

// try logs in once.
func (l login) try(ctx context.Context, kinds database.Kinds) error {
	kind, ok := kinds.Find(l.system.plugin)
	if !ok {
		return errors.New("there is no driver for " + l.system.name)
	}
	raw, err := json.Marshal(l.config())
	if err != nil {
		return errors.New("the login cannot be written for the driver")
	}
	cfg, err := kind.Parse(l.system.plugin, raw)
	if err != nil {
		return err
	}
	conn, err := kind.Open(cfg)
	if err != nil {
		return err
	}
	err = conn.Login(ctx, l.user, l.password)
	if closing := conn.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, database.ErrRefused) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
