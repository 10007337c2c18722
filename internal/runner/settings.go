package runner

import (
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/secret"
)

// loginSettings are the variables that we log in with, without their prefixes
// COFFER_ and VAULT_, of which the first wins. Each may be given as …_FILE, the
// path of a file that holds the value. The program that is run gets none of
// them.
var loginSettings = []string{
	"TOKEN", "ROLE_ID", "SECRET_ID", "WRAPPED_TOKEN", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED",
}

var prefixes = []string{"COFFER_", "VAULT_"}

// isLogin says whether a variable is kept from the program.
func isLogin(name string) bool {
	for _, prefix := range prefixes {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		rest = strings.TrimSuffix(rest, "_FILE")
		for _, setting := range loginSettings {
			if rest == setting {
				return true
			}
		}
	}
	return false
}

// given is the value of a setting and the variable it comes from.
type given struct {
	name  string // empty: there is none
	value secret.Bytes
}

func (g given) ok() bool { return g.name != "" }

// setting returns the first of the settings' variables that is not empty.
func (e *environment) setting(suffixes ...string) (given, error) {
	for _, suffix := range suffixes {
		for _, prefix := range prefixes {
			name := prefix + suffix
			if value := e.getenv(name); value != "" {
				return given{name: name, value: secret.Text(value)}, nil
			}
			name += "_FILE"
			path := e.getenv(name)
			if path == "" {
				continue
			}
			content, err := file.Read(path, maxFileMiB)
			if err != nil {
				return given{}, fmt.Errorf("%s: %w", name, err)
			}
			value := strings.TrimSpace(string(content))
			if value == "" {
				return given{}, fmt.Errorf("%s: %s is empty", name, path)
			}
			return given{name: name, value: secret.Text(value)}, nil
		}
	}
	return given{}, nil
}
