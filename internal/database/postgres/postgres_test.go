package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/database/databasetest"
	"github.com/cofferhq/coffer/internal/parts"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

const plugin = "postgresql-database-plugin"

var create = []string{`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`}

func TestConformance(t *testing.T) {
	for _, form := range []string{"password", "scram-sha-256"} {
		t.Run(form, func(t *testing.T) {
			server := parts.PostgreSQL(t)
			databasetest.Run(t, databasetest.Target{
				Kind: Kind, Plugin: plugin, Server: server,
				Fields: func(host string, port int, user, password string) map[string]any {
					return map[string]any{
						"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s:%d/postgres?sslmode=disable", host, port),
						"username":       user, "password": password, "password_authentication": form,
					}
				},
				Create:         create,
				Broken:         []string{create[0], `GRANT SELECT ON TABLE missing TO "{{name}}"`},
				CommitCreate:   "commit",
				CommitPassword: "commit",
				Session:        func(t *testing.T, name, password string) func() bool { return session(t, server, name, password) },
				Nasty:          []string{`it's "odd"`, `back\slash`, "Ümläut user@host", "v-token-my-role-x", "$$; DROP ROLE x; --"},
			})
		})
	}
}

// connect logs in as a user.
func connect(t *testing.T, s parts.Server, name, password string) *pgx.Conn {
	t.Helper()
	cc, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s/postgres?sslmode=disable", s.Address()))
	if err != nil {
		t.Fatal(err)
	}
	cc.User, cc.Password = name, password
	conn, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func session(t *testing.T, s parts.Server, name, password string) (alive func() bool) {
	conn := connect(t, s, name, password)
	return func() bool {
		_, err := conn.Exec(t.Context(), "SELECT 1")
		return err == nil
	}
}

// open returns a connection as a user with fields of its own.
func open(t *testing.T, s parts.Server, user, password string, with map[string]any) *Conn {
	t.Helper()
	cfg := config(t, s, user, password, with)
	conn, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func config(t *testing.T, s parts.Server, user, password string, with map[string]any) database.Config {
	t.Helper()
	fields := map[string]any{
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable", s.Address()),
		"username":       user, "password": password,
	}
	maps.Copy(fields, with)
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Kind.Parse(plugin, raw)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
