package runner

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

// way is one way to log in. It returns nothing if the variables do not know it.
type way func(ctx context.Context, c *client.Client, env *environment) (*secrets.Session, error)

// logIn gives c a token, by the first way that the variables know: a token, an
// AppRole, a wrapped token, the last login of the command line. If there is
// none, requests go without a token, which some proxies in front of a server
// want.
func (j *job) logIn(ctx context.Context, c *client.Client, env *environment) (*secrets.Session, error) {
	for _, try := range []way{j.takeToken, j.appRole, j.unwrapToken, j.helper} {
		if s, err := try(ctx, c, env); s != nil || err != nil {
			return s, err
		}
	}
	c.SetToken("")
	return j.session(c, nil), nil
}

func (j *job) session(c *client.Client, login secrets.Login) *secrets.Session {
	return secrets.NewSession(c, login, func(err error) { j.Warn(err.Error()) })
}

func (j *job) takeToken(_ context.Context, c *client.Client, env *environment) (*secrets.Session, error) {
	token, err := env.setting("TOKEN")
	if err != nil || !token.ok() {
		return nil, local(err)
	}
	c.SetToken(token.value.RevealText())
	return j.session(c, nil), nil
}

func (j *job) helper(_ context.Context, c *client.Client, _ *environment) (*secrets.Session, error) {
	token, err := j.HelperToken()
	if err != nil || token == "" {
		return nil, local(err)
	}
	c.SetToken(token)
	return j.session(c, nil), nil
}

// appRole logs in with a role id and, if there is one, a secret id.
func (j *job) appRole(ctx context.Context, c *client.Client, env *environment) (*secrets.Session, error) {
	role, err := env.setting("ROLE_ID")
	if err != nil {
		return nil, local(err)
	}
	secretID, err := env.setting("SECRET_ID", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED")
	if err != nil {
		return nil, local(err)
	}
	if !role.ok() {
		if secretID.ok() {
			return nil, local(fmt.Errorf("%s is set, and the role is not: set COFFER_ROLE_ID", secretID.name))
		}
		return nil, nil
	}
	if strings.Contains(secretID.name, "WRAPPED") {
		if secretID.value, err = j.unwrapSecretID(ctx, c, secretID); err != nil {
			return nil, err
		}
	}
	s := j.session(c, secrets.AppRole(j.mount(env), role.value.RevealText(), secretID.value.RevealText()))
	if err := j.patiently(ctx, isPassing, func() error { return s.Login(ctx) }); err != nil {
		return nil, fmt.Errorf("log in with %s: %w", role.name, err)
	}
	return s, nil
}

// mount returns where AppRole is.
func (j *job) mount(env *environment) string {
	for _, m := range []string{j.AuthMount, env.getenv("COFFER_APPROLE_MOUNT"), env.getenv("VAULT_APPROLE_MOUNT")} {
		if m = strings.TrimPrefix(strings.Trim(m, "/"), "auth/"); m != "" {
			return m
		}
	}
	return "approle"
}

// unwrapToken exchanges a wrapping token for the token in it. Nobody else has
// that one.
func (j *job) unwrapToken(ctx context.Context, c *client.Client, env *environment) (*secrets.Session, error) {
	wrapping, err := env.setting("WRAPPED_TOKEN")
	if err != nil || !wrapping.ok() {
		return nil, local(err)
	}
	answer, err := j.unwrap(ctx, c, wrapping)
	if err != nil {
		return nil, err
	}
	if answer.Auth == nil || answer.Auth.ClientToken == "" {
		return nil, fmt.Errorf("unwrap %s: it holds no token", wrapping.name)
	}
	s := j.session(c, nil)
	s.Adopt(answer.Auth)
	return s, nil
}

func (j *job) unwrapSecretID(ctx context.Context, c *client.Client, wrapping given) (secret.Bytes, error) {
	answer, err := j.unwrap(ctx, c, wrapping)
	if err != nil {
		return secret.Bytes{}, err
	}
	id, _ := answer.Data["secret_id"].(string)
	if id == "" {
		return secret.Bytes{}, fmt.Errorf("unwrap %s: it holds no secret id", wrapping.name)
	}
	return secret.Text(id), nil
}

// unwrap is tried again only if the server cannot have opened what opens once.
func (j *job) unwrap(ctx context.Context, c *client.Client, wrapping given) (answer *api.Secret, err error) {
	err = j.patiently(ctx, isUnseen, func() (err error) {
		answer, err = c.WithToken("").Unwrap(ctx, wrapping.value.RevealText())
		return err
	})
	switch {
	case client.StatusOf(err) == http.StatusBadRequest:
		return nil, fmt.Errorf("unwrap %s: %w (it has expired or was used: if not by you, then by somebody who now has what it held)", wrapping.name, err)
	case err != nil:
		return nil, fmt.Errorf("unwrap %s: %w", wrapping.name, err)
	case answer == nil:
		return nil, fmt.Errorf("unwrap %s: it holds nothing", wrapping.name)
	}
	return answer, nil
}
