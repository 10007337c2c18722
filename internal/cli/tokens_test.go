package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func homeStore(t *testing.T) (*tokenStore, string) {
	t.Helper()
	home := t.TempDir()
	env := map[string]string{"HOME": home}
	return System{Getenv: func(name string) string { return env[name] }}.tokens(), home
}

func TestTheStoredTokenIsForItsOwnerOnly(t *testing.T) {
	store, home := homeStore(t)
	path := filepath.Join(home, ".vault-token")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := store.store("new"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := store.load(); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if entries, err := os.ReadDir(home); len(entries) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestATokenKeptElsewhereStaysThere(t *testing.T) {
	store, home := homeStore(t)
	elsewhere := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(elsewhere, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(home, ".vault-token")); err != nil {
		t.Fatal(err)
	}
	if err := store.store("new"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(elsewhere); string(b) != "new" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNoTokenIsNoError(t *testing.T) {
	store, _ := homeStore(t)
	if got, err := store.load(); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The helper is a script that keeps the token in a file beside it.
func TestATokenHelperKeepsTheToken(t *testing.T) {
	store, home := homeStore(t)
	helper := filepath.Join(home, "helper")
	script := "#!/bin/sh\ncase $1 in\nget) cat " + home + "/kept ;;\nstore) cat >" + home + "/kept ;;\nesac\n"
	if err := os.WriteFile(helper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".vault"), []byte("token_helper = \""+helper+"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := store.store("kept-by-helper"); err != nil {
		t.Fatal(err)
	}
	if got, err := store.load(); got != "kept-by-helper" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(home, ".vault-token")); err == nil {
		t.Error("the token is in the file, too")
	}
}
