package postgres

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return b64(sum[:])
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testCA(t *testing.T) string { return parts.PostgreSQL(t).CA }

// root returns the superuser's connections: the driver's, and a plain one.
func root(t *testing.T) (parts.Server, *Conn, *pgx.Conn) {
	t.Helper()
	s := parts.PostgreSQL(t)
	return s, open(t, s, s.User, s.Password, nil), connect(t, s, s.User, s.Password)
}

func execute(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, one := range statements {
		if _, err := conn.Exec(t.Context(), one); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
}

func TestWhatTheServerKeepsIsTheVerifierWeSent(t *testing.T) {
	s, _, plain := root(t)
	conn := open(t, s, s.User, s.Password, map[string]any{"password_authentication": "scram-sha-256"})
	mustCreate(t, conn, "kept", "pass word", create...)
	defer conn.Drop(t.Context(), "kept", database.Statements{})
	var kept string
	if err := plain.QueryRow(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolname = 'kept'").Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kept, "SCRAM-SHA-256$4096:") {
		t.Error(kept)
	}
	err := conn.SetPassword(t.Context(), "kept", secret.Text("pässword"), database.Statements{})
	if !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("a password whose preparation differs: %v", err)
	}
}

func mustCreate(t *testing.T, c *Conn, name, password string, statements ...string) {
	t.Helper()
	err := c.Create(t.Context(), database.User{Name: name, Password: secret.Text(password)}, database.Statements{Create: statements})
	if err != nil {
		t.Fatal(err)
	}
}

func TestALoginIsRefusedOnlyForItsCredentials(t *testing.T) {
	s, conn, plain := root(t)
	execute(t, plain, "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
		"CREATE ROLE full LOGIN PASSWORD 'p' CONNECTION LIMIT 0", "CREATE ROLE barred PASSWORD 'p'",
		"CREATE ROLE expired LOGIN PASSWORD 'p' VALID UNTIL '2020-01-01'", "CREATE ROLE fine LOGIN PASSWORD 'p'")
	defer execute(t, plain, "DROP DATABASE closed", "DROP ROLE full", "DROP ROLE barred", "DROP ROLE expired", "DROP ROLE fine")
	at := func(database string) *Conn {
		return open(t, s, s.User, s.Password, map[string]any{
			"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/%s", s.Address(), database),
		})
	}
	tests := []struct {
		name, user, password string
		conn                 *Conn
		accepted, refused    bool
	}{
		{"the password is right", "fine", "p", conn, true, false},
		{"the password is wrong", "fine", "q", conn, false, true},
		{"the role may not log in", "barred", "p", conn, false, true},
		{"the password has expired", "expired", "p", conn, false, true},
		{"the role has too many connections", "full", "p", conn, false, false},
		{"the role may not use the database", "fine", "p", at("closed"), true, false},
		{"a wrong password for that database", "fine", "q", at("closed"), false, true},
		{"there is no such database", "fine", "p", at("missing"), true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.conn.Login(t.Context(), test.user, secret.Text(test.password))
			if (err == nil) != test.accepted || errors.Is(err, database.ErrRefused) != test.refused {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestVerdictsOnAnswersThatAreHardToProvoke(t *testing.T) {
	answer := func(code, routine string) error {
		return &pgconn.PgError{Code: code, Routine: routine, Severity: "FATAL"}
	}
	tests := []struct {
		name              string
		err               error
		accepted, refused bool
	}{
		{"no line in pg_hba.conf", answer("28000", "ClientAuthentication"), false, false},
		{"starting up", answer("57P03", "ProcessStartupPacket"), false, false},
		{"too many clients", answer("53300", ""), false, false},
		{"a pool that names no routine", answer("28000", ""), false, true},
		{"no line for TLS, and refused without", errors.Join(answer("28000", "ClientAuthentication"), answer("28P01", "auth_failed")), false, true},
		{"one host is away, the other refuses", errors.Join(errors.New("dial"), fmt.Errorf("x: %w", answer("28P01", ""))), false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := verdict(test.err)
			if (err == nil) != test.accepted || errors.Is(err, database.ErrRefused) != test.refused {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARoleThatOwnsThingsIsDroppedWithoutThem(t *testing.T) {
	s, _, plain := root(t)
	execute(t, plain, "CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'of-the-manager'", "GRANT CREATE ON DATABASE postgres TO manager")
	defer execute(t, plain, "DROP OWNED BY manager", "DROP ROLE manager")
	for name, password := range map[string]string{s.User: s.Password, "manager": "of-the-manager"} {
		t.Run(name, func(t *testing.T) {
			admin := connect(t, s, name, password)
			execute(t, admin, "CREATE SCHEMA house")
			defer execute(t, plain, "DROP SCHEMA house CASCADE")
			c := open(t, s, name, password, nil)
			mustCreate(t, c, "owner", "p", create[0], `GRANT CREATE, USAGE ON SCHEMA house TO "{{name}}"`)
			owner := connect(t, s, "owner", "p")
			execute(t, owner, "CREATE TABLE house.heirloom (x int)")
			owner.Close(t.Context())
			if err := c.Drop(t.Context(), "owner", database.Statements{}); err != nil {
				t.Error(err)
			}
			execute(t, plain, "SELECT x FROM house.heirloom")
		})
	}
}

func TestARoleThatCannotBeDroppedMayNotLogIn(t *testing.T) {
	s, conn, plain := root(t)
	execute(t, plain, "CREATE DATABASE elsewhere", "CREATE ROLE stuck LOGIN PASSWORD 'p'")
	defer execute(t, plain, "DROP DATABASE elsewhere", "DROP ROLE stuck")
	execute(t, plain, "ALTER DATABASE elsewhere OWNER TO stuck")
	other := open(t, s, s.User, s.Password, map[string]any{
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/template1", s.Address()),
	})
	execute(t, plain, "CREATE TABLE stays (x int)", "ALTER TABLE stays OWNER TO stuck")
	defer execute(t, plain, "DROP TABLE stays")
	if err := other.Drop(t.Context(), "stuck", database.Statements{}); !errors.Is(err, logical.ErrUpstream) {
		t.Errorf("%v", err)
	}
	if err := conn.Login(t.Context(), "stuck", secret.Text("p")); !errors.Is(err, database.ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestStatementsOfARoleAreUsed(t *testing.T) {
	_, conn, plain := root(t)
	own := database.Statements{
		Renew:  []string{`ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`, `COMMENT ON ROLE "{{name}}" IS 'renewed'`},
		Rotate: []string{`ALTER USER "{{username}}" PASSWORD '{{password}}'; COMMENT ON ROLE "{{name}}" IS 'rotated'`},
		Revoke: []string{`DO $$ BEGIN EXECUTE 'ALTER ROLE "{{name}}" NOLOGIN'; END $$;`},
	}
	mustCreate(t, conn, "own", "p", create[0])
	defer execute(t, plain, `DROP OWNED BY own`, `DROP ROLE own`)
	comment := func() (text string) {
		row := plain.QueryRow(t.Context(), "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'own'")
		if err := row.Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := conn.Renew(t.Context(), "own", time.Now().Add(time.Hour), own); err != nil || comment() != "renewed" {
		t.Errorf("renew: %v", err)
	}
	if err := conn.SetPassword(t.Context(), "own", secret.Text("q"), own); err != nil || comment() != "rotated" {
		t.Errorf("rotate: %v", err)
	}
	if err := conn.Drop(t.Context(), "own", own); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if err := conn.Login(t.Context(), "own", secret.Text("q")); !errors.Is(err, database.ErrRefused) {
		t.Errorf("login: %v", err)
	}
}

func TestAStatementThatFailsDoesNotShowThePassword(t *testing.T) {
	_, conn, _ := root(t)
	const canary = "canary-in-a-statement"
	for name, statement := range map[string]string{
		"a syntax error": `CREATE ROLE "{{name}}" PASSWORT '{{password}}'`,
		"a wrong value":  `CREATE ROLE "{{name}}" VALID UNTIL '{{password}}'`,
		"an exception":   `DO $$ BEGIN RAISE EXCEPTION 'no {{name}} with {{password}}'; END $$`,
	} {
		t.Run(name, func(t *testing.T) {
			err := conn.Create(t.Context(), database.User{Name: "never", Password: secret.Text(canary)}, database.Statements{Create: []string{statement}})
			if !errors.Is(err, logical.ErrUpstream) || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTLSWithTheServersCA(t *testing.T) {
	s := parts.PostgreSQL(t)
	for name, test := range map[string]struct {
		host, ca string
		works    bool
	}{
		"its CA":       {"127.0.0.1", s.CA, true},
		"another name": {"localhost", s.CA, false},
		"another CA":   {"127.0.0.1", parts.OtherCA(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t, s, s.User, s.Password, map[string]any{
				"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s:%d/postgres", test.host, s.Port), "tls_ca": test.ca,
			})
			if err := conn.Ping(t.Context()); (err == nil) != test.works {
				t.Errorf("%v", err)
			}
			if err := conn.Login(t.Context(), s.User, secret.Text("wrong")); errors.Is(err, database.ErrRefused) != test.works {
				t.Errorf("login: %v", err)
			}
		})
	}
}

func TestLongNamesAreNotCutOff(t *testing.T) {
	_, conn, _ := root(t)
	long := strings.Repeat("x", maxName+1)
	for doing, err := range map[string]error{
		"create": conn.Create(t.Context(), database.User{Name: long, Password: secret.Text("p")}, database.Statements{Create: create}),
		"drop":   conn.Drop(t.Context(), long, database.Statements{}),
		"login":  conn.Login(t.Context(), long, secret.Text("p")),
	} {
		if !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%s: %v", doing, err)
		}
	}
}
