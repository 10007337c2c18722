package mysql

import (
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/secret"
)

// Numbers of errors (MySQL error reference; MariaDB has the same).
const (
	accessDenied           = 1045
	syntaxError            = 1064
	noSuchThread           = 1094
	noTableAccess          = 1142
	noColumnAccess         = 1143
	cannotUser             = 1396 // CREATE, ALTER or DROP USER
	accessDeniedNoPassword = 1698
)

// number returns the number of the server's error, zero if it has said nothing.
func number(err error) uint16 {
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		return answer.Number
	}
	return 0
}

// failure turns an error of the driver into one that holds no secret.
func failure(doing string, err error, secrets ...secret.Bytes) error {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return database.Upstream(doing, err, secrets...)
	}
	if answer.Number == syntaxError { // it quotes the statement
		return database.Upstream(doing, fmt.Errorf("syntax error in a statement (error %d)", answer.Number))
	}
	said := database.Hide(answer.Message, secrets...)
	return database.Upstream(doing, fmt.Errorf("%s (error %d)", said, answer.Number))
}

// verdict says what the answer to a login means. Statements that lack a privilege
// get the number of a wrong password too, so it means that only here. A locked or
// expired account, or too many connections, have other numbers.
func verdict(err error, secrets ...secret.Bytes) error {
	if n := number(err); n == accessDenied || n == accessDeniedNoPassword {
		return database.Upstream("log in", fmt.Errorf("%w (error %d)", database.ErrRefused, n))
	}
	return failure("log in", err, secrets...)
}
