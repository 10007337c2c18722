package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Defaults for the statements that a role does not have.
var (
	defaultRenew  = []string{`ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`}
	defaultRotate = []string{`ALTER ROLE "{{name}}" WITH PASSWORD '{{password}}'`}
	// Objects of the user outlive it; what remains for DROP OWNED are privileges.
	defaultRevoke = []string{`REASSIGN OWNED BY "{{name}}" TO CURRENT_USER`, `DROP OWNED BY "{{name}}"`, `DROP ROLE "{{name}}"`}
)

// Create makes a role with the creation statements, in one transaction.
func (c *Conn) Create(ctx context.Context, u database.User, s database.Statements) error {
	if len(s.Create) == 0 {
		return database.NoStatements()
	}
	stored, err := c.stored(u.Password)
	if err != nil {
		return err
	}
	values := database.UserValues(u.Name)
	values["password"], values["expiration"] = stored.RevealText(), expiration(u.Expires)
	ch := change{doing: "create a user", name: u.Name, field: "creation_statements", statements: s.Create, values: values,
		secrets: []secret.Bytes{c.secret, u.Password, stored}}
	return c.apply(ctx, ch, func(exists bool) error {
		if exists {
			return database.Upstream("create a user", database.ErrExists)
		}
		return nil
	})
}

// Renew sets the time until which the role's password is valid.
func (c *Conn) Renew(ctx context.Context, name string, expires time.Time, s database.Statements) error {
	values := database.UserValues(name)
	values["expiration"] = expiration(expires)
	return c.apply(ctx, change{doing: "renew a user", name: name, field: "renew_statements",
		statements: orDefault(s.Renew, defaultRenew), values: values, secrets: []secret.Bytes{c.secret}}, mustExist("renew a user"))
}

// SetPassword changes the role's password.
func (c *Conn) SetPassword(ctx context.Context, name string, password secret.Bytes, s database.Statements) error {
	stored, err := c.stored(password)
	if err != nil {
		return err
	}
	values := database.UserValues(name)
	values["password"] = stored.RevealText()
	return c.apply(ctx, change{doing: "set a password", name: name, field: "rotation_statements",
		statements: orDefault(s.Rotate, defaultRotate), values: values,
		secrets: []secret.Bytes{c.secret, password, stored}}, mustExist("set a password"))
}

// Drop removes the role; without revocation statements also its privileges in
// the database of the connection, and hands what it owns there to the
// administrator. A role that cannot be removed may at least not log in any more.
func (c *Conn) Drop(ctx context.Context, name string, s database.Statements) error {
	ch := change{doing: "drop a user", name: name, field: "revocation_statements",
		statements: orDefault(s.Revoke, defaultRevoke), values: database.UserValues(name), secrets: []secret.Bytes{c.secret},
		join: len(s.Revoke) == 0}
	err := c.apply(ctx, ch, mustExist("drop a user"))
	if err == nil || errors.Is(err, database.ErrMissing) {
		return nil
	}
	if ch.join && !errors.Is(err, logical.ErrInvalid) {
		ch.statements, ch.join = []string{`ALTER ROLE "{{name}}" WITH NOLOGIN`}, false
		c.apply(ctx, ch, mustExist("lock a user")) // the error that counts is the first
	}
	return err
}

func orDefault(given, byDefault []string) []string {
	if len(given) == 0 {
		return byDefault
	}
	return given
}

func mustExist(doing string) func(exists bool) error {
	return func(exists bool) error {
		if !exists {
			return database.Upstream(doing, database.ErrMissing)
		}
		return nil
	}
}

// stored returns what is sent of a password.
func (c *Conn) stored(password secret.Bytes) (secret.Bytes, error) {
	if password.Empty() {
		return secret.Bytes{}, logical.Invalid("an empty password is none")
	}
	if !c.hash {
		return password, nil
	}
	return verifier(password)
}

// expiration is a time as VALID UNTIL takes it.
func expiration(t time.Time) string {
	if t.IsZero() {
		return "infinity"
	}
	return t.UTC().Format("2006-01-02 15:04:05-0700")
}

// change is what is to be done to one role.
type change struct {
	doing      string // for errors
	name       string
	field      string // that the statements come from
	statements []string
	values     database.Values
	secrets    []secret.Bytes
	join       bool // the administrator needs the role's own privileges
}

// apply carries out a change in one transaction, if allow does not object.
func (c *Conn) apply(ctx context.Context, ch change, allow func(exists bool) error) error {
	if err := sound(ch.name); err != nil {
		return err
	}
	statements, err := database.PostgreSQL.ExpandAll(ch.field, ch.statements, ch.values)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return failure(ch.doing, err, ch.secrets...)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := limit(ctx, tx); err != nil {
		return failure(ch.doing, err, ch.secrets...)
	}
	var exists bool
	row := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", ch.name)
	if err := row.Scan(&exists); err != nil {
		return failure(ch.doing, err, ch.secrets...)
	}
	if err := allow(exists); err != nil {
		return err
	}
	if err := ch.run(ctx, tx, statements); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failure(ch.doing, err, ch.secrets...)
	}
	return nil
}

// run executes the statements.
func (ch change) run(ctx context.Context, tx *sql.Tx, statements []string) error {
	if ch.join {
		if err := join(ctx, tx, ch.name); err != nil {
			return failure(ch.doing, err, ch.secrets...)
		}
	}
	for i, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			doing := fmt.Sprintf("%s, statement %d", ch.doing, i+1)
			if state(err) == duplicateObject && i == 0 {
				return database.Upstream(doing, database.ErrExists)
			}
			return failure(doing, err, ch.secrets...)
		}
	}
	return nil
}

// limit makes the server give up when the caller does, and read texts as we
// write them.
func limit(ctx context.Context, tx *sql.Tx) error {
	ms := database.CallTime.Milliseconds()
	if deadline, ok := ctx.Deadline(); ok {
		ms = cmp.Or(max(0, time.Until(deadline).Milliseconds()), 1) // zero would be no limit
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL standard_conforming_strings = on; "+
		"SET LOCAL statement_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %[1]d", ms))
	return err
}

// join makes the administrator a member of the role, which REASSIGN OWNED asks of
// all but superusers.
func join(ctx context.Context, tx *sql.Tx, name string) error {
	var member bool
	row := tx.QueryRowContext(ctx, "SELECT pg_catalog.pg_has_role(current_user, oid, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = $1", name)
	if err := row.Scan(&member); err != nil || member {
		return err
	}
	statement, err := database.PostgreSQL.Expand(`GRANT "{{name}}" TO CURRENT_USER`, database.UserValues(name))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, statement)
	return err
}
