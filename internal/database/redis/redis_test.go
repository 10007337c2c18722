package redis

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/database/databasetest"
	"github.com/cofferhq/coffer/internal/parts"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

const plugin = "redis-database-plugin"

func TestConformance(t *testing.T) {
	server := parts.Redis(t)
	databasetest.Run(t, databasetest.Target{
		Kind: Kind, Plugin: plugin, Server: server,
		Fields:         fields,
		Create:         []string{`["~*", "+@read", "+@connection"]`},
		Broken:         []string{`["~*", "+@missing"]`},
		CommitCreate:   "SETUSER",
		CommitPassword: "SETUSER",
		Session:        func(t *testing.T, name, password string) func() bool { return session(t, server, name, password) },
		Nasty:          []string{`it's"odd"`, `back\slash`, "Ümläut@host", "user=x", "%s{{name}}"},
	})
}

func fields(host string, port int, user, password string) map[string]any {
	return map[string]any{"host": host, "port": port, "username": user, "password": password, "persistence_mode": "ACLFILE"}
}

func session(t *testing.T, s parts.Server, name, password string) (alive func() bool) {
	t.Helper()
	conn, err := redis.DialContext(t.Context(), "tcp", s.Address(), redis.DialUsername(name), redis.DialPassword(password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() bool {
		_, err := conn.Do("PING")
		return err == nil
	}
}

func open(t *testing.T, s parts.Server, user, password string, with map[string]any) *Conn {
	t.Helper()
	all := fields(s.Host, s.Port, user, password)
	maps.Copy(all, with)
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Kind.Parse(plugin, raw)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

var _ = database.Kinds{Kind}
