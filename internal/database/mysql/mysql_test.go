package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/database/databasetest"
	"github.com/cofferhq/coffer/internal/parts"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

const plugin = "mysql-database-plugin"

var create = []string{"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON *.* TO '{{name}}'@'%';"}

func TestConformance(t *testing.T) {
	server := parts.MariaDB(t)
	databasetest.Run(t, databasetest.Target{
		Kind: Kind, Plugin: plugin, Server: server,
		Fields: func(host string, port int, user, password string) map[string]any {
			return map[string]any{
				"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(%s:%d)/", host, port),
				"username":       user, "password": password,
			}
		},
		Create:         create,
		Broken:         []string{create[0], "GRANT SELECT ON missing.missing TO '{{name}}'@'nowhere.invalid'"},
		CommitCreate:   "CREATE USER",
		CommitPassword: "ALTER USER",
		Session:        func(t *testing.T, name, password string) func() bool { return session(t, server, name, password) },
		Nasty:          []string{`it's "odd"`, `back\slash`, "Ümläut user@host", "v-token-my-role-x", "`; DROP USER x; --"},
	})
}

func session(t *testing.T, s parts.Server, name, password string) (alive func() bool) {
	t.Helper()
	mc := mysql.NewConfig()
	mc.Net, mc.Addr, mc.User, mc.Passwd, mc.Logger = "tcp", s.Address(), name, password, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(mc)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() bool { return conn.(interface{ Ping(context.Context) error }).Ping(t.Context()) == nil }
}

func config(t *testing.T, s parts.Server, user, password string, with map[string]any) database.Config {
	t.Helper()
	fields := map[string]any{
		"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(%s)/", s.Address()), "username": user, "password": password,
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
