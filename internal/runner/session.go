package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
)

// session is the client with a token, and how it came to it.
type session struct {
	client *client.Client
	warn   func(string)

	life      time.Duration // of the token, from its making; zero: not known
	renewable bool

	again func(context.Context) (*api.Auth, error) // logs in anew; nil: nobody can
	made  []secret.Bytes                           // tokens that are ours to revoke
}

// login gives c a token, by the first way that the variables know: a token, an
// AppRole, a wrapped token, the last login of the command line. If there is
// none, requests go without a token, which some proxies in front of a server
// want.
func (j *job) login(ctx context.Context, c *client.Client, env *environment) (*session, error) {
	s := &session{client: c, warn: j.Warn}
	for _, way := range []func(context.Context, *environment) (done bool, err error){
		s.takeToken, j.appRole(s), s.unwrapToken, j.helper(s),
	} {
		if done, err := way(ctx, env); done || err != nil {
			return s, err
		}
	}
	c.SetToken("")
	return s, nil
}

func (s *session) takeToken(_ context.Context, env *environment) (bool, error) {
	token, err := env.setting("TOKEN")
	if err != nil || !token.ok() {
		return false, local(err)
	}
	s.client.SetToken(token.value.RevealText())
	return true, nil
}

func (j *job) helper(s *session) func(context.Context, *environment) (bool, error) {
	return func(context.Context, *environment) (bool, error) {
		token, err := j.HelperToken()
		if err != nil || token == "" {
			return false, local(err)
		}
		s.client.SetToken(token)
		return true, nil
	}
}

// appRole logs in with a role id and, if there is one, a secret id.
func (j *job) appRole(s *session) func(context.Context, *environment) (bool, error) {
	return func(ctx context.Context, env *environment) (bool, error) {
		role, err := env.setting("ROLE_ID")
		if err != nil {
			return false, local(err)
		}
		secretID, err := env.setting("SECRET_ID", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED")
		if err != nil {
			return false, local(err)
		}
		if !role.ok() {
			if secretID.ok() {
				return false, local(fmt.Errorf("%s is set, and the role is not: set COFFER_ROLE_ID", secretID.name))
			}
			return false, nil
		}
		if strings.Contains(secretID.name, "WRAPPED") {
			if secretID.value, err = s.unwrapSecretID(ctx, secretID); err != nil {
				return false, err
			}
		}
		mount := j.mount(env)
		s.again = func(ctx context.Context) (*api.Auth, error) {
			return s.client.LoginAppRole(ctx, mount, role.value.RevealText(), secretID.value.RevealText())
		}
		auth, err := s.again(ctx)
		if err != nil {
			return false, fmt.Errorf("log in with %s: %w", role.name, err)
		}
		s.use(auth)
		return true, nil
	}
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
func (s *session) unwrapToken(ctx context.Context, env *environment) (bool, error) {
	wrapping, err := env.setting("WRAPPED_TOKEN")
	if err != nil || !wrapping.ok() {
		return false, local(err)
	}
	answer, err := s.unwrap(ctx, wrapping)
	if err != nil {
		return false, err
	}
	if answer.Auth == nil || answer.Auth.ClientToken == "" {
		return false, fmt.Errorf("unwrap %s: it holds no token", wrapping.name)
	}
	s.use(answer.Auth)
	return true, nil
}

func (s *session) unwrapSecretID(ctx context.Context, wrapping given) (secret.Bytes, error) {
	answer, err := s.unwrap(ctx, wrapping)
	if err != nil {
		return secret.Bytes{}, err
	}
	id, _ := answer.Data["secret_id"].(string)
	if id == "" {
		return secret.Bytes{}, fmt.Errorf("unwrap %s: it holds no secret id", wrapping.name)
	}
	return secret.Text(id), nil
}

func (s *session) unwrap(ctx context.Context, wrapping given) (*api.Secret, error) {
	answer, err := s.client.WithToken("").Unwrap(ctx, wrapping.value.RevealText())
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

// use takes a token that was made for us.
func (s *session) use(auth *api.Auth) {
	s.made = append(s.made, secret.Text(auth.ClientToken))
	s.client.SetToken(auth.ClientToken)
	s.learn(auth)
}

func (s *session) learn(auth *api.Auth) {
	s.life, s.renewable = time.Duration(auth.LeaseDuration)*time.Second, auth.Renewable
}

// revokeTimeout bounds how long the end of the program waits for the server.
const revokeTimeout = 5 * time.Second

// Close revokes what was made. The keeper must have ended.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	for _, token := range s.made {
		_, err := s.client.WithToken(token.RevealText()).Write(ctx, "auth/token/revoke-self", nil)
		// Refused: it has expired, or was revoked by somebody else.
		if err != nil && client.StatusOf(err) != http.StatusForbidden {
			s.warn("the token of this run could not be revoked and ends by itself: " + err.Error())
		}
	}
}

// errNoLife says that nothing is to be kept: the token does not end, or nothing
// can be done about it.
var errNoLife = errors.New("nothing to renew")

// lookUp learns what is not known of a token that was given. It counts as a use
// of the token, so it must come after the secrets were read.
func (s *session) lookUp(ctx context.Context) error {
	if len(s.made) > 0 {
		return nil
	}
	if s.client.Token() == "" {
		return errNoLife
	}
	answer, err := s.client.Read(ctx, "auth/token/lookup-self")
	if err != nil || answer == nil {
		return errNoLife
	}
	ttl, renewable := number(answer.Data["ttl"]), answer.Data["renewable"] == true
	if ttl <= 0 || !renewable {
		return errNoLife
	}
	s.learn(&api.Auth{LeaseDuration: ttl, Renewable: renewable})
	return nil
}
