package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

// open returns a connection as a user.
func open(t *testing.T, s parts.Server, user, password string, with map[string]any) *Conn {
	t.Helper()
	conn, err := Open(config(t, s, user, password, with))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// root returns a connection as the superuser, and what executes statements.
func root(t *testing.T) (s parts.Server, c *Conn, execute func(statements ...string)) {
	t.Helper()
	s = parts.MariaDB(t)
	c = open(t, s, s.User, s.Password, nil)
	return s, c, func(statements ...string) {
		t.Helper()
		for _, one := range statements {
			if _, err := c.db.Exec(one); err != nil {
				t.Fatalf("%s: %v", one, err)
			}
		}
	}
}

func TestDataSourceNames(t *testing.T) {
	const u, p = "us:er", `p@(:/?#%w'\`
	tests := []struct{ name, url, want string }{
		{"a template", "{{username}}:{{password}}@tcp(h:7)/db?allowAllFiles=true&multiStatements=true", u + "|" + p + "|tcp|h:7|db"},
		{"no port", "{{username}}:{{password}}@tcp(h)/", u + "|" + p + "|tcp|h:3306|"},
		{"credentials of its own", "x:y@z@tcp(h:7)/", "x|y@z|tcp|h:7|"},
		{"a socket", "{{username}}:{{password}}@unix(/run/x)/", u + "|" + p + "|unix|/run/x|"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mc, err := parse(database.Config{URL: secret.Text(test.url), Username: u, Password: secret.Text(p)})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join([]string{mc.User, mc.Passwd, mc.Net, mc.Addr, mc.DBName}, "|"); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if mc.AllowAllFiles || mc.MultiStatements {
				t.Error("the server may ask for files, or a value for statements")
			}
		})
	}
	for name, url := range map[string]string{
		"no name": "canary", "no user": ":canary@tcp(h)/", "a network of another's": "u:canary@ftp(h)/", "unknown TLS": "u:canary@tcp(h)/?tls=canary",
	} {
		if _, err := parse(database.Config{URL: secret.Text(url)}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALoginIsRefusedOnlyForItsCredentials(t *testing.T) {
	s, _, execute := root(t)
	execute("CREATE DATABASE IF NOT EXISTS closed", "CREATE USER fine@'%' IDENTIFIED BY 'p'", "CREATE USER locked@'%' IDENTIFIED BY 'p' ACCOUNT LOCK",
		"CREATE USER elsewhere@'192.0.2.1' IDENTIFIED BY 'p'", "CREATE USER expired@'%' IDENTIFIED BY 'p' PASSWORD EXPIRE")
	defer execute("DROP DATABASE closed", "DROP USER fine, locked, elsewhere@'192.0.2.1', expired")
	conn := open(t, s, s.User, s.Password, map[string]any{"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(%s)/closed", s.Address())})
	tests := []struct {
		name, user, password string
		accepted, refused    bool
	}{
		{"the password is right, for another database", "fine", "p", true, false},
		{"the password is wrong", "fine", "q", false, true},
		{"the account is locked", "locked", "p", false, false},
		{"the account is of another host", "elsewhere", "p", false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := conn.Login(t.Context(), test.user, secret.Text(test.password))
			if (err == nil) != test.accepted || errors.Is(err, database.ErrRefused) != test.refused {
				t.Errorf("%v", err)
			}
		})
	}
	if err := conn.Login(t.Context(), "expired", secret.Text("p")); errors.Is(err, database.ErrRefused) {
		t.Errorf("an expired password: %v", err)
	}
}

func TestVerdictsOnAnswersThatAreHardToProvoke(t *testing.T) {
	for number, refused := range map[uint16]bool{1045: true, 1698: true, 1040: false, 1129: false, 1130: false, 1203: false, 1862: false, 3118: false, 4151: false} {
		if err := verdict(&mysql.MySQLError{Number: number}); errors.Is(err, database.ErrRefused) != refused || err == nil {
			t.Errorf("%d: %v", number, err)
		}
	}
}

func TestADropTakesAllAccountsOfTheName(t *testing.T) {
	_, conn, execute := root(t)
	execute("CREATE USER many@'%' IDENTIFIED BY 'p'", "CREATE USER many@'127.0.0.1' IDENTIFIED BY 'q'")
	if err := conn.Drop(t.Context(), "many", database.Statements{}); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"p", "q"} {
		if err := conn.Login(t.Context(), "many", secret.Text(password)); !errors.Is(err, database.ErrRefused) {
			t.Errorf("%v", err)
		}
	}
}

func TestAnAdministratorWithFewPrivileges(t *testing.T) {
	s, conn, execute := root(t)
	execute("CREATE USER manager@'%' IDENTIFIED BY 'of-the-manager'", "GRANT CREATE USER ON *.* TO manager@'%'")
	defer execute("DROP USER manager")
	manager := open(t, s, "manager", "of-the-manager", map[string]any{"max_open_connections": 1})
	const bare = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"
	own := database.Statements{Create: []string{bare}}
	u := database.User{Name: "made", Password: secret.Text("first"), Expires: time.Now().Add(time.Hour)}
	if err := manager.Create(t.Context(), u, own); err != nil {
		t.Fatal(err)
	}
	if err := manager.Create(t.Context(), u, own); !errors.Is(err, database.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if err := manager.SetPassword(t.Context(), "made", secret.Text("second"), database.Statements{}); err != nil {
		t.Errorf("set: %v", err)
	}
	if err := manager.SetPassword(t.Context(), "nobody", secret.Text("second"), database.Statements{}); !errors.Is(err, database.ErrMissing) {
		t.Errorf("set nobody's: %v", err)
	}
	if _, err := manager.Sessions(t.Context(), "made"); err == nil || !strings.Contains(err.Error(), "PROCESS") {
		t.Errorf("sessions that cannot be seen: %v", err)
	}
	for range 2 {
		if err := manager.Drop(t.Context(), "made", database.Statements{}); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	u.Name = "half"
	if err := manager.Create(t.Context(), u, database.Statements{Create: []string{bare, "GRANT ALL ON *.* TO '{{name}}'@'%'"}}); !errors.Is(err, logical.ErrUpstream) {
		t.Errorf("half: %v", err)
	}
	if err := conn.Login(t.Context(), "half", u.Password); !errors.Is(err, database.ErrRefused) {
		t.Errorf("what has failed half-way can log in: %v", err)
	}
}

func TestStatementsOfARoleAreUsed(t *testing.T) {
	_, conn, execute := root(t)
	own := database.Statements{
		Create:   []string{create[0], "GRANT SELECT ON missing.missing TO '{{name}}'@'nowhere.invalid'"},
		Renew:    []string{"ALTER USER '{{name}}'@'%' WITH MAX_USER_CONNECTIONS 7"},
		Rotate:   []string{"SET PASSWORD FOR '{{username}}'@'%' = PASSWORD('{{password}}')"},
		Revoke:   []string{"ALTER USER '{{name}}'@'%' ACCOUNT LOCK"},
		Rollback: []string{"DROP USER '{{name}}'@'%'; CREATE USER rolled_back@'%'"},
	}
	password := secret.Text("first")
	if err := conn.Create(t.Context(), database.User{Name: "own", Password: password}, own); err == nil {
		t.Fatal("created")
	}
	execute("DROP USER rolled_back")
	if err := conn.Create(t.Context(), database.User{Name: "own", Password: password}, database.Statements{Create: create}); err != nil {
		t.Fatal(err)
	}
	defer execute("DROP USER own")
	if err := conn.Renew(t.Context(), "own", time.Now(), own); err != nil {
		t.Errorf("renew: %v", err)
	}
	if err := conn.SetPassword(t.Context(), "own", secret.Text("second"), own); err != nil {
		t.Errorf("rotate: %v", err)
	}
	if err := conn.Login(t.Context(), "own", secret.Text("second")); err != nil {
		t.Errorf("login: %v", err)
	}
	if err := conn.Drop(t.Context(), "own", own); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if err := conn.Login(t.Context(), "own", secret.Text("second")); err == nil {
		t.Error("a locked account logs in")
	}
}

func TestBackslashesAreReadAsWeWriteThem(t *testing.T) {
	s, _, execute := root(t)
	conn := open(t, s, s.User, s.Password, map[string]any{
		"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(%s)/?sql_mode=%%27NO_BACKSLASH_ESCAPES,ANSI_QUOTES%%27", s.Address()),
	})
	password := secret.Text(`back\slash and 'quote\'`)
	if err := conn.Create(t.Context(), database.User{Name: "slashed", Password: password}, database.Statements{Create: create}); err != nil {
		t.Fatal(err)
	}
	defer execute("DROP USER slashed")
	if err := conn.Login(t.Context(), "slashed", password); err != nil {
		t.Error(err)
	}
}

func TestAStatementThatFailsDoesNotShowThePassword(t *testing.T) {
	_, conn, _ := root(t)
	for name, statement := range map[string]string{
		"a syntax error":    "CREATE USER '{{name}}'@'%' IDENTIFIE '{{password}}'",
		"an unknown plugin": "CREATE USER '{{name}}'@'%' IDENTIFIED VIA x USING '{{password}}'",
		"a signal":          "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no {{name}} with {{password}}'",
	} {
		t.Run(name, func(t *testing.T) {
			u := database.User{Name: "never", Password: secret.Text("canary-in-a-statement")}
			err := conn.Create(t.Context(), u, database.Statements{Create: []string{statement}})
			if !errors.Is(err, logical.ErrUpstream) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTLSWithTheServersCA(t *testing.T) {
	s := parts.MariaDB(t)
	for name, test := range map[string]struct {
		with  map[string]any
		works bool
	}{
		"its CA":                 {map[string]any{"tls_ca": s.CA}, true},
		"another CA":             {map[string]any{"tls_ca": parts.OtherCA(t)}, false},
		"another name":           {map[string]any{"tls_ca": s.CA, "tls_server_name": "other.example"}, false},
		"any certificate at all": {map[string]any{"tls_skip_verify": true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t, s, s.User, s.Password, test.with)
			if err := conn.Ping(t.Context()); (err == nil) != test.works {
				t.Errorf("%v", err)
			}
			if err := conn.Login(t.Context(), s.User, secret.Text("wrong")); errors.Is(err, database.ErrRefused) != test.works {
				t.Errorf("login: %v", err)
			}
		})
	}
}
