package database_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// kind knows all fields.
var kind = &database.Kind{
	Plugins: []database.Plugin{{Name: "p", Username: "v-{{.RoleName}}", MaxName: 20}},
	Fields: database.Choose("connection_url", "username", "password", "max_open_connections", "max_idle_connections",
		"max_connection_lifetime", "tls_ca", "tls_certificate_key", "private_key", "username_template", "password_authentication",
		"persistence_mode", "port"),
	Check: func(database.Config) []database.Problem { return nil },
}

func parse(t *testing.T, raw string) database.Config {
	t.Helper()
	cfg, err := kind.Parse("p", json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestConnectionsHaveVaultsDefaults(t *testing.T) {
	tests := []struct {
		name, raw     string
		open, idle    int
		lifetime      time.Duration
		verifier      bool
		persistence   database.Persistence
		wantsTemplate bool
	}{
		{"nothing is said", `{}`, 4, 4, 0, false, "", true},
		{"all is said", `{"max_open_connections":"9","max_idle_connections":3,"max_connection_lifetime":"5s",
			"password_authentication":"scram-sha-256","persistence_mode":"rewrite"}`, 9, 3, 5 * time.Second, true, "REWRITE", true},
		{"more idle ones than open ones", `{"max_open_connections":2,"max_idle_connections":3}`, 2, 2, 0, false, "", true},
		{"no idle ones", `{"max_idle_connections":-1,"persistence_mode":"None"}`, 4, -1, 0, false, "", true},
		{"a URL with a password of its own", `{"connection_url":"x://u:p@h"}`, 4, 4, 0, false, "", false},
		{"a templated URL", `{"connection_url":"x://u:{{password}}@h"}`, 4, 4, 0, false, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := parse(t, test.raw)
			if cfg.MaxOpen != test.open || cfg.MaxIdle != test.idle || cfg.MaxLifetime != test.lifetime ||
				cfg.Verifier != test.verifier || cfg.Persistence != test.persistence || cfg.Templated() != test.wantsTemplate {
				t.Errorf("%+v", cfg)
			}
		})
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	const canary = "canary-of-the-key"
	raw := `{"password_authentication":"md5","persistence_mode":"often","username_template":"{{.Nothing}}","tls_certificate_key":"` + canary + `"}`
	_, err := kind.Parse("p", json.RawMessage(raw))
	if !errors.Is(err, logical.ErrInvalid) {
		t.Fatalf("%v", err)
	}
	for _, field := range []string{"password_authentication: ", "persistence_mode: ", "username_template: ", "tls: "} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v lacks %q", err, field)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Error("the error holds the key")
	}
	if _, err := kind.Parse("other", nil); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("another plug-in: %v", err)
	}
	if _, err := kind.Parse("p", json.RawMessage(`{"port":"x"}`)); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("no number: %v", err)
	}
}

func TestNoConfigurationPrintsItsSecrets(t *testing.T) {
	cfg := database.Config{URL: secret.Text("x://u:canary@h"), Password: secret.Text("canary"), Key: secret.Text("canary"), Certificate: secret.Text("canary")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, cfg); strings.Contains(got, "canary") || strings.Contains(got, "63616e617279") {
			t.Errorf("%s prints a secret", verb)
		}
	}
}

func TestTheURLIsShownWithoutItsPassword(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"a template stays", "postgres://{{username}}:{{password}}@h:5432/db?sslmode=x", "postgres://{{username}}:{{password}}@h:5432/db?sslmode=x"},
		{"a password of a URL", "postgres://u:s3cret@h/db", "postgres://u:*****@h/db"},
		{"a password with odd characters", "postgres://u:s3:c/r@e?t@h/db?sslmode=x", "postgres://u:*****@h/db?sslmode=x"},
		{"no password", "postgres://u@h/db", "postgres://u@h/db"},
		{"no credentials", "postgres://h:5432/db", "postgres://h:5432/db"},
		{"a password in the query", "postgres://h/db?user=u&password=s3cret&x=y", "postgres://h/db?user=u&password=*****&x=y"},
		{"the password of a key", "postgres://h/db?sslpassword=s3cret", "postgres://h/db?sslpassword=*****"},
		{"a keyword", "host=h password=s3cret user=u", "host=h password=***** user=u"},
		{"a keyword with a quoted value", `host=h password = 's3 \' cret' user=u`, "host=h password =***** user=u"},
		{"a template as a keyword", "host=h password='{{password}}'", "host=h password='{{password}}'"},
		{"a data source name of MySQL", "u:s3@c/ret@tcp(h:3306)/db", "u:*****@tcp(h:3306)/db"},
		{"a template of MySQL", "{{username}}:{{password}}@tcp(h:3306)/", "{{username}}:{{password}}@tcp(h:3306)/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (database.Config{URL: secret.Text(test.url)}).DisplayURL(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestErrorsHoldNoPartOfASecret(t *testing.T) {
	password := secret.Text(`hunter2'\x"`)
	tests := []struct {
		name, text string
		shown      bool
	}{
		{"harmless", "permission denied for table x", true},
		{"the whole", `near "hunter2'\x""`, false},
		{"the whole, quoted", `near 'hunter2''\\x"`, false},
		{"its end", `near 'er2''\\x" to use'`, false},
		{"its beginning", "near 'hunt", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := database.Upstream("create a user", errors.New(test.text), secret.Bytes{}, password)
			if shown := strings.Contains(err.Error(), test.text); shown != test.shown || !errors.Is(err, logical.ErrUpstream) {
				t.Errorf("%v", err)
			}
		})
	}
	err := database.Upstream("log in", fmt.Errorf("no: %w", database.ErrRefused))
	if !errors.Is(err, database.ErrRefused) || errors.Is(err, database.ErrExists) {
		t.Errorf("%v", err)
	}
}

func TestKindsAreFoundByPlugin(t *testing.T) {
	kinds := database.Kinds{{Plugins: []database.Plugin{{Name: "other"}}, Fields: database.Choose("host")}, kind}
	if k, ok := kinds.Find("p"); !ok || k != kind {
		t.Error("not found")
	}
	if _, ok := kinds.Find("none"); ok {
		t.Error("found")
	}
	if fields := kinds.Fields(); len(fields) != len(kind.Fields)+1 {
		t.Errorf("%d fields", len(fields))
	}
}
