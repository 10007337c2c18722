package database_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
)

func TestAConnectionIsReadWithoutItsSecrets(t *testing.T) {
	s := newSite(t, newWorld())
	s.write("config/db", strings.TrimSuffix(connection, "}")+`, "max_open_connections": 3, "password_policy": "long",
		"root_rotation_statements": "ALTER {{name}} {{password}}"}`)
	want := map[string]any{
		"plugin_name": "fake-database-plugin", "plugin_version": "", "allowed_roles": []any{"*"}, "password_policy": "long",
		"root_credentials_rotate_statements": []any{"ALTER {{name}} {{password}}"}, "verify_connection": true,
		"rotation_period": 0.0, "rotation_schedule": "", "rotation_window": 0.0, "disable_automated_rotation": false,
		"skip_static_role_import_rotation": false,
		"connection_details": map[string]any{
			"connection_url": "fake://{{username}}:{{password}}@host", "username": "root", "max_open_connections": 3.0,
		},
	}
	if diff := cmp.Diff(want, s.read("config/db")); diff != "" {
		t.Error(diff)
	}
}

func TestAConnectionKeepsWhatIsNotGiven(t *testing.T) {
	s := furnished(t)
	s.write("config/db", `{"allowed_roles": ["reader", "other-*"], "verify_connection": false}`)
	got := s.read("config/db")
	want := map[string]any{"connection_url": "fake://{{username}}:{{password}}@host", "username": "root"}
	if diff := cmp.Diff(want, got["connection_details"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"reader", "other-*"}, got["allowed_roles"]); diff != "" || got["verify_connection"] != false {
		t.Error(diff, got["verify_connection"])
	}
	s.read("creds/reader") // with the password from before
}

func TestConnectionsAreListedAndDeleted(t *testing.T) {
	s := newSite(t, newWorld())
	s.refused(logical.List, "config", "", "not found")
	s.refused(logical.Read, "config/db", "", "not found")
	s.write("config/db", connection)
	s.write("config/another", connection)
	if diff := cmp.Diff([]any{"another", "db"}, s.must(logical.List, "config", "")["keys"]); diff != "" {
		t.Error(diff)
	}
	s.must(logical.Delete, "config/db", "")
	s.must(logical.Delete, "config/db", "")
	s.refused(logical.Read, "config/db", "", "not found")
}

func TestBadConnectionsAreRefused(t *testing.T) {
	tests := []struct{ name, body, text string }{
		{"without a plugin", `{"username": "root"}`, "empty plugin name"},
		{"of an unknown plugin", `{"plugin_name": "other"}`, `unknown database plugin "other", there are: fake-database-plugin`},
		{"of a version", `{"plugin_name": "fake-database-plugin", "plugin_version": "v1"}`, "plugin_version must be empty"},
		{"with a wrong password", strings.Replace(connection, rootPassword, "wrong", 1), "error creating database object: error verifying connection: "},
		{"of a policy that is not there", `{"plugin_name": "fake-database-plugin", "password_policy": "none"}`, `password policy "none" does not exist`},
		{"with statements without a password", `{"plugin_name": "fake-database-plugin", "root_rotation_statements": "ALTER {{name}}"}`, "{{password}} is missing"},
		{"with a template that is none", `{"plugin_name": "fake-database-plugin", "username_template": "{{x"}`, "username_template"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, newWorld())
			s.refused(logical.Write, "config/db", test.body, test.text)
			s.refused(logical.Read, "config/db", "", "not found")
		})
	}
}

func TestAConnectionNeedNotBeVerified(t *testing.T) {
	s := newSite(t, newWorld())
	s.write("config/db", strings.Replace(connection, rootPassword, `wrong", "verify_connection": "false`, 1))
	if s.world.count("ping") != 0 {
		t.Error("the connection was tried")
	}
}

func TestAPasswordInTheURLIsHiddenAndWarnedOf(t *testing.T) {
	s := newSite(t, newWorld())
	resp, err := s.call(logical.Write, "config/db", `{"plugin_name": "fake-database-plugin", "verify_connection": false,
		"connection_url": "fake://root:`+rootPassword+`@host", "username": "root"}`)
	if err != nil || resp == nil || len(resp.Warnings) != 1 {
		t.Fatalf("answer %+v, error %v", resp, err)
	}
	raw, err := json.Marshal(s.read("config/db"))
	if err != nil || strings.Contains(string(raw), rootPassword) {
		t.Errorf("%s, %v", raw, err)
	}
	s.refused(logical.Write, "rotate-root/db", "", "unable to rotate root credentials")
}

// Vault lets a connection go whose users are still there, and then can't revoke them.
func TestAConnectionInUseIsOnlyDeletedByForce(t *testing.T) {
	tests := []struct {
		name  string
		use   func(s *site)
		stays string
	}{
		{"leases", func(s *site) { s.read("creds/reader") }, "leases of its users"},
		{"static roles", func(s *site) { s.write("static-roles/app", app) }, "static roles"},
		{"a user that is still to be dropped", func(s *site) {
			s.world.breakAt(1, fault{after: true})
			if _, err := s.call(logical.Read, "creds/reader", ""); err == nil {
				s.t.Error("no error")
			}
			s.world.breakAt(0, fault{})
		}, "still to be dropped"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := furnished(t)
			test.use(s)
			s.refused(logical.Delete, "config/db", "", test.stays)
			s.read("creds/reader") // it is as it was
			s.must(logical.Delete, "config/db?force=true", "")
			s.refused(logical.Read, "config/db", "", "not found")
			if err := s.work(5 * time.Minute); err != nil {
				t.Error(err)
			}
			for key := range s.rows(dataKey) {
				if !strings.HasPrefix(key, dataKey+"prole") {
					t.Errorf("row %q is left", key)
				}
			}
		})
	}
}

func TestALeaseOutlivesItsConnectionAndRole(t *testing.T) {
	s := furnished(t)
	user := s.read("creds/reader")["username"].(string)
	s.must(logical.Delete, "roles/reader", "")
	s.must(logical.Delete, "config/db?force=true", "")
	if err := s.revoke(user); err == nil || !strings.Contains(err.Error(), "failed to find entry for connection") || s.lease(user) == nil {
		t.Errorf("error %v", err)
	}
	s.write("config/db", connection)
	if err := s.revoke(user); err != nil || s.world.password(user) != "" {
		t.Errorf("error %v", err)
	}
}

func TestConnectionsAreResetAndReloaded(t *testing.T) {
	s := furnished(t)
	s.read("creds/reader")
	s.write("reset/db", "")
	s.read("creds/reader")
	got := s.write("reload/fake-database-plugin", "")
	if diff := cmp.Diff(map[string]any{"connections": []any{"db"}, "count": 1.0}, got); diff != "" {
		t.Error(diff)
	}
	s.refused(logical.Write, "reset/other", "", `failed to find entry for connection with name: "other"`)
	resp, err := s.call(logical.Write, "reload/other", "")
	if err != nil || mounttest.Data(t, resp) != `{"connections":[],"count":0}` || len(resp.Warnings) != 1 {
		t.Errorf("answer %+v, error %v", resp, err)
	}
	if err := s.engine.Close(); err != nil || s.world.open != 0 {
		t.Errorf("%d connections are open, error %v", s.world.open, err)
	}
}
