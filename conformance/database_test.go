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

// dbClient is the Go client of a server, with an engine for a database.
type dbClient struct {
	*vault.Client
	t  *testing.T
	db *postgres
}

func newDBClient(t *testing.T) *dbClient {
	t.Helper()
	db := startPostgres(t)
	db.furnish(t)
	c := &dbClient{goClient(t, startDev(t), rootToken), t, db}
	try(t, c.Sys().MountWithContext(t.Context(), "database", &vault.MountInput{Type: "database"}))
	c.write("database/config/items", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "reader,app", "connection_url": db.url(),
		"username": "coffer", "password": "first of coffer",
	})
	return c
}

func (c *dbClient) write(path string, data map[string]any) {
	c.t.Helper()
	got(c.Logical().WriteWithContext(c.t.Context(), path, data))(c.t)
}

func (c *dbClient) read(path string) *vault.Secret {
	c.t.Helper()
	s := got(c.Logical().ReadWithContext(c.t.Context(), path))(c.t)
	if s == nil {
		c.t.Fatalf("%s: nothing", path)
	}
	return s
}

func TestGoClientDatabaseConnection(t *testing.T) {
	c := newDBClient(t)
	config := c.read("database/config/items").Data
	details := config["connection_details"].(map[string]any)
	if _, ok := details["password"]; ok || details["username"] != "coffer" || config["plugin_name"] != "postgresql-database-plugin" {
		t.Errorf("config: %v", config)
	}
	c.write("database/rotate-root/items", nil)
	if err := c.db.login("coffer", "first of coffer"); err != errRefused {
		t.Errorf("the administrator's first password: %v", err)
	}
	_, err := c.Logical().ReadWithContext(t.Context(), "database/creds/nobody")
	wantStatus(t, err, 400, "unknown role: nobody")
	c.write("database/roles/other", map[string]any{"db_name": "items", "creation_statements": creation})
	_, err = c.Logical().ReadWithContext(t.Context(), "database/creds/other")
	wantStatus(t, err, 400, `"other" is not an allowed role`)
	try(t, c.Sys().UnmountWithContext(t.Context(), "database"))
}

func TestGoClientDatabaseRole(t *testing.T) {
	c := newDBClient(t)
	c.write("database/roles/reader", map[string]any{
		"db_name": "items", "creation_statements": creation, "default_ttl": "1h", "max_ttl": "24h",
	})
	creds := c.read("database/creds/reader")
	user, password := creds.Data["username"].(string), creds.Data["password"].(string)
	if !strings.HasPrefix(user, "v-root-reader-") || creds.LeaseDuration != 3600 || !creds.Renewable {
		t.Errorf("user %s, lease of %d", user, creds.LeaseDuration)
	}
	if text := got(c.db.query(user, password, "SELECT name FROM items"))(t); text != "one" {
		t.Errorf("the new user reads %q", text)
	}
	end := `SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = '` + user + `'`
	before := c.db.must(t, end)
	renewed := got(c.Sys().RenewWithContext(t.Context(), creds.LeaseID, 7200))(t)
	if after := c.db.must(t, end); after <= before || renewed.LeaseDuration != 7200 {
		t.Errorf("the account ended at %s, and now at %s", before, after)
	}
	try(t, c.Sys().RevokeWithOptionsWithContext(t.Context(), &vault.RevokeOptions{LeaseID: creds.LeaseID, Sync: true}))
	if err := c.db.login(user, password); err != errRefused {
		t.Errorf("after the revocation: %v", err)
	}
}

func TestGoClientDatabaseStaticRole(t *testing.T) {
	c := newDBClient(t)
	c.write("database/static-roles/app", map[string]any{
		"db_name": "items", "username": "app", "rotation_schedule": "0 3 * * SAT", "rotation_window": "2h",
	})
	first := c.read("database/static-creds/app").Data
	try(t, c.db.login("app", first["password"].(string)))
	c.write("database/rotate-role/app", nil)
	second := c.read("database/static-creds/app").Data
	try(t, c.db.login("app", second["password"].(string)))
	if err := c.db.login("app", first["password"].(string)); err != errRefused {
		t.Errorf("the password before: %v", err)
	}
	if _, err := time.Parse(time.RFC3339Nano, second["last_vault_rotation"].(string)); err != nil {
		t.Error(err)
	}
	if second["rotation_schedule"] != "0 3 * * SAT" || second["rotation_window"] != json.Number("7200") {
		t.Errorf("static credentials: %v", second)
	}
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
