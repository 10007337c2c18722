package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
)

// credentials are what a method has read of its files, which may be gone by the
// next login.
type credentials struct {
	role, secretID secret.Bytes
}

// logIn earns a token, by files that are read each time: who replaces them has new
// credentials used.
func (m *Method) logIn(ctx context.Context, c *client.Client, known *credentials) (*api.Auth, error) {
	c = c.WithToken("").WithWrapTTL("")
	if m.Namespace != "" {
		c = c.WithNamespace(m.Namespace)
	}
	if m.Kind == TokenFile {
		return m.adopt(ctx, c)
	}
	if err := known.read(ctx, c, m); err != nil {
		return nil, err
	}
	return c.LoginAppRole(ctx, m.Mount, known.role.RevealText(), known.secretID.RevealText())
}

// read takes what the files have, and keeps what it knows of those that are gone.
func (k *credentials) read(ctx context.Context, c *client.Client, m *Method) error {
	role, err := readSecret(m.RoleIDFile)
	switch {
	case err == nil:
		k.role = role
	case !errors.Is(err, fs.ErrNotExist) || k.role.Empty():
		return fmt.Errorf("role id: %w", err)
	}
	if m.SecretIDFile == "" {
		return nil
	}
	id, err := readSecret(m.SecretIDFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !k.secretID.Empty():
		return nil
	case err != nil:
		return fmt.Errorf("secret id: %w", err)
	}
	if m.WrappingPath != "" {
		if id, err = unwrapSecretID(ctx, c, id, m.WrappingPath); err != nil {
			return fmt.Errorf("secret id: %w", err)
		}
	}
	k.secretID = id
	if m.KeepSecretIDFile && m.WrappingPath == "" {
		return nil
	}
	if err := os.Remove(m.SecretIDFile); err != nil {
		return fmt.Errorf("secret id: %w", err)
	}
	return nil
}

// maxCredentialBytes is how large a file with a credential may be.
const maxCredentialBytes = 64 << 10

func readSecret(path string) (secret.Bytes, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return secret.Bytes{}, err
	case !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeNamedPipe:
		return secret.Bytes{}, fmt.Errorf("%s is no file", path)
	case info.Size() > maxCredentialBytes:
		return secret.Bytes{}, fmt.Errorf("%s exceeds %d bytes", path, maxCredentialBytes)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return secret.Bytes{}, err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return secret.Bytes{}, fmt.Errorf("%s is empty", path)
	}
	return secret.Text(text), nil
}

// unwrapSecretID takes the secret id out of its wrapping, if that was made where it
// should: whoever intercepts one could put another in its place.
func unwrapSecretID(ctx context.Context, c *client.Client, wrapping secret.Bytes, path string) (secret.Bytes, error) {
	about, err := c.Write(ctx, "sys/wrapping/lookup", map[string]any{"token": wrapping.RevealText()})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("its wrapping token (it has expired or was used: if not by this agent, then by somebody who now has what it held): %w", err)
	}
	made := ""
	if about != nil {
		made, _ = about.Data["creation_path"].(string)
	}
	if strings.Trim(made, "/") != strings.Trim(path, "/") {
		return secret.Bytes{}, fmt.Errorf("its wrapping was made at %q, not at %q: it may be an intruder's", made, path)
	}
	answer, err := c.Unwrap(ctx, wrapping.RevealText())
	if err != nil {
		return secret.Bytes{}, err
	}
	id := ""
	if answer != nil {
		id, _ = answer.Data["secret_id"].(string)
	}
	if id == "" {
		return secret.Bytes{}, errors.New("its wrapping holds none")
	}
	return secret.Text(id), nil
}

// adopt takes the token of a file and asks what is known of it.
func (m *Method) adopt(ctx context.Context, c *client.Client) (*api.Auth, error) {
	token, err := readSecret(m.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	about, err := c.WithToken(token.RevealText()).Read(ctx, "auth/token/lookup-self")
	if err != nil {
		return nil, fmt.Errorf("token of %s: %w", m.TokenFile, err)
	}
	auth := &api.Auth{ClientToken: token.RevealText()}
	if about != nil {
		auth.LeaseDuration = int(wholeSeconds(about.Data["ttl"]) / time.Second)
		auth.Renewable = about.Data["renewable"] == true
		auth.Accessor, _ = about.Data["accessor"].(string)
	}
	return auth, nil
}
