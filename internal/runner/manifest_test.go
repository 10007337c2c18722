package runner

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const appManifest = `version = 1

[secrets.DB_PASSWORD]
reference = "vault:secret/db#password"

[secrets.PORT]
type = "port"
default = 8080

[secrets.key]
reference = "vault:secret/db#user"
file = "app.key"
env = "KEY_PATH"
mode = "0440"

[secrets.DSN]
reference = "vault:secret/db#dsn"
required = false
`

func TestAManifestSaysWhatTheProgramGets(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"by its references and defaults", nil, "c4n4ry-pw 8080 app 440 unset"},
		{"the environment wins", []string{"DB_PASSWORD=${vault:secret/db#user}!", "PORT=81", "DSN=vault:secret/db#user"}, "app! 81 app 440 app"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := try(t, append(tt.env, "PATH="+os.Getenv("PATH")), nil, func(o *Options) {
				o.Command = []string{"sh", "-c", `echo "$DB_PASSWORD $PORT $(cat "$KEY_PATH") $(stat -c %a "$KEY_PATH") ${DSN-unset}"`}
				o.Manifest = write(t, "coffer.toml", appManifest)
			})
			if d := cmp.Diff(tt.want+"\n", o.out); d != "" || o.code != 0 {
				t.Errorf("code %d: %s %s", o.code, o.err, d)
			}
		})
	}
}

func TestWhatIsNotAsTheManifestSaysIsRefused(t *testing.T) {
	tests := []struct {
		name, manifest string
		env            []string
		code           int
		want           string
	}{
		{"a value of another type", appManifest, []string{"PORT=c4n4ry"}, ExitLocal, "PORT: "},
		{"a value of another type from the server", "version = 1\n[secrets.N]\ntype = \"int\"\nreference = \"vault:secret/db#password\"\n", nil, ExitLocal, "N: "},
		{"nothing at all", "version = 1\n[secrets.N]\ntype = \"int\"\n", nil, ExitLocal, "N: nothing sets it"},
		{"an empty value", "version = 1\n[secrets.N]\n", []string{"N="}, ExitLocal, "N: its value is empty"},
		{"what the server does not have", "version = 1\n[secrets.N]\nreference = \"vault:secret/db#none\"\n", nil, ExitServer, "coffer.toml: N: vault:secret/db#none: the secret has no such field"},
		{"a variable of the login", "version = 1\n[secrets.VAULT_TOKEN]\nreference = \"vault:secret/db#user\"\n", nil, ExitLocal, "what we log in with"},
		{"no manifest", "[", nil, ExitLocal, "coffer.toml, line 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("coffer.toml", []byte(tt.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			o := try(t, tt.env, []string{"exit", "0"}, func(o *Options) { o.Manifest = "coffer.toml" })
			if o.code != tt.code || !strings.Contains(o.err, tt.want) {
				t.Errorf("code %d: %s", o.code, o.err)
			}
		})
	}
}
