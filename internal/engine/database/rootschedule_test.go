package database_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/database/postgres"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

// automatic is a furnished site whose connection changes its own password each day.
func automatic(t *testing.T) *site {
	s := furnished(t)
	s.write("config/db", `{"rotation_period": "24h"}`)
	return s
}

// wantRotations wants passwords to have been set so often.
func (s *site) wantRotations(when string, want int) {
	s.t.Helper()
	if got := s.world.count("set"); got != want {
		s.t.Errorf("%s: the password has changed %d times, want %d", when, got, want)
	}
}

func TestAConnectionChangesItsOwnPasswordOnSchedule(t *testing.T) {
	s := automatic(t)
	s.wantRotations("at first", 0)
	for day := range 3 {
		before := s.world.password("root")
		if err := s.work(24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		s.wantRotations(fmt.Sprintf("day %d", day), day+1)
		if s.world.password("root") == before || len(s.rows(taskKey)) != 1 {
			t.Errorf("day %d: %d tasks", day, len(s.rows(taskKey)))
		}
	}
	s.read("creds/reader")
	if got := s.read("config/db")["last_vault_rotation"]; got != s.now.Format(time.RFC3339Nano) {
		t.Errorf("last rotation %v", got)
	}
	// One on demand counts, too.
	s.now = s.now.Add(12 * time.Hour)
	s.write("rotate-root/db", "")
	if err := s.work(20 * time.Hour); err != nil {
		t.Fatal(err)
	}
	s.wantRotations("12 hours after one on demand", 4)
	if err := s.work(4 * time.Hour); err != nil {
		t.Fatal(err)
	}
	s.wantRotations("24 hours after one on demand", 5)
}

func TestTheScheduleOfAConnectionCanBeChanged(t *testing.T) {
	s := automatic(t)
	tells := func(period, window float64, cron string, disabled bool) {
		t.Helper()
		got := s.read("config/db")
		want := map[string]any{
			"rotation_period": period, "rotation_schedule": cron, "rotation_window": window, "disable_automated_rotation": disabled,
		}
		for name, value := range want {
			if diff := cmp.Diff(value, got[name]); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	tells(86400, 0, "", false)
	s.write("config/db", `{"disable_automated_rotation": true}`)
	tells(86400, 0, "", true)
	if n := len(s.rows(taskKey)); n != 0 {
		t.Errorf("%d tasks, though it is disabled", n)
	}
	s.write("config/db", `{"disable_automated_rotation": false, "rotation_schedule": "0 18 * * *", "rotation_window": "1h"}`)
	tells(0, 3600, "0 18 * * *", false)
	s.write("config/db", `{"max_open_connections": 3}`)
	tells(0, 3600, "0 18 * * *", false)
	if n := len(s.rows(taskKey)); n != 1 {
		t.Errorf("%d tasks", n)
	}
	s.write("config/db", `{"rotation_schedule": "", "rotation_window": 0}`)
	tells(0, 0, "", false)
	if n := len(s.rows(taskKey)); n != 0 {
		t.Errorf("%d tasks, though there is no schedule", n)
	}
	s.write("config/db", `{"rotation_period": 10}`)
	s.must(logical.Delete, "roles/reader", "")
	s.must(logical.Delete, "config/db", "")
	if n := len(s.rows(taskKey)); n != 0 {
		t.Errorf("%d tasks of a connection that was deleted", n)
	}
}

func TestBadSchedulesOfConnectionsAreRefused(t *testing.T) {
	tests := []struct{ name, body, text string }{
		{"a period and a cron line", `{"rotation_period": "1h", "rotation_schedule": "0 0 * * *"}`, "mutually exclusive fields rotation_period and rotation_schedule"},
		{"a short period", `{"rotation_period": 9}`, "rotation_period must be 10 seconds or more"},
		{"a window of a period", `{"rotation_period": "1h", "rotation_window": "1h"}`, "rotation_window is invalid with use of rotation_period"},
		{"a window of nothing", `{"rotation_window": "1h"}`, "rotation_window needs a rotation_schedule"},
		{"a short window", `{"rotation_schedule": "0 0 * * *", "rotation_window": "5m"}`, "rotation_window must be 3600 seconds or more"},
		{"a line that is none", `{"rotation_schedule": "often"}`, "could not parse rotation_schedule"},
		{"a line that never comes", `{"rotation_schedule": "0 0 30 2 *"}`, "could not parse rotation_schedule"},
		{"a password in the url", `{"connection_url": "fake://root:x@host", "verify_connection": false, "rotation_period": "1h"}`, "{{password}} is missing"},
		{"no user", `{"username": "", "verify_connection": false, "rotation_period": "1h"}`, "unable to rotate root credentials: no username"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := furnished(t)
			s.refused(logical.Write, "config/db", test.body, test.text)
			if got := s.read("config/db"); got["rotation_period"] != 0.0 || len(s.rows(taskKey)) != 0 {
				t.Errorf("it was stored: %v", got)
			}
		})
	}
}

func TestAConnectionWaitsForItsWindow(t *testing.T) {
	s := furnished(t)
	s.write("config/db", `{"rotation_schedule": "0 18 * * *", "rotation_window": "1h"}`)
	next := time.Date(s.now.Year(), s.now.Month(), s.now.Day(), 18, 0, 0, 0, time.UTC)
	if !next.After(s.now) {
		next = next.AddDate(0, 0, 1)
	}
	if err := s.work(next.Add(90 * time.Minute).Sub(s.now)); err != nil { // coffer was down
		t.Fatal(err)
	}
	s.wantRotations("after the window", 0)
	if err := s.work(next.Add(24*time.Hour + 30*time.Minute).Sub(s.now)); err != nil {
		t.Fatal(err)
	}
	s.wantRotations("in the next one", 1)
}

// What the due queue calls for early, because the clock was put back, is neither lost
// nor done at once, nor does it wait for the time that the clock told before.
func TestTasksThatComeEarlyArePlannedAnew(t *testing.T) {
	s := automatic(t)
	s.write("static-roles/app", `{"db_name": "db", "username": "app", "rotation_period": "12h"}`)
	s.wantRotations("at first", 1)
	s.now = s.now.AddDate(-1, 0, 0)
	later := s.now.AddDate(2, 0, 0)
	for _, task := range s.dueAt(later) {
		if err := s.engine.Work(t.Context(), s.own(), task); err != nil {
			t.Fatal(err)
		}
	}
	s.wantRotations("early", 1)
	if err := s.work(12 * time.Hour); err != nil {
		t.Fatal(err)
	}
	s.wantRotations("after half a day", 2)
	if err := s.work(12 * time.Hour); err != nil {
		t.Fatal(err)
	}
	s.wantRotations("after a day", 4)
}

// A real system, whose administrator's password changes by itself.
func TestARealConnectionChangesItsOwnPassword(t *testing.T) {
	server := parts.PostgreSQL(t)
	const first = "first of coffer's own"
	url := fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable", server.Address())
	open := func(user, password string) dbms.Conn {
		raw, err := json.Marshal(map[string]any{"connection_url": url, "username": user, "password": password})
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := postgres.Kind.Parse("postgresql-database-plugin", raw)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := postgres.Kind.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	admin := open(server.User, server.Password)
	make := dbms.Statements{Create: []string{`CREATE ROLE "{{name}}" WITH LOGIN CREATEROLE PASSWORD '{{password}}'`}}
	if err := admin.Create(t.Context(), dbms.User{Name: "automatic", Password: secret.Text(first)}, make); err != nil {
		t.Fatal(err)
	}
	s := newSiteOf(t, dbms.Kinds{postgres.Kind})
	body, err := json.Marshal(map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": url, "username": "automatic", "password": first,
		"allowed_roles": "*", "rotation_period": 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("config/db", string(body))
	s.write("roles/reader", `{"db_name": "db", "creation_statements": "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}'"}`)
	for range 3 {
		if err := s.work(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		// The connection still makes users: coffer, and nobody else, has the password.
		user := s.read("creds/reader")
		if err := admin.Login(t.Context(), user["username"].(string), secret.Text(user["password"].(string))); err != nil {
			t.Error(err)
		}
		if err := s.revoke(user["username"].(string)); err != nil {
			t.Error(err)
		}
	}
	if err := admin.Login(t.Context(), "automatic", secret.Text(first)); !errors.Is(err, dbms.ErrRefused) {
		t.Errorf("the first password: %v", err)
	}
	s.restart(s.store)
	if err := s.work(10 * time.Second); err != nil {
		t.Error(err)
	}
	if got := s.read("config/db"); strings.Contains(fmt.Sprint(got), first) || got["rotation_state"] != nil {
		t.Errorf("read %v", got)
	}
}
