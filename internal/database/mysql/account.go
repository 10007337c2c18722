package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Defaults for the statements that a role does not have.
const (
	defaultRotate = `ALTER USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'`
	revokeAll     = `REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'{{host}}'`
	dropUser      = `DROP USER IF EXISTS '{{name}}'@'{{host}}'`
)

// anyHost is the host of accounts that may log in from anywhere.
const anyHost = "%"

// expirationForm is a time as the placeholder has it.
const expirationForm = "2006-01-02 15:04:05-0700"

// Create makes a user with the creation statements. The server commits each of
// them, so what a failure leaves is undone with the rollback statements, or else
// by dropping the accounts of that name.
func (c *Conn) Create(ctx context.Context, u database.User, s database.Statements) error {
	const doing = "create a user"
	if len(s.Create) == 0 {
		return database.NoStatements()
	}
	if u.Password.Empty() {
		return logical.Invalid("an empty password is none")
	}
	values := database.UserValues(u.Name)
	values["password"] = u.Password.RevealText()
	values["expiration"] = ""
	if !u.Expires.IsZero() {
		values["expiration"] = u.Expires.UTC().Format(expirationForm)
	}
	statements, err := expand(u.Name, "creation_statements", s.Create, values)
	if err != nil {
		return err
	}
	undo, err := expand(u.Name, "rollback_statements", s.Rollback, values)
	if err != nil {
		return err
	}
	left := false // a part of a user
	err = c.with(ctx, doing, []secret.Bytes{c.secret, u.Password}, func(ctx context.Context, a access) (err error) {
		left, err = a.create(ctx, doing, u.Name, statements)
		return err
	})
	if left && c.undo(ctx, u.Name, undo) != nil {
		return database.Upstream("undo what a failure has left", err, c.secret, u.Password)
	}
	return err
}

// create runs the creation statements, and says whether they may have left a part
// of a user that was not there before.
func (a access) create(ctx context.Context, doing, name string, statements []string) (left bool, err error) {
	hosts, known, err := a.hosts(ctx, name)
	if err != nil {
		return false, a.failure(doing, err)
	}
	if len(hosts) > 0 {
		return false, database.Upstream(doing, database.ErrExists)
	}
	done, err := a.run(ctx, statements)
	switch {
	case err == nil:
		return false, nil
	case done == 0 && number(err) == cannotUser:
		return false, database.Upstream(doing, database.ErrExists)
	}
	// Of the first statement we know whether it had an effect if there was an
	// answer; if not, what is there now is ours only if nothing was before.
	left = done > 0 || isLost(err) && known
	return left, a.failure(fmt.Sprintf("%s, statement %d", doing, done+1), err)
}

// undoTime is how long undoing may take when the time of the call is over.
const undoTime = 5 * time.Second

// undo removes what a failed Create has left, on another connection.
func (c *Conn) undo(ctx context.Context, name string, statements []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return c.with(ctx, "undo", []secret.Bytes{c.secret}, func(ctx context.Context, a access) error {
		if len(statements) > 0 {
			_, err := a.run(ctx, statements)
			return err
		}
		hosts, _, err := a.hosts(ctx, name)
		if err != nil {
			return err
		}
		return a.drop(ctx, name, hosts)
	})
}

// Renew does nothing if there are no statements: accounts do not end.
func (c *Conn) Renew(ctx context.Context, name string, expires time.Time, s database.Statements) error {
	values := database.UserValues(name)
	values["expiration"] = expires.UTC().Format(expirationForm)
	return c.change(ctx, "renew a user", name, "renew_statements", s.Renew, values)
}

// SetPassword changes the password, by default of the account that may log in
// from anywhere.
func (c *Conn) SetPassword(ctx context.Context, name string, password secret.Bytes, s database.Statements) error {
	if password.Empty() {
		return logical.Invalid("an empty password is none")
	}
	values := database.UserValues(name)
	values["password"] = password.RevealText()
	statements := s.Rotate
	if len(statements) == 0 {
		statements = []string{defaultRotate}
	}
	return c.change(ctx, "set a password", name, "rotation_statements", statements, values, password)
}

// change runs statements about a user that must exist.
func (c *Conn) change(ctx context.Context, doing, name, field string, texts []string, values database.Values, secrets ...secret.Bytes) error {
	statements, err := expand(name, field, texts, values)
	if err != nil || len(statements) == 0 {
		return err
	}
	return c.with(ctx, doing, append(secrets, c.secret), func(ctx context.Context, a access) error {
		hosts, known, err := a.hosts(ctx, name)
		if err != nil {
			return a.failure(doing, err)
		}
		if known && len(hosts) == 0 {
			return database.Upstream(doing, database.ErrMissing)
		}
		if done, err := a.run(ctx, statements); err != nil {
			if !known && number(err) == cannotUser {
				return database.Upstream(doing, database.ErrMissing)
			}
			return a.failure(fmt.Sprintf("%s, statement %d", doing, done+1), err)
		}
		return nil
	})
}

// Drop removes the user, without revocation statements all accounts of that name,
// whatever their host.
func (c *Conn) Drop(ctx context.Context, name string, s database.Statements) error {
	const doing = "drop a user"
	statements, err := expand(name, "revocation_statements", s.Revoke, database.UserValues(name))
	if err != nil {
		return err
	}
	return c.with(ctx, doing, []secret.Bytes{c.secret}, func(ctx context.Context, a access) error {
		hosts, known, err := a.hosts(ctx, name)
		if err == nil && known && len(hosts) == 0 {
			return nil
		}
		if err == nil && len(statements) > 0 {
			_, err = a.run(ctx, statements)
		} else if err == nil {
			err = a.drop(ctx, name, hosts)
		}
		if err != nil {
			return a.failure(doing, err)
		}
		return nil
	})
}

func expand(name, field string, texts []string, values database.Values) ([]string, error) {
	if err := sound(name); err != nil {
		return nil, err
	}
	return database.MySQL.ExpandAll(field, texts, values)
}

// access is one connection of the pool, for the time of one change.
type access struct {
	*sql.Conn
	secrets []secret.Bytes
}

func (a access) failure(doing string, err error) error { return failure(doing, err, a.secrets...) }

// with calls fn with a connection that reads texts as we write them and does not
// wait for locks longer than we do.
func (c *Conn) with(ctx context.Context, doing string, secrets []secret.Bytes, fn func(context.Context, access) error) error {
	ctx, cancel := context.WithTimeout(ctx, database.CallTime)
	defer cancel()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return failure(doing, err, secrets...)
	}
	defer conn.Close()
	a := access{conn, secrets}
	if err := a.prepare(ctx); err != nil {
		return failure(doing, err, secrets...)
	}
	return fn(ctx, a)
}

func (a access) prepare(ctx context.Context) error {
	var mode string
	if err := a.QueryRowContext(ctx, "SELECT @@SESSION.sql_mode").Scan(&mode); err != nil {
		return err
	}
	modes := strings.Split(mode, ",")
	kept := modes[:0]
	for _, m := range modes {
		if m != "NO_BACKSLASH_ESCAPES" {
			kept = append(kept, m)
		}
	}
	_, err := a.ExecContext(ctx, fmt.Sprintf("SET SESSION sql_mode = '%s', SESSION lock_wait_timeout = %d",
		strings.Join(kept, ","), int(database.CallTime.Seconds())))
	return err
}

// run executes statements until one fails, and returns how many have not.
func (a access) run(ctx context.Context, statements []string) (done int, err error) {
	for i, statement := range statements {
		if _, err := a.ExecContext(ctx, statement); err != nil {
			return i, err
		}
	}
	return len(statements), nil
}

// hosts returns the hosts of the accounts of that name. They are not known to an
// administrator who may not read them.
func (a access) hosts(ctx context.Context, name string) (hosts []string, known bool, err error) {
	hosts, err = list[string](ctx, a, "SELECT Host FROM mysql.user WHERE User = ?", name)
	if n := number(err); n == noTableAccess || n == noColumnAccess {
		return nil, false, nil
	}
	return hosts, err == nil, err
}

// drop removes accounts; without hosts the one that may log in from anywhere.
func (a access) drop(ctx context.Context, name string, hosts []string) error {
	if len(hosts) == 0 {
		hosts = []string{anyHost}
	}
	for _, host := range hosts {
		values := database.UserValues(name)
		values["host"] = host
		revoke, err := database.MySQL.Expand(revokeAll, values)
		if err != nil {
			return err
		}
		if _, err := a.ExecContext(ctx, revoke); err != nil && isLost(err) {
			return err // others say that there is nothing to revoke; DROP decides
		}
		drop, err := database.MySQL.Expand(dropUser, values)
		if err != nil {
			return err
		}
		if _, err := a.ExecContext(ctx, drop); err != nil {
			return err
		}
	}
	return nil
}
