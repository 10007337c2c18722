package rotationsoak

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
	"github.com/cofferhq/coffer/secrets/sqlconn"
)

// application is a web service that asks its database once for each request.
type application struct {
	name   string
	role   string // that it logs in with at coffer
	url    string
	strict bool // not one request may fail
	load   load
	close  func() error
}

// service answers requests with what the database says.
func service(db *sql.DB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var user string
		if err := db.QueryRowContext(r.Context(), "SELECT current_user").Scan(&user); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, user)
	})
}

// tuned gives a pool as many connections as the load needs, which do not live long:
// logins happen all the time.
func tuned(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(4)
	db.SetConnMaxLifetime(2 * time.Second)
	return db
}

// newRole makes an AppRole for an application and returns its ids.
func (h *house) newRole(name string) (roleID, secretID string) {
	h.t.Helper()
	h.write("auth/approle/role/"+name, map[string]any{"token_policies": "application", "token_ttl": "1h"})
	var role struct {
		ID string `json:"role_id"`
	}
	h.mustRead("auth/approle/role/"+name+"/role-id", &role)
	made, err := h.root.Write(h.t.Context(), "auth/approle/role/"+name+"/secret-id", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return role.ID, made.Data["secret_id"].(string)
}

// interval is how often applications look for a new version.
const interval = 200 * time.Millisecond

// withSDK starts an application that follows the credential at path.
func (h *house) withSDK(name, role, path string, opts ...sqlconn.Option) *application {
	h.t.Helper()
	roleID, secretID := h.newRole(role)
	c, err := client.New(client.Config{Address: h.address()})
	if err != nil {
		h.t.Fatal(err)
	}
	g, err := secrets.OpenGroup(h.t.Context(), map[string]string{
		sqlconn.Username: "vault:" + path + "#username", sqlconn.Password: "vault:" + path + "#password",
	}, secrets.WithClient(c), secrets.WithLogin(secrets.AppRole("approle", roleID, secretID)), secrets.WithInterval(interval),
		secrets.WithErrorHandler(func(err error) { h.t.Logf("%s: %v", name, err) }))
	if err != nil {
		h.t.Fatal(err)
	}
	db := tuned(sql.OpenDB(sqlconn.New(g, func(ctx context.Context, username, password string) (driver.Conn, error) {
		config, err := login(h.pg.Address(), username, password)
		if err != nil {
			return nil, err
		}
		return stdlib.GetConnector(*config).Connect(ctx)
	}, opts...)))
	s := httptest.NewServer(service(db))
	return &application{name: name, role: role, url: s.URL, close: sync.OnceValue(func() error {
		s.Close()
		return errors.Join(db.Close(), g.Close())
	})}
}

// What the application that coffer run starts finds in its environment.
const (
	addressVariable  = "SOAK_DATABASE"
	usernameVariable = "SOAK_USERNAME"
	passwordVariable = "SOAK_PASSWORD"
)

// withRun starts an application that knows nothing of coffer, under coffer run. It
// inherits its listening socket, as from systemd: while it starts anew, connections
// wait in the socket's queue.
func (h *house) withRun(name, role, path string) *application {
	h.t.Helper()
	roleID, secretID := h.newRole(role)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		h.t.Fatal(err)
	}
	defer socket.Close()
	var out guarded
	cmd := exec.Command(h.server.Program(), "run", "-on-change=restart", "-interval="+interval.String(), "--", os.Args[0])
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{
		"HOME=" + h.server.Dir, "PATH=" + os.Getenv("PATH"), "COFFER_ADDR=" + h.address(),
		"COFFER_ROLE_ID=" + roleID, "COFFER_SECRET_ID=" + secretID, addressVariable + "=" + h.pg.Address(),
		usernameVariable + "=vault:" + path + "#username", passwordVariable + "=vault:" + path + "#password",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return &application{name: name, role: role, url: "http://" + l.Addr().String(), close: sync.OnceValue(func() error {
		err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		if h.t.Failed() {
			h.t.Logf("%s has said:\n%s", name, out.String())
		}
		return err
	})}
}

func (h *house) address() string {
	u := h.root.URL("", nil)
	return u.Scheme + "://" + u.Host
}

// guarded is a log that may be read while it is written.
type guarded struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.Write(p)
}

func (g *guarded) String() string { g.mu.Lock(); defer g.mu.Unlock(); return g.buf.String() }

// isApplication says whether this process is what withRun has started.
func isApplication() bool { return os.Getenv(addressVariable) != "" }

// serveApplication is the main of that process, and returns what it ends with.
func serveApplication() int {
	if err := serveInherited(); err != nil {
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	return 0
}

const inherited = 3 // file descriptor, as systemd has it

func serveInherited() error {
	l, err := net.FileListener(os.NewFile(inherited, "listener"))
	if err != nil {
		return err
	}
	config, err := login(os.Getenv(addressVariable), os.Getenv(usernameVariable), os.Getenv(passwordVariable))
	if err != nil {
		return err
	}
	db := tuned(stdlib.OpenDB(*config))
	defer db.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var open sync.WaitGroup // one for each connection
	s := &http.Server{Handler: service(db), ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		}
	}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// What it has accepted gets an answer. Shutdown would drop the requests that it
	// has not read yet.
	s.SetKeepAlivesEnabled(false)
	err = l.Close()
	<-served // with the error of a closed listener
	open.Wait()
	return err
}
