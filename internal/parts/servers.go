package parts

import (
	"fmt"
	"path/filepath"
	"testing"
)

// PostgreSQL returns a PostgreSQL server, whose superuser's database is
// "postgres". Passwords are checked with SCRAM.
func PostgreSQL(t testing.TB) Server {
	t.Helper()
	return postgresql.get(t, "postgresql")
}

// MariaDB returns a MariaDB server.
func MariaDB(t testing.TB) Server {
	t.Helper()
	return mariadb.get(t, "mariadb")
}

// Redis returns a Redis or Valkey server that keeps its users in an ACL file.
func Redis(t testing.TB) Server {
	t.Helper()
	return redis.get(t, "redis")
}

const postgresBin = "/usr/lib/postgresql/*/bin/"

var postgresql = part{
	tls: true,
	prepare: func(dir string) error {
		initdb, err := find(postgresBin + "initdb")
		if err != nil {
			return err
		}
		password, err := write(dir, "password", superpassword)
		if err != nil {
			return err
		}
		return do(dir, initdb, "--pgdata="+filepath.Join(dir, "data"), "--username="+superuser, "--pwfile="+password,
			"--auth=scram-sha-256", "--encoding=UTF8", "--no-sync")
	},
	command: func(dir string, port int) []string {
		postgres, _ := find(postgresBin + "postgres") // it lies beside initdb
		return []string{
			postgres, "-D", filepath.Join(dir, "data"), "-p", fmt.Sprint(port), "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=" + dir, "-c", "fsync=off", "-c", "ssl=on",
			"-c", "ssl_cert_file=" + filepath.Join(dir, "server.crt"), "-c", "ssl_key_file=" + filepath.Join(dir, "server.key"),
		}
	},
}

const mariadbd = "/usr/sbin/mariadbd"

var mariadb = part{
	tls: true,
	prepare: func(dir string) error {
		install, err := find("/usr/bin/mariadb-install-db")
		if err != nil {
			return err
		}
		if _, err := find(mariadbd); err != nil {
			return err
		}
		// Anonymous accounts would answer in another's name.
		_, err = write(dir, "init.sql", fmt.Sprintf("DROP USER IF EXISTS ''@'localhost';\n"+
			"CREATE USER IF NOT EXISTS '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\n"+
			"GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n", superuser, superpassword))
		if err != nil {
			return err
		}
		return do(dir, install, "--no-defaults", "--datadir="+filepath.Join(dir, "data"),
			"--auth-root-authentication-method=normal", "--skip-test-db")
	},
	command: func(dir string, port int) []string {
		return []string{
			mariadbd, "--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--socket=" + filepath.Join(dir, "socket"),
			"--pid-file=" + filepath.Join(dir, "pid"), "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port),
			"--init-file=" + filepath.Join(dir, "init.sql"), "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
			"--innodb-buffer-pool-size=16M", "--performance-schema=OFF",
			"--ssl-cert=" + filepath.Join(dir, "server.crt"), "--ssl-key=" + filepath.Join(dir, "server.key"),
		}
	},
}

var redis = part{
	prepare: func(dir string) error {
		if _, err := redisServer(); err != nil {
			return err
		}
		_, err := write(dir, "users.acl", fmt.Sprintf("user default off\nuser %s on >%s ~* &* +@all\n", superuser, superpassword))
		return err
	},
	command: func(dir string, port int) []string {
		server, _ := redisServer() // prepare has found it
		return []string{
			server, "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir, "--save", "", "--appendonly", "no",
			"--aclfile", filepath.Join(dir, "users.acl"), "--supervised", "systemd",
		}
	},
}

func redisServer() (string, error) { return find("/usr/bin/valkey-server", "/usr/bin/redis-server") }
