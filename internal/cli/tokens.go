package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl"
)

// tokenStore keeps the caller's token between calls: in the file ~/.vault-token,
// where Vault's own programs look too, or in a program that ~/.vault names as
// token_helper.
type tokenStore struct {
	home   string
	config string // path of the file that names the helper
}

func (s System) tokens() *tokenStore {
	t := &tokenStore{home: s.Getenv("HOME"), config: s.setting("CONFIG_PATH")}
	if t.home == "" {
		t.home, _ = os.UserHomeDir() // empty: path says so
	}
	if t.config == "" && t.home != "" {
		t.config = filepath.Join(t.home, ".vault")
	}
	return t
}

func (t *tokenStore) path() (string, error) {
	if t.home == "" {
		return "", errors.New("no home folder to keep the token in: set HOME")
	}
	return filepath.Join(t.home, ".vault-token"), nil
}

// load returns an empty text if there is no token.
func (t *tokenStore) load() (string, error) {
	helper, err := t.helper()
	if err != nil {
		return "", err
	}
	if helper != "" {
		return runHelper(helper, "get", "")
	}
	path, err := t.path()
	if err != nil {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// save replaces the token. A reader sees the old one or the new one, whole.
func (t *tokenStore) save(token string) error {
	helper, err := t.helper()
	if err != nil {
		return err
	}
	if helper != "" {
		_, err = runHelper(helper, "store", token)
		return err
	}
	path, err := t.path()
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // somebody keeps it elsewhere on purpose
	}
	return writeAtomically(path, []byte(token))
}

// erase forgets the token.
func (t *tokenStore) erase() error {
	helper, err := t.helper()
	if err != nil {
		return err
	}
	if helper != "" {
		_, err = runHelper(helper, "erase", "")
		return err
	}
	path, err := t.path()
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeAtomically writes a file that only its owner may read.
func writeAtomically(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // there is none any more once it is renamed
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// helper returns the path of the token helper, or nothing.
func (t *tokenStore) helper() (string, error) {
	if t.config == "" {
		return "", nil
	}
	text, err := os.ReadFile(t.config)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the command line's configuration: %w", err)
	}
	var cfg struct {
		TokenHelper string `hcl:"token_helper"`
	}
	if err := hcl.Decode(&cfg, string(text)); err != nil {
		return "", fmt.Errorf("%s: %w", t.config, err)
	}
	return cfg.TokenHelper, nil
}

// runHelper speaks the protocol of Vault's token helpers: the operation as the
// only argument, tokens on the standard streams.
func runHelper(path, op, token string) (string, error) {
	cmd := exec.CommandContext(context.Background(), path, op)
	cmd.Stdin = strings.NewReader(token)
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("token helper %s %s: %w", path, op, err)
	}
	return strings.TrimSpace(out.String()), nil
}
