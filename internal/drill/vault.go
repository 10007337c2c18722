package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
)

// isName says whether the variable is COFFER_… or VAULT_… with one of the endings.
func isName(name string, endings ...string) bool {
	for _, prefix := range []string{"COFFER_", "VAULT_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && slices.Contains(endings, rest) {
			return true
		}
	}
	return false
}

func isTokenName(name string) bool { return isName(name, "TOKEN") }

func isWrappedName(name string) bool {
	return isName(name, "WRAPPED_TOKEN", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED")
}

// first returns the value of COFFER_ending, else of VAULT_ending.
func (c *collector) first(ending string) (name string, value secret.Bytes) {
	for _, prefix := range []string{"COFFER_", "VAULT_"} {
		if v := c.all[prefix+ending]; !v.Empty() {
			return prefix + ending, v
		}
	}
	return "", secret.Bytes{}
}

// alive is the control of what the server itself checks: it knows the operator.
func (c *collector) alive(ctx context.Context) error {
	_, err := c.Operator.Read(ctx, "auth/token/lookup-self")
	if err != nil {
		return fmt.Errorf("the server does not know the operator: %w", err)
	}
	return nil
}

// refusedBy turns the statuses that refuse a credential into [ErrRefused].
func refusedBy(err error, statuses ...int) error {
	if err != nil && slices.Contains(statuses, client.StatusOf(err)) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// token is one of the server's own.
func (c *collector) token(v Value) {
	token := v.Text.RevealText()
	c.add(&Credential{
		Name: v.Name, Kind: "token", Where: c.place(),
		Note: "a token with a number of uses loses one with each attempt",
		Try: func(ctx context.Context) error {
			_, err := c.Operator.WithToken(token).Read(ctx, "auth/token/lookup-self")
			return refusedBy(err, http.StatusForbidden)
		},
		Control: c.alive,
		Revoke: func(ctx context.Context) error {
			_, err := c.Operator.Write(ctx, "auth/token/revoke", map[string]any{"token": token})
			return err
		},
	}, v.Name)
}

// wrapped is a wrapping token: whether it is of use can be asked without using it.
func (c *collector) wrapped(v Value) {
	c.add(&Credential{
		Name: v.Name, Kind: "wrapping token", Where: c.place(),
		Try: func(ctx context.Context) error {
			_, err := c.Operator.WithToken("").Write(ctx, "sys/wrapping/lookup", map[string]any{"token": v.Text.RevealText()})
			return refusedBy(err, http.StatusBadRequest, http.StatusForbidden)
		},
		Control: c.alive,
		Revoke: func(ctx context.Context) error {
			_, err := c.Operator.Write(ctx, "auth/token/revoke", map[string]any{"token": v.Text.RevealText()})
			return err
		},
	}, v.Name)
}

func (c *collector) place() string {
	u := c.Operator.URL("", nil)
	return u.Host
}

// appRole is a role id with a secret id: a login.
func (c *collector) appRole() {
	roleName, role := c.first("ROLE_ID")
	secretName, secretID := c.first("SECRET_ID")
	if roleName == "" {
		return
	}
	c.used[roleName] = true
	if secretName == "" {
		return // a role id alone is no secret; a wrapped secret id is tried by itself
	}
	var known string // name of the role, of the last login
	c.add(&Credential{
		Name: secretName, Kind: "AppRole", Where: c.place() + " " + c.Mount + "/",
		Note: "each attempt is a login: a secret id with a number of uses loses one",
		Try: func(ctx context.Context) error {
			auth, err := c.Operator.WithToken("").LoginAppRole(ctx, c.Mount, role.RevealText(), secretID.RevealText())
			if err != nil {
				return refusedBy(err, http.StatusBadRequest, http.StatusForbidden)
			}
			known = auth.Metadata["role_name"]
			// The login is all that was to be shown.
			_, _ = c.Operator.WithToken(auth.ClientToken).Write(ctx, "auth/token/revoke-self", nil)
			return nil
		},
		Control: c.alive,
		Revoke: func(ctx context.Context) error {
			if known == "" {
				return errors.New("the server does not tell the name of the role")
			}
			_, err := c.Operator.Write(ctx, "auth/"+c.Mount+"/role/"+known+"/secret-id/destroy", map[string]any{"secret_id": secretID.RevealText()})
			return err
		},
	}, secretName)
}
