package sqlconn

import (
	"errors"
	"regexp"
	"strings"
)

// Refused says whether err is a database's refusal of a user name and password, or
// of the user as such: SQLSTATE class 28, told by a method SQLState (pgx, pq) or in
// the text, and MySQL's 1045 and 1698. It is what happens when a credential has
// been rotated away.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	if state := interface{ SQLState() string }(nil); errors.As(err, &state) {
		return strings.HasPrefix(state.SQLState(), "28")
	}
	return refusal.MatchString(err.Error())
}

// refusal knows the texts of pgx ("SQLSTATE 28P01"), go-sql-driver ("Error 1045
// (28000)", "Error 1045:" of old) and PostgreSQL itself.
var refusal = regexp.MustCompile(`SQLSTATE 28|Error (1045|1698)\b|password authentication failed for user|role ".*" is not permitted to log in`)
