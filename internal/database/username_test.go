package database_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

func TestUserNamesComeFromTemplates(t *testing.T) {
	now := time.Date(2025, 6, 1, 12, 30, 0, 123e6, time.FixedZone("", 3600))
	data := database.NameData{DisplayName: "token-Jürgen", RoleName: "abcdefghijklmnopqrstuvwxyz"}
	tests := []struct{ name, template, want string }{
		{"fields", "{{.DisplayName}}", "token-Jürgen"},
		{"truncate", "{{.RoleName | truncate 3}}", "abc"},
		{"truncate leaves characters whole", "{{.DisplayName | truncate 8}}", "token-J"},
		{"truncate what is short", "{{.RoleName | truncate 99}}", "abcdefghijklmnopqrstuvwxyz"},
		{"truncate_sha256, as documented", "{{.RoleName | truncate_sha256 20}}", "abcdefghijkl872808ff"},
		{"lowercase", "{{.DisplayName | lowercase}}", "token-jürgen"},
		{"uppercase", "{{.DisplayName | uppercase}}", "TOKEN-JÜRGEN"},
		{"replace", `{{.DisplayName | replace "-" "_"}}`, "token_Jürgen"},
		{"sha256", `{{"abc" | sha256 | truncate 8}}`, "ba7816bf"}, // FIPS 180-2 B.1
		{"base64", `{{"foobar" | base64}}`, "Zm9vYmFy"},           // RFC 4648 §10
		{"unix_time", "{{unix_time}}", "1748777400"},
		{"unix_time_millis", "{{unix_time_millis}}", "1748777400123"},
		{"timestamp", `{{timestamp "2006-01-02T15:04:05Z"}}`, "2025-06-01T11:30:00Z"},
		{"printf", `{{printf "v-%s" "x"}}`, "v-x"},
		{"random", "{{random 12}}", `[0-9A-Za-z]{12}`},
		{"uuid", "{{uuid}}", `[0-9a-f-]{36}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			names := usernames(t, test.template, 0)
			got, err := names.Make(data, now)
			if err != nil {
				t.Fatal(err)
			}
			if ok, _ := regexp.MatchString("^(?:"+test.want+")$", got); !ok {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func usernames(t *testing.T, template string, most int) *database.Usernames {
	t.Helper()
	names, err := database.NewUsernames(database.Config{Plugin: database.Plugin{MaxName: most}, UsernameTemplate: template})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestBadTemplatesAreRefused(t *testing.T) {
	tests := []struct{ name, template string }{
		{"no template", "{{"},
		{"an unknown function", "{{env}}"},
		{"an unknown field", "{{.Password}}"},
		{"an empty name", `{{""}}`},
		{"a name too long", `{{random 21}}`},
		{"random without a length", `{{random 0}}`},
		{"a loop", `{{range 1000000000}}x{{end}}`},
		{"truncate to nothing", `{{"x" | truncate 0}}`},
		{"truncate_sha256 to the hash", `{{"x" | truncate_sha256 8}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := database.NewUsernames(database.Config{Plugin: database.Plugin{MaxName: 20}, UsernameTemplate: test.template})
			if err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestANameTooLongIsAnErrorWhenItIsMade(t *testing.T) {
	names := usernames(t, "{{.RoleName}}", 10)
	if _, err := names.Make(database.NameData{RoleName: strings.Repeat("x", 11)}, time.Now()); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestRandomNamesDiffer(t *testing.T) {
	names := usernames(t, "{{random 20}}", 0)
	seen := map[string]bool{}
	for range 1000 {
		name, err := names.Make(database.NameData{}, time.Now())
		if err != nil || seen[name] {
			t.Fatalf("%q, %v", name, err)
		}
		seen[name] = true
	}
}
