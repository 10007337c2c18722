package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// furnish gives PostgreSQL an administrator for coffer, a table, and a user that was
// there before.
func (p *postgres) furnish(t *testing.T) {
	t.Helper()
	p.must(t, `CREATE ROLE coffer WITH LOGIN SUPERUSER PASSWORD 'first of coffer'`)
	p.must(t, `CREATE ROLE app WITH LOGIN PASSWORD 'first of app'`)
	p.must(t, `CREATE TABLE items (name text); INSERT INTO items VALUES ('one')`)
}

const creation = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`

func TestGoClientDatabase(t *testing.T) {
	db := startPostgres(t)
	db.furnish(t)
	client := goClient(t, startDev(t), rootToken)
	ctx := t.Context()
	write := func(path string, data map[string]any) *vault.Secret {
		t.Helper()
		return got(client.Logical().WriteWithContext(ctx, path, data))(t)
	}
	read := func(path string) *vault.Secret {
		t.Helper()
		s := got(client.Logical().ReadWithContext(ctx, path))(t)
		if s == nil {
			t.Fatalf("%s: nothing", path)
		}
		return s
	}

	try(t, client.Sys().MountWithContext(ctx, "database", &vault.MountInput{Type: "database"}))
	write("database/config/items", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "reader,app", "connection_url": db.url(),
		"username": "coffer", "password": "first of coffer",
	})
	config := read("database/config/items").Data
	details := config["connection_details"].(map[string]any)
	if _, ok := details["password"]; ok || details["username"] != "coffer" || config["plugin_name"] != "postgresql-database-plugin" {
		t.Errorf("config: %v", config)
	}
	write("database/rotate-root/items", nil)
	if err := db.login("coffer", "first of coffer"); err != errRefused {
		t.Errorf("the administrator's first password: %v", err)
	}

	write("database/roles/reader", map[string]any{
		"db_name": "items", "creation_statements": creation, "default_ttl": "1h", "max_ttl": "24h",
	})
	creds := read("database/creds/reader")
	user, password := creds.Data["username"].(string), creds.Data["password"].(string)
	if !strings.HasPrefix(user, "v-root-reader-") || creds.LeaseDuration != 3600 || !creds.Renewable {
		t.Errorf("user %s, lease of %d", user, creds.LeaseDuration)
	}
	if text := got(db.query(user, password, "SELECT name FROM items"))(t); text != "one" {
		t.Errorf("the new user reads %q", text)
	}
	ends := db.must(t, `SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = '`+user+`'`)
	renewed := got(client.Sys().RenewWithContext(ctx, creds.LeaseID, 7200))(t)
	if later := db.must(t, `SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = '`+user+`'`); later <= ends || renewed.LeaseDuration != 7200 {
		t.Errorf("the account ended at %s, and does at %s", ends, later)
	}
	try(t, client.Sys().RevokeWithOptionsWithContext(ctx, &vault.RevokeOptions{LeaseID: creds.LeaseID, Sync: true}))
	if err := db.login(user, password); err != errRefused {
		t.Errorf("after the revocation: %v", err)
	}
	_, err := client.Logical().ReadWithContext(ctx, "database/creds/nobody")
	wantStatus(t, err, 400, "unknown role: nobody")
	write("database/config/items", map[string]any{"allowed_roles": "app"})
	_, err = client.Logical().ReadWithContext(ctx, "database/creds/reader")
	wantStatus(t, err, 400, `"reader" is not an allowed role`)

	write("database/static-roles/app", map[string]any{"db_name": "items", "username": "app", "rotation_schedule": "0 3 * * SAT", "rotation_window": "2h"})
	first := read("database/static-creds/app").Data
	try(t, db.login("app", first["password"].(string)))
	write("database/rotate-role/app", nil)
	second := read("database/static-creds/app").Data
	try(t, db.login("app", second["password"].(string)))
	if err := db.login("app", first["password"].(string)); err != errRefused {
		t.Errorf("the password before: %v", err)
	}
	if _, err := time.Parse(time.RFC3339Nano, second["last_vault_rotation"].(string)); err != nil {
		t.Error(err)
	}
	if second["rotation_schedule"] != "0 3 * * SAT" || second["rotation_window"] != json.Number("7200") {
		t.Errorf("static credentials: %v", second)
	}
	try(t, client.Sys().UnmountWithContext(ctx, "database"))
}

func TestHvacDatabase(t *testing.T) {
	db := startPostgres(t)
	db.furnish(t)
	cmd := exec.Command(debianPython, "-B", "-W", "ignore", "hvac/test_database.py", "-v")
	cmd.Env = append(os.Environ(), "COFFER_ADDR="+startDev(t), "COFFER_TOKEN="+rootToken,
		"POSTGRES_URL="+db.url(), "PGHOST="+db.host, "PGPORT="+db.port, "PGDATABASE=postgres")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
