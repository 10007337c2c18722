package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// fromEnvironment makes a client, and the login if there is one: of a token that
// was given nothing is known but itself.
func fromEnvironment(getenv func(string) string) (*client.Client, Login, error) {
	cfg, err := client.ConfigFromEnv(getenv)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Token == "" {
		if cfg.Token, _, err = setting(getenv, "TOKEN"); err != nil {
			return nil, nil, err
		}
	}
	c, err := client.New(cfg)
	if err != nil || cfg.Token != "" {
		return c, nil, err
	}
	role, ok, err := setting(getenv, "ROLE_ID")
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, errors.New("no login: set COFFER_TOKEN, or COFFER_ROLE_ID and COFFER_SECRET_ID")
	}
	mount := first(getenv("COFFER_APPROLE_MOUNT"), getenv("VAULT_APPROLE_MOUNT"), "approle")
	mount = strings.TrimPrefix(strings.Trim(mount, "/"), "auth/")
	return c, func(ctx context.Context, c *client.Client) (*api.Auth, error) {
		// Each time anew: the file's content may have been replaced.
		id, _, err := setting(getenv, "SECRET_ID")
		if err != nil {
			return nil, err
		}
		return c.LoginAppRole(ctx, mount, role, id)
	}, nil
}

// setting returns COFFER_… or VAULT_…, or the content of the file that either
// names with _FILE at its end.
func setting(getenv func(string) string, suffix string) (value string, ok bool, err error) {
	for _, name := range []string{"COFFER_" + suffix, "VAULT_" + suffix} {
		if value := getenv(name); value != "" {
			return value, true, nil
		}
		path := getenv(name + "_FILE")
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", false, fmt.Errorf("%s_FILE: %w", name, err)
		}
		return strings.TrimSpace(string(content)), true, nil
	}
	return "", false, nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
