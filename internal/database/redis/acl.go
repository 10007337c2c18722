package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/gomodule/redigo/redis"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// defaultRules are those of a user whose role has none.
var defaultRules = []string{"~*", "+@read"}

// rules returns the rules of creation statements: a JSON array of them, or rules
// separated by spaces.
func rules(statements []string) []string {
	var all []string
	for _, text := range database.Decode(statements) {
		all = append(all, strings.Fields(text)...)
	}
	if len(all) == 0 {
		return defaultRules
	}
	return all
}

// checkStatements refuses rules about passwords, which are not the role's affair.
func checkStatements(s database.Statements) (problems []database.Problem) {
	for _, rule := range rules(s.Create) {
		switch lower := strings.ToLower(rule); {
		case strings.ContainsAny(rule[:1], "><#!"), lower == "nopass", lower == "resetpass", lower == "reset", lower == "on", lower == "off":
			return []database.Problem{{Field: "creation_statements", Text: "rules about passwords and about being on are coffer's"}}
		}
	}
	return nil
}

// Create makes a user with the rules of the creation statements.
func (c *Conn) Create(ctx context.Context, u database.User, s database.Statements) error {
	const doing = "create a user"
	hash, err := sound(u.Name, u.Password)
	if err != nil {
		return err
	}
	if p := checkStatements(s); len(p) > 0 {
		return logical.Invalid("%s: %s", p[0].Field, p[0].Text)
	}
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	exists, err := c.exists(ctx, u.Name)
	if err != nil {
		return c.failure(doing, err, u.Password)
	}
	if exists {
		return database.Upstream(doing, database.ErrExists)
	}
	args := []any{"SETUSER", u.Name, "on", "#" + hash.RevealText()}
	for _, rule := range rules(s.Create) {
		args = append(args, rule)
	}
	if _, err := c.do(ctx, "ACL", args...); err != nil { // a wrong rule leaves nothing
		return c.failure(doing, err, u.Password, hash)
	}
	if err := c.keep(ctx); err != nil {
		c.do(ctx, "ACL", "DELUSER", u.Name) // the error that counts is the first
		return c.failure("keep a user", err, u.Password)
	}
	return nil
}

// Renew does nothing: users do not end.
func (c *Conn) Renew(context.Context, string, time.Time, database.Statements) error { return nil }

// SetPassword replaces all passwords of the user by one.
func (c *Conn) SetPassword(ctx context.Context, name string, password secret.Bytes, _ database.Statements) error {
	const doing = "set a password"
	hash, err := sound(name, password)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	exists, err := c.exists(ctx, name) // SETUSER would make the user
	if err != nil {
		return c.failure(doing, err, password)
	}
	if !exists {
		return database.Upstream(doing, database.ErrMissing)
	}
	if _, err := c.do(ctx, "ACL", "SETUSER", name, "resetpass", "#"+hash.RevealText()); err != nil {
		return c.failure(doing, err, password, hash)
	}
	if err := c.keep(ctx); err != nil {
		return c.failure("keep a password", err, password)
	}
	return nil
}

// Drop removes the user; the server ends its connections.
func (c *Conn) Drop(ctx context.Context, name string, _ database.Statements) error {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	_, err := c.do(ctx, "ACL", "DELUSER", name)
	if err == nil {
		err = c.keep(ctx) // even if there was none: the last attempt may have failed here
	}
	if err != nil {
		return c.failure("drop a user", err)
	}
	return nil
}

// keep makes changes outlive the server's process, as far as the configuration
// asks for it.
func (c *Conn) keep(ctx context.Context) error {
	var err error
	switch c.cfg.Persistence {
	case database.PersistRewrite:
		_, err = c.do(ctx, "CONFIG", "REWRITE")
	case database.PersistACLFile:
		_, err = c.do(ctx, "ACL", "SAVE")
	}
	return err
}

func (c *Conn) exists(ctx context.Context, name string) (bool, error) {
	answer, err := redis.Values(c.do(ctx, "ACL", "GETUSER", name))
	if errors.Is(err, redis.ErrNil) {
		return false, nil
	}
	return len(answer) > 0, err
}

// sound returns what the server keeps of a password, or an error if name or
// password cannot be used.
func sound(name string, password secret.Bytes) (hash secret.Bytes, err error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return secret.Bytes{}, logical.Invalid("a user needs a name without spaces")
	}
	if err := database.Sound("name", name); err != nil {
		return secret.Bytes{}, err
	}
	if password.Empty() {
		return secret.Bytes{}, logical.Invalid("an empty password is none")
	}
	sum := sha256.Sum256(password.Reveal())
	return secret.Text(hex.EncodeToString(sum[:])), nil
}
