package database_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestARoleIsReadAsItWasWritten(t *testing.T) {
	s := furnished(t)
	want := map[string]any{
		"db_name": "db", "creation_statements": []any{"CREATE {{name}} {{password}}, then GRANT"}, "default_ttl": 1800.0, "max_ttl": 86400.0,
		"renew_statements": []any{}, "revocation_statements": []any{}, "rollback_statements": []any{}, "credential_type": "password",
	}
	if diff := cmp.Diff(want, s.read("roles/reader")); diff != "" {
		t.Error(diff)
	}
	s.write("roles/reader", `{"revocation_statements": "DROP {{name}}, really", "credential_config": {"password_policy": "long"}, "max_ttl": 0}`)
	want["revocation_statements"], want["max_ttl"] = []any{"DROP {{name}}, really"}, 0.0
	want["credential_config"] = map[string]any{"password_policy": "long"}
	if diff := cmp.Diff(want, s.read("roles/reader")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"reader"}, s.must(logical.List, "roles", "")["keys"]); diff != "" {
		t.Error(diff)
	}
	s.must(logical.Delete, "roles/reader", "")
	s.refused(logical.Read, "roles/reader", "", "not found")
	s.refused(logical.Read, "creds/reader", "", "unknown role: reader")
}

func TestBadRolesAreRefused(t *testing.T) {
	tests := []struct{ name, body, text string }{
		{"without a connection", `{}`, "database name is required"},
		{"without a placeholder", `{"db_name": "db", "creation_statements": "CREATE {{name}}"}`, "{{password}} is missing"},
		{"of another type", `{"db_name": "db", "credential_type": "rsa_private_key"}`, `credential_type "rsa_private_key" is not supported`},
		{"with an unknown setting", `{"db_name": "db", "credential_config": "key_bits=2048"}`, `unknown setting "key_bits"`},
		{"of a policy that is not there", `{"db_name": "db", "credential_config": {"password_policy": "none"}}`, "does not exist"},
		{"with statements that are no texts", `{"db_name": "db", "creation_statements": [1]}`, "expected a text or a list of texts"},
		{"of a name that a static role has", `{"db_name": "db"}`, "Role and Static Role names must be unique"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := furnished(t)
			s.write("static-roles/new", app)
			name := "other"
			if strings.Contains(test.name, "static") {
				name = "new"
			}
			s.refused(logical.Write, "roles/"+name, test.body, test.text)
		})
	}
}

func TestARoleMayComeBeforeItsConnection(t *testing.T) {
	s := newSite(t, newWorld())
	resp, err := s.call(logical.Write, "roles/reader", reader)
	if err != nil || len(resp.Warnings) != 1 {
		t.Fatalf("answer %+v, error %v", resp, err)
	}
	s.refused(logical.Read, "creds/reader", "", `failed to find entry for connection with name: "db"`)
	s.write("config/db", connection)
	s.read("creds/reader")
}

func TestAUserIsMadeForARole(t *testing.T) {
	s := furnished(t)
	resp, err := s.call(logical.Read, "creds/reader", "")
	if err != nil {
		t.Fatal(err)
	}
	data := resp.Data.(map[string]any)
	user, password := data["username"].(string), data["password"].(string)
	if !strings.HasPrefix(user, "v-token-ap-reader-") || s.world.password(user) != password || len(password) != 20 {
		t.Errorf("user %s, password of %d", user, len(password))
	}
	if l := resp.Lease; l.TTL != 30*time.Minute || l.MaxTTL != 24*time.Hour || !l.Renewable || strings.Contains(string(l.State), password) {
		t.Errorf("lease %+v", resp.Lease)
	}
	if got := s.world.users[user].expires; !got.Equal(s.now.Add(30*time.Minute + 5*time.Second)) {
		t.Errorf("the account ends at %s", got)
	}
	if left := s.rows(taskKey); len(left) != 0 {
		t.Errorf("%d tasks are left", len(left))
	}
}

func TestTheNearestPasswordPolicyCounts(t *testing.T) {
	s := furnished(t)
	s.write("config/db", `{"password_policy": "long"}`)
	if got := s.read("creds/reader")["password"].(string); len(got) != 40 {
		t.Errorf("the connection's policy makes a password of %d", len(got))
	}
}

func TestARoleMustBeAllowed(t *testing.T) {
	tests := []struct {
		allowed string
		may     bool
	}{
		{`[]`, false}, {`["other"]`, false}, {`["reader"]`, true}, {`"other,read*"`, true}, {`["*er"]`, true}, {`["r*d*r"]`, true},
		{`["r*x*r"]`, false}, {`["*ade*"]`, true}, {`["reader*reader"]`, false}, {`["*"]`, true},
	}
	for _, test := range tests {
		t.Run(test.allowed, func(t *testing.T) {
			s := furnished(t)
			s.write("config/db", `{"allowed_roles": `+test.allowed+`}`)
			_, err := s.call(logical.Read, "creds/reader", "")
			if test.may != (err == nil) || err != nil && err.Error() != `"reader" is not an allowed role` {
				t.Errorf("error %v", err)
			}
		})
	}
}

// While the system is away nothing is begun that would have to be taken back.
func TestASystemThatIsAwayIsAskedForNothing(t *testing.T) {
	s := furnished(t)
	s.world.add("root", "changed by hand")
	s.refused(logical.Read, "creds/reader", "", "create a database user: ")
	if left := s.rows(taskKey); len(left) != 0 || s.world.count("create") != 0 {
		t.Errorf("%d tasks", len(left))
	}
	if err := s.engine.Leave(t.Context(), s.own()); err != nil {
		t.Error(err)
	}
}

func TestAUserWhoseMakingFailedIsDroppedLater(t *testing.T) {
	for _, how := range []fault{{}, {after: true}} {
		s := furnished(t)
		s.write("roles/reader", `{"rollback_statements": "ROLL BACK {{name}}"}`)
		s.world.breakAt(1, how)
		s.refused(logical.Read, "creds/reader", "", "create a database user: ")
		s.world.breakAt(0, how)
		if err := s.work(3 * time.Minute); err != nil || len(s.world.names()) != 1 || s.world.sentence["ROLL BACK {{name}}"] != 1 {
			t.Errorf("%+v: users %q, error %v", how, s.world.names(), err)
		}
	}
}

// A template that makes one name only may make that of a user who was there before.
func TestAUserOfTheSameNameIsLeftAlone(t *testing.T) {
	tests := []struct {
		name string
		how  fault
		at   int
	}{
		{"because the system says that there is one", fault{}, 0},
		{"although the system did not say", fault{}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := furnished(t)
			s.write("config/db", `{"username_template": "fixed-{{.RoleName}}"}`)
			s.world.add("fixed-reader", "somebody else's")
			s.world.breakAt(test.at, test.how)
			s.refused(logical.Read, "creds/reader", "", "create a database user")
			s.world.breakAt(0, test.how)
			if err := s.work(3 * time.Minute); err != nil || s.world.password("fixed-reader") == "" {
				t.Errorf("the user is gone; %v", err)
			}
			if left := s.rows(dataKey + "ppending"); len(left) != 0 {
				t.Error("a row is left")
			}
		})
	}
	s := furnished(t)
	s.write("config/db", `{"username_template": "fixed-{{.RoleName}}"}`)
	s.world.breakAt(1, fault{after: true})
	s.refused(logical.Read, "creds/reader", "", "create a database user")
	s.world.breakAt(0, fault{})
	if err := s.work(3 * time.Minute); err != nil || slices.Contains(s.world.names(), "fixed-reader") {
		t.Errorf("our own user stays; %v", err)
	}
}

func TestALeaseIsRenewedAsTheRoleSaysNow(t *testing.T) {
	s := furnished(t)
	user := s.read("creds/reader")["username"].(string)
	s.now = s.now.Add(10 * time.Minute)
	if err := s.renew(user); err != nil {
		t.Fatal(err)
	}
	if got := s.world.users[user].expires; !got.Equal(s.now.Add(time.Hour + 5*time.Second)) {
		t.Errorf("the account ends at %s", got)
	}
	s.must(logical.Delete, "roles/reader", "")
	if err := s.renew(user); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), `could not find role with name "reader"`) {
		t.Errorf("error %v", err)
	}
}

func TestALeaseIsRevokedByWhatItsRoleSaidThen(t *testing.T) {
	s := furnished(t)
	s.write("roles/reader", `{"revocation_statements": ["AWAY WITH {{name}}"]}`)
	user := s.read("creds/reader")["username"].(string)
	s.must(logical.Delete, "roles/reader", "")
	s.world.breakAt(1, fault{})
	if err := s.revoke(user); !errors.Is(err, logical.ErrUpstream) || s.lease(user) == nil {
		t.Errorf("error %v", err)
	}
	s.world.breakAt(0, fault{})
	for range 2 { // what is revoked can be revoked
		if err := s.revoke(user); err != nil || s.world.password(user) != "" || s.world.sentence["AWAY WITH {{name}}"] != 1 {
			t.Errorf("error %v", err)
		}
	}
	if s.world.count("end") == 0 {
		t.Error("the sessions were not ended")
	}
}

func TestAMountLeavesNoUserBehind(t *testing.T) {
	s := furnished(t)
	s.world.breakAt(1, fault{after: true})
	s.refused(logical.Read, "creds/reader", "", "lost")
	if err := s.engine.Leave(t.Context(), s.own()); err == nil || !strings.Contains(err.Error(), "may still be in the making") {
		t.Errorf("error %v", err)
	}
	s.now = s.now.Add(time.Minute)
	s.world.breakAt(1, fault{lasting: true})
	if err := s.engine.Leave(t.Context(), s.own()); !errors.Is(err, logical.ErrUpstream) {
		t.Errorf("while the system is away: %v", err)
	}
	s.world.breakAt(0, fault{})
	if err := s.engine.Leave(t.Context(), s.own()); err != nil || !slices.Equal(s.world.names(), []string{"app"}) {
		t.Errorf("users %q, error %v", s.world.names(), err)
	}
}

// An operator can have the mount gone although the system will never come back.
func TestAMountForgetsByForce(t *testing.T) {
	s := furnished(t)
	s.world.breakAt(1, fault{after: true})
	s.refused(logical.Read, "creds/reader", "", "lost")
	s.now = s.now.Add(3 * time.Minute)
	s.world.breakAt(1, fault{lasting: true})
	left, err := s.engine.Forget(t.Context(), s.own())
	if err != nil || len(left) != 1 || !strings.Contains(left[0], `of the connection "db" may still be there`) {
		t.Fatalf("left %q, error %v", left, err)
	}
	if what := s.world.leaks(left[0]); what != "" {
		t.Errorf("it tells %s", what)
	}
	if n := len(s.rows(dataKey + "ppending")); n != 0 || len(s.rows(taskKey)) != 0 {
		t.Errorf("%d rows and %d tasks are left", n, len(s.rows(taskKey)))
	}
	if err := s.engine.Leave(t.Context(), s.own()); err != nil {
		t.Error(err)
	}
	// What can be taken back is.
	s.world.breakAt(1, fault{after: true})
	s.refused(logical.Read, "creds/reader", "", "lost")
	s.now = s.now.Add(3 * time.Minute)
	s.world.breakAt(0, fault{})
	users := len(s.world.names())
	if left, err := s.engine.Forget(t.Context(), s.own()); err != nil || len(left) != 0 || len(s.world.names()) != users-1 {
		t.Errorf("left %q, users %q, error %v", left, s.world.names(), err)
	}
}
