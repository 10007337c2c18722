package database_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

// rotating is a furnished site with the static role "app".
func rotating(t *testing.T) *site {
	s := furnished(t)
	s.write("static-roles/app", app)
	return s
}

func TestAStaticRoleChangesThePasswordAtOnce(t *testing.T) {
	s := rotating(t)
	password := s.world.password("app")
	if password == firstPassword {
		t.Fatal("the password is the old one")
	}
	want := map[string]any{
		"username": "app", "password": password, "ttl": 86400.0, "rotation_period": 86400.0,
		"last_vault_rotation": s.now.Format(time.RFC3339Nano),
	}
	if diff := cmp.Diff(want, s.read("static-creds/app")); diff != "" {
		t.Error(diff)
	}
	want = map[string]any{
		"username": "app", "db_name": "db", "rotation_statements": []any{}, "rotation_period": 86400.0, "credential_type": "password",
		"last_vault_rotation": s.now.Format(time.RFC3339Nano), "skip_import_rotation": false, "rotation_state": "settled",
	}
	if diff := cmp.Diff(want, s.read("static-roles/app")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"app"}, s.must(logical.List, "static-roles", "")["keys"]); diff != "" {
		t.Error(diff)
	}
	s.must(logical.Delete, "static-roles/app", "")
	s.refused(logical.Read, "static-creds/app", "", "unknown role: app")
	s.refused(logical.Write, "rotate-role/app", "", "no static role found for role name")
	if rows := s.rows(taskKey); len(rows) != 0 || s.world.password("app") != password {
		t.Errorf("%d tasks are left", len(rows))
	}
}

func TestBadStaticRolesAreRefused(t *testing.T) {
	tests := []struct{ name, body, text string }{
		{"without a user", `{"db_name": "db", "rotation_period": "1h"}`, "username is a required field to create a static account"},
		{"without a connection", `{"username": "other", "rotation_period": "1h"}`, "database name is a required field"},
		{"with an unknown connection", `{"db_name": "x", "username": "other", "rotation_period": "1h"}`, `failed to find entry for connection with name: "x"`},
		{"without a period", `{"db_name": "db", "username": "other"}`, "one of rotation_schedule or rotation_period must be provided"},
		{"with both", `{"db_name": "db", "username": "other", "rotation_period": "1h", "rotation_schedule": "0 0 * * *"}`, "mutually exclusive fields"},
		{"with a short period", `{"db_name": "db", "username": "other", "rotation_period": 4}`, "rotation_period must be 5 seconds or more"},
		{"with a window without times", `{"db_name": "db", "username": "other", "rotation_period": 60, "rotation_window": "1h"}`, "rotation_window is invalid with use of rotation_period"},
		{"with a short window", `{"db_name": "db", "username": "other", "rotation_schedule": "0 0 * * *", "rotation_window": "5m"}`, "rotation_window must be 3600 seconds or more"},
		{"with times that never come", `{"db_name": "db", "username": "other", "rotation_schedule": "0 0 30 2 *"}`, "could not parse rotation_schedule"},
		{"with times that are none", `{"db_name": "db", "username": "other", "rotation_schedule": "24h"}`, "could not parse rotation_schedule"},
		{"of the connection's own user", `{"db_name": "db", "username": "root", "rotation_period": "1h"}`, "rotate-root"},
		{"of a user that has one", `{"db_name": "db", "username": "app", "rotation_period": "1h"}`, `the database user "app" has the static role "app" already`},
		{"of a user that is not there", `{"db_name": "db", "username": "nobody", "rotation_period": "1h"}`, "change the password: set: database: no such user"},
		{"that changes its own password", `{"db_name": "db", "username": "other", "rotation_period": "1h", "self_managed_password": "x"}`, "self_managed_password is not supported"},
		{"with a password and a rotation", `{"db_name": "db", "username": "other", "rotation_period": "1h", "password": "x"}`, "skip_import_rotation"},
		{"with a wrong password", `{"db_name": "db", "username": "other", "rotation_period": "1h", "password": "x", "skip_import_rotation": true}`, "does not accept the password"},
		{"with statements without a password", `{"db_name": "db", "username": "other", "rotation_period": "1h", "rotation_statements": "ALTER {{name}}"}`, "{{password}} is missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := rotating(t)
			before := len(s.rows(""))
			s.refused(logical.Write, "static-roles/new", test.body, test.text)
			s.refused(logical.Read, "static-roles/new", "", "not found")
			if after := len(s.rows("")); after != before {
				t.Errorf("%d rows were left", after-before)
			}
		})
	}
	s := rotating(t)
	s.refused(logical.Write, "static-roles/reader", `{"db_name": "db", "username": "other", "rotation_period": "1h"}`, "must be unique")
	s.write("config/db", `{"allowed_roles": "reader"}`)
	s.refused(logical.Write, "static-roles/new", `{"db_name": "db", "username": "other", "rotation_period": "1h"}`, `"new" is not an allowed role`)
}

func TestAStaticRoleIsChanged(t *testing.T) {
	s := rotating(t)
	password := s.world.password("app")
	s.refused(logical.Write, "static-roles/app", `{"username": "other"}`, "cannot update static account username")
	s.refused(logical.Write, "static-roles/app", `{"db_name": "other"}`, "cannot update the database of a static account")
	s.now = s.now.Add(time.Hour)
	s.write("static-roles/app", `{"rotation_period": "2h"}`)
	if got := s.read("static-creds/app"); got["ttl"] != 3600.0 || got["password"] != password {
		t.Errorf("ttl %v, or another password", got["ttl"])
	}
	s.write("static-roles/app", `{"rotation_schedule": "30 18 * * *", "rotation_window": "2h"}`)
	got := s.read("static-creds/app")
	if _, ok := got["rotation_period"]; ok || got["rotation_schedule"] != "30 18 * * *" || got["rotation_window"] != 7200.0 {
		t.Errorf("%v", got)
	}
}

func TestAPasswordIsRotatedWhenItsTimeComes(t *testing.T) {
	s := rotating(t)
	seen := map[string]bool{s.world.password("app"): true}
	for day := range 3 {
		if err := s.work(24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		password := s.world.password("app")
		if seen[password] || s.read("static-creds/app")["password"] != password {
			t.Errorf("day %d: the password is not new, or another is read", day)
		}
		seen[password] = true
	}
	if err := s.work(10 * 24 * time.Hour); err != nil || s.world.count("set") != 5 {
		t.Errorf("after ten days without a server there were %d rotations, error %v", s.world.count("set"), err)
	}
	if ttl := s.read("static-creds/app")["ttl"]; ttl != 86400.0 {
		t.Errorf("ttl %v", ttl)
	}
}

func TestAWindowThatHasClosedIsRespected(t *testing.T) {
	s := furnished(t)
	s.write("static-roles/app", `{"db_name": "db", "username": "app", "rotation_schedule": "0 18 * * *", "rotation_window": "1h"}`)
	// From 12:00 to 20:30.
	if err := s.work(8*time.Hour + 30*time.Minute); err != nil || s.world.count("set") != 1 {
		t.Errorf("%d rotations, error %v", s.world.count("set"), err)
	}
	if ttl := s.read("static-creds/app")["ttl"].(float64); ttl < 77399 || ttl > 77400 {
		t.Errorf("ttl %v", ttl)
	}
	if err := s.work(21*time.Hour + 45*time.Minute); err != nil || s.world.count("set") != 2 {
		t.Errorf("in the window: %d rotations, error %v", s.world.count("set"), err)
	}
}

func TestAPasswordIsTakenOverWithoutARotation(t *testing.T) {
	s := furnished(t)
	s.write("static-roles/app", `{"db_name": "db", "username": "app", "rotation_period": "1h", "skip_import_rotation": true, "password": "`+firstPassword+`"}`)
	if got := s.read("static-creds/app")["password"]; got != firstPassword || s.world.count("set") != 0 {
		t.Error("it was rotated")
	}
	s.write("config/db", `{"skip_static_role_import_rotation": true}`)
	s.world.add("other", "not told")
	s.write("static-roles/other", `{"db_name": "db", "username": "other", "rotation_period": "1h"}`)
	s.refused(logical.Read, "static-creds/other", "", "not known before its first rotation")
	if state := s.read("static-roles/other")["rotation_state"]; state != "unknown" {
		t.Errorf("state %v", state)
	}
	if err := s.work(time.Hour); err != nil || s.read("static-creds/other")["password"] != s.world.password("other") {
		t.Errorf("after its time: %v", err)
	}
}

// The candidate of an attempt is tried until it is in force: whatever comes through in
// the end, it is a password that is known.
func TestAnAttemptGoesOnWithItsCandidate(t *testing.T) {
	s := rotating(t)
	before := s.world.password("app")
	s.world.closed = true // nobody can find out
	s.world.breakAt(1, fault{})
	s.refused(logical.Write, "rotate-role/app", "", "it is not known yet whether the new password is in force")
	if state := s.read("static-roles/app")["rotation_state"]; state != "unsettled" {
		t.Errorf("state %v", state)
	}
	resp, err := s.call(logical.Read, "static-creds/app", "")
	if err != nil || resp.Data.(map[string]any)["password"] != before || len(resp.Warnings) != 1 {
		t.Errorf("answer %+v, error %v", resp, err)
	}
	s.world.breakAt(0, fault{})
	if err := s.work(2 * time.Minute); err != nil {
		t.Errorf("where a login does not say, the system's yes should: %v", err)
	}
	s.world.closed = false
	if got := s.read("static-creds/app")["password"]; got == before || got != s.world.password("app") {
		t.Error("the password that is read does not work")
	}
}

func TestReadingSettlesWhatIsOpen(t *testing.T) {
	s := rotating(t)
	s.world.closed = true
	s.world.breakAt(1, fault{after: true})
	s.refused(logical.Write, "rotate-role/app", "", "it is not known yet")
	s.world.closed = false
	s.world.breakAt(0, fault{})
	if got := s.read("static-creds/app")["password"]; got != s.world.password("app") {
		t.Error("the password that is read does not work")
	}
	if state := s.read("static-roles/app")["rotation_state"]; state != "settled" {
		t.Errorf("state %v", state)
	}
}

// A password that the system does not like must not be tried for ever.
func TestACandidateThatIsRefusedForGoodIsReplaced(t *testing.T) {
	s := rotating(t)
	before := s.world.password("app")
	s.world.allow = func(_, password string) error {
		if len(password) < 40 {
			return errWeak
		}
		return nil
	}
	s.refused(logical.Write, "rotate-role/app", "", "too weak")
	s.write("static-roles/app", `{"credential_config": {"password_policy": "long"}}`)
	if err := s.work(2 * time.Minute); err != nil {
		t.Error(err)
	}
	if got := s.read("static-creds/app")["password"]; got == before || got != s.world.password("app") {
		t.Error("the password that is read does not work, or is the old one")
	}
}

func TestStatementsThatChangeNothingAreNoticed(t *testing.T) {
	s := rotating(t)
	s.write("static-roles/app", `{"rotation_statements": ["`+idle+`"]}`)
	s.refused(logical.Write, "rotate-role/app", "", "the old one still works")
	if state := s.read("static-roles/app")["rotation_state"]; state != "settled" {
		t.Errorf("state %v", state)
	}
}

func TestThePasswordOfTheConnectionIsRotated(t *testing.T) {
	s := furnished(t)
	s.write("rotate-root/db", "")
	password := s.world.password("root")
	if password == rootPassword || password == "" {
		t.Fatal("the password is the old one")
	}
	s.read("creds/reader")
	s.refused(logical.Write, "rotate-root/other", "", "failed to find entry for connection")
	// An operator who sets another one wins.
	s.world.add("root", "set by hand")
	if _, err := s.call(logical.Read, "creds/reader", ""); !errors.Is(err, logical.ErrUpstream) || strings.Contains(err.Error(), password) {
		t.Errorf("error %v", err)
	}
	s.write("config/db", `{"password": "set by hand"}`)
	s.read("creds/reader")
}

func TestARotationOfTheConnectionNeedsItsPassword(t *testing.T) {
	s := newSite(t, newWorld())
	s.write("config/db", `{"plugin_name": "fake-database-plugin", "verify_connection": false, "connection_url": "x://{{username}}:{{password}}@h", "username": "root"}`)
	s.refused(logical.Write, "rotate-root/db", "", "no password in configuration")
	s.write("config/other", `{"plugin_name": "fake-database-plugin", "verify_connection": false, "connection_url": "x://h", "password": "p"}`)
	s.refused(logical.Write, "rotate-root/other", "", "no username in configuration")
}
