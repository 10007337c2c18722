package mysql

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/cofferhq/coffer/internal/database"
)

var errURL = errors.New("it is no data source name that coffer can use: user:password@tcp(host:port)/")

// parse returns what connection_url says, with the credentials in their place.
// Its errors quote nothing.
func parse(cfg database.Config) (*mysql.Config, error) {
	// Where the credentials belong is seen with marks: a password may have the
	// characters that structure the text.
	user, password := "u"+rand.Text(), "p"+rand.Text()
	text := strings.NewReplacer("{{username}}", user, "{{password}}", password).Replace(cfg.URL.RevealText())
	mc, err := mysql.ParseDSN(text)
	if err != nil || mc.Net != "tcp" && mc.Net != "unix" {
		return nil, errURL // the cause might quote a password
	}
	put := strings.NewReplacer(user, cfg.Username, password, cfg.Password.RevealText())
	mc.User, mc.Passwd, mc.DBName = put.Replace(mc.User), put.Replace(mc.Passwd), put.Replace(mc.DBName)
	if mc.User == "" {
		return nil, errors.New("it names no user")
	}
	mc.AllowAllFiles = false   // a server could ask for files of ours
	mc.MultiStatements = false // statements are cut apart here
	mc.InterpolateParams = true
	mc.Collation = "utf8mb4_general_ci"
	mc.Timeout = cmp.Or(mc.Timeout, database.LoginTime)
	mc.Logger = &mysql.NopLogger{} // what matters is in the errors
	return mc, secure(mc, cfg)
}

// secure applies the configuration's TLS fields, which leave no way without TLS.
func secure(mc *mysql.Config, cfg database.Config) error {
	host, _, err := net.SplitHostPort(mc.Addr)
	if err != nil {
		host = mc.Addr
	}
	own, err := cfg.ClientTLS(host)
	if err != nil || own == nil {
		return err
	}
	mc.TLS, mc.TLSConfig, mc.AllowFallbackToPlaintext = own, "", false
	return nil
}
