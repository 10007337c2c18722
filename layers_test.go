package coffer_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cofferhq/coffer"

// A layer is a row of packages, which import only rows above it, and (where
// inOrder is set) packages to their left. Third-party modules are allowed one by
// one.
type layer struct {
	name     string
	packages []string
	inOrder  bool
	imports  []string            // our packages, beside those of the rows in sees
	sees     []string            // names of the layers that may be imported
	modules  map[string][]string // package → third-party import paths, by prefix
}

var layers = []layer{
	{
		name:     "vocabulary",
		packages: []string{"internal/secret", "internal/match", "internal/version", "internal/uuid"},
	},
	{
		name: "contracts",
		packages: []string{
			"internal/storage", "internal/logical", "internal/grant", "internal/seal", "internal/stanza",
			"internal/password", "internal/schedule", "internal/policy", "internal/source", "internal/storage/storetest", "internal/logical/mounttest",
			"internal/database",
		},
		sees:    []string{"vocabulary"},
		inOrder: true,
		modules: map[string][]string{
			"internal/policy":   {"github.com/hashicorp/hcl"},
			"internal/schedule": {"github.com/robfig/cron/v3"},
			"internal/stanza":   {"github.com/hashicorp/hcl"},
			"internal/storage":  {"github.com/maypok86/otter/v2"},
		},
	},
	{
		name: "plug-ins",
		packages: []string{
			"internal/storage/inmem", "internal/storage/pebble", "internal/storage/cache", "internal/seal/keyfile", "internal/seal/shamir",
			"internal/engine/kv", "internal/engine/cubbyhole", "internal/engine/database", "internal/auth/approle", "internal/auth/userpass",
			"internal/source/generate", "internal/source/database", "internal/source/exec", "internal/source/webhook",
			"internal/database/postgres", "internal/database/mysql", "internal/database/redis",
		},
		sees: []string{"vocabulary", "contracts"},
		modules: map[string][]string{
			"internal/storage/inmem":  {"github.com/tidwall/btree"},
			"internal/storage/cache":  {"github.com/maypok86/otter/v2"},
			"internal/storage/pebble": {"github.com/cockroachdb/pebble/v2"},
			"internal/seal/keyfile":   {"github.com/tink-crypto/tink-go/v2"},
			"internal/auth/userpass":  {"golang.org/x/crypto"},

			"internal/database/postgres": {"github.com/jackc/pgx/v5"},
			"internal/database/mysql":    {"github.com/go-sql-driver/mysql"},
			"internal/database/redis":    {"github.com/gomodule/redigo"},
		},
	},
	{
		name:     "for tests",
		packages: []string{"internal/canary", "internal/parts", "internal/database/databasetest"},
		sees:     []string{"vocabulary", "contracts"},
		inOrder:  true,
	},
	{
		name: "core",
		packages: []string{
			"internal/barrier", "internal/custody", "internal/due", "internal/event", "internal/audit",
			"internal/identity", "internal/authz", "internal/token", "internal/lease", "internal/mount",
			"internal/quota", "internal/consumer", "internal/rotate", "internal/sys", "internal/core",
		},
		sees:    []string{"vocabulary", "contracts"},
		inOrder: true,
		// Splitting the root key is what custody is for; Shamir's scheme is not one
		// kind of several.
		imports: []string{"internal/seal/shamir"},
		modules: map[string][]string{
			"internal/barrier":  {"github.com/tink-crypto/tink-go/v2", "google.golang.org/protobuf"},
			"internal/consumer": {"github.com/maypok86/otter/v2"},
			"internal/event":    {"github.com/hashicorp/go-bexpr/grammar", "google.golang.org/protobuf/encoding/protowire"},
			"internal/quota":    {"github.com/maypok86/otter/v2"},
		},
	},
	{
		name:     "public",
		packages: []string{"redact", "api", "client", "secrets", "secrets/sqlconn", "scan/rules", "scan", "scan/source", "scan/ignore", "scan/gitleaks"},
		inOrder:  true,
		imports:  []string{"internal/match"},
		modules:  map[string][]string{"client": {"github.com/coder/websocket"}, "scan/gitleaks": {"github.com/BurntSushi/toml"}},
	},
	{
		name: "edges",
		packages: []string{
			"internal/file", "internal/config", "internal/listener", "internal/metrics", "internal/httpapi", "internal/template", "internal/manifest", "internal/dotenv", "internal/drill",
			"internal/runner",
			"internal/agent", "internal/report", "internal/hook",
		},
		sees:    []string{"vocabulary", "contracts", "core", "public"},
		inOrder: true,
		modules: map[string][]string{
			"internal/metrics":  {"github.com/prometheus/client_golang", "github.com/prometheus/common"},
			"internal/manifest": {"go.yaml.in/yaml/v3", "github.com/BurntSushi/toml"},
			"internal/dotenv": {
				"github.com/joho/godotenv", "github.com/compose-spec/compose-go/v2/dotenv", "github.com/hashicorp/go-envparse",
				"github.com/subosito/gotenv",
			},
			"internal/runner": {
				"go.yaml.in/yaml/v3", "github.com/BurntSushi/toml", "golang.org/x/sys", "github.com/creack/pty",
			},
			"internal/listener": {"golang.org/x/sys"},
			"internal/httpapi":  {"github.com/coder/websocket"},
			"internal/template": {"go.yaml.in/yaml/v3", "github.com/BurntSushi/toml"},
			"internal/agent":    {"golang.org/x/sys"},
		},
	},
	{
		name:     "assembly",
		packages: []string{"internal/builtin", "internal/server", "internal/demo", "internal/cli", "cmd/coffer", "internal/servertest"},
		inOrder:  true,
		sees:     []string{"vocabulary", "contracts", "plug-ins", "core", "public", "edges"},
		modules: map[string][]string{
			"internal/server": {"golang.org/x/sys"},
			"internal/cli":    {"golang.org/x/term", "go.yaml.in/yaml/v3", "github.com/BurntSushi/toml", "golang.org/x/sys"},
		},
	},
}

// Imports point down the diagram of ARCHITECTURE.md, and third-party modules
// come in only where this table says.
func TestImportsPointInOneDirection(t *testing.T) {
	for dir, imports := range packageImports(t) {
		row, at := find(dir)
		if row == nil {
			t.Errorf("%s stands in no row of the table: give it a place", dir)
			continue
		}
		for _, imp := range imports {
			if reason := row.refuses(dir, at, imp); reason != "" {
				t.Errorf("%s imports %s: %s", dir, imp, reason)
			}
		}
	}
}

func find(dir string) (*layer, int) {
	for i := range layers {
		if at := slices.Index(layers[i].packages, dir); at >= 0 {
			return &layers[i], at
		}
	}
	return nil, -1
}

// refuses says why a package may not import another, or nothing.
func (l *layer) refuses(dir string, at int, imp string) string {
	ours, isOurs := strings.CutPrefix(imp, module+"/")
	if !isOurs {
		if slices.ContainsFunc(l.modules[dir], func(p string) bool { return imp == p || strings.HasPrefix(imp, p+"/") }) {
			return ""
		}
		return "a third-party module that the table does not allow here"
	}
	target, place := find(ours)
	switch {
	case target == nil:
		return "it stands in no row of the table"
	case slices.Contains(l.imports, ours), slices.Contains(l.sees, target.name):
		return ""
	case target != l:
		return "a " + target.name + " package is not below " + l.name
	case !l.inOrder:
		return "siblings do not know each other"
	case place > at:
		return "it stands to the right in the same row"
	}
	return ""
}

// packageImports returns, by folder, what the code without tests imports outside
// of the standard library.
func packageImports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || hasOwnModule(file) || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		all[dir] = append(all[dir], nil...)
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") && !slices.Contains(all[dir], imp) {
				all[dir] = append(all[dir], imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func hasOwnModule(dir string) bool {
	found, err := filepath.Glob(path.Join(dir, "go.mod"))
	return err == nil && len(found) > 0
}
