package sqlconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cofferhq/coffer/secrets"
	"github.com/cofferhq/coffer/secrets/sqlconn"
)

func ExampleNew() {
	config, err := pgx.ParseConfig("postgres://db.example.com/app")
	if err != nil {
		log.Fatal(err)
	}
	g, err := secrets.OpenGroup(context.Background(), map[string]string{
		sqlconn.Username: "vault:database/creds/app#username",
		sqlconn.Password: "vault:database/creds/app#password",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close() // after the pool
	db := sql.OpenDB(sqlconn.New(g, func(ctx context.Context, username, password string) (driver.Conn, error) {
		c := config.Copy()
		c.User, c.Password = username, password
		return stdlib.GetConnector(*c).Connect(ctx)
	}))
	defer db.Close()
}
