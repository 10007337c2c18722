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
	"regexp"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
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

// store replaces the token. A reader sees the old one or the new one, whole.
func (t *tokenStore) store(token string) error {
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
	return file.ReplaceWith(path, 0o600, []byte(token))
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
	path, err := helperPath(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", t.config, err)
	}
	return path, nil
}

// helperLine is the one setting of ~/.vault, in HCL or in JSON.
var helperLine = regexp.MustCompile(`(?m)^[ \t{]*"?token_helper"?[ \t]*[=:][ \t]*(.*)$`)

// helperPath finds it. Nothing but an absolute path is run: a relative one would
// depend on the folder that the caller happens to be in.
func helperPath(text string) (string, error) {
	found := helperLine.FindStringSubmatch(text)
	if found == nil {
		return "", nil
	}
	quoted, err := strconv.QuotedPrefix(found[1])
	if err != nil {
		return "", errors.New("token_helper: want a path in quotes")
	}
	path, err := strconv.Unquote(quoted)
	if err != nil || path != "" && !filepath.IsAbs(path) {
		return "", errors.New("token_helper: want an absolute path in quotes")
	}
	return path, nil
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
