package postgres

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/secret"
)

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	noSuchDatabase       = "3D000"
	noPrivilege          = "42501"
	duplicateObject      = "42710"
	undefinedFunction    = "42883"
	syntaxError          = "42601"
)

// state returns the SQLSTATE of what the server said, empty if it said nothing.
func state(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// failure turns an error of pgx into one that holds no secret.
func failure(doing string, err error, secrets ...secret.Bytes) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return database.Upstream(doing, err, secrets...)
	}
	if answer.Code == syntaxError { // it quotes the statement
		return database.Upstream(doing, fmt.Errorf("syntax error in a statement (SQLSTATE %s)", answer.Code))
	}
	said := database.Hide(answer.Message, secrets...)
	return database.Upstream(doing, fmt.Errorf("%s (SQLSTATE %s)", said, answer.Code))
}

// verdict says what the answers to one login mean. There may be several: one for
// each address, with TLS and without.
func verdict(err error, secrets ...secret.Bytes) error {
	if err == nil {
		return nil
	}
	said := answers(err)
	if slices.ContainsFunc(said, accepted) {
		return nil
	}
	if i := slices.IndexFunc(said, refused); i >= 0 {
		text := database.Hide(said[i].Message, secrets...)
		return database.Upstream("log in", fmt.Errorf("%w: %s (SQLSTATE %s)", database.ErrRefused, text, said[i].Code))
	}
	return failure("log in", err, secrets...)
}

// answers returns all that servers have said, of all addresses tried.
func answers(err error) []*pgconn.PgError {
	if answer, ok := err.(*pgconn.PgError); ok {
		return []*pgconn.PgError{answer}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return answers(inner)
		}
	case interface{ Unwrap() []error }:
		var all []*pgconn.PgError
		for _, inner := range e.Unwrap() {
			all = append(all, answers(inner)...)
		}
		return all
	}
	return nil
}

// accepted says whether the server took the password and refused something else:
// it looks at the database after that only.
func accepted(e *pgconn.PgError) bool {
	return e.Code == noSuchDatabase || e.Code == noPrivilege
}

// refused says whether the server refused name and password. That pg_hba.conf has
// no line for the client has the same SQLSTATE, and says nothing about a password.
func refused(e *pgconn.PgError) bool {
	return e.Code == invalidPassword || e.Code == invalidAuthorization && e.Routine != "ClientAuthentication"
}
