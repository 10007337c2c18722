package databasetest

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

var tests = map[string]func(*testing.T, *fixture){
	"the administrator is let in": func(t *testing.T, f *fixture) {
		if err := f.conn.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	},
	"a created user can log in with its password only": func(t *testing.T, f *fixture) {
		name := newName()
		f.accepted(t, name, f.create(t, name))
		f.refused(t, name, newPassword())
	},
	"an unknown user is refused": func(t *testing.T, f *fixture) {
		f.refused(t, newName(), newPassword())
	},
	"renewing leaves the password alone": func(t *testing.T, f *fixture) {
		name := newName()
		password := f.create(t, name)
		if err := f.conn.Renew(t.Context(), name, time.Now().Add(2*time.Hour), database.Statements{}); err != nil {
			t.Error(err)
		}
		f.accepted(t, name, password)
	},
	"after a change of password the old one is refused": func(t *testing.T, f *fixture) {
		name := newName()
		before, after := f.create(t, name), newPassword()
		if err := f.conn.SetPassword(t.Context(), name, after, database.Statements{}); err != nil {
			t.Fatal(err)
		}
		f.accepted(t, name, after)
		f.refused(t, name, before)
		if err := f.conn.SetPassword(t.Context(), name, after, database.Statements{}); err != nil {
			t.Errorf("the same again: %v", err)
		}
	},
	"a missing user gets no password": func(t *testing.T, f *fixture) {
		name, password := newName(), newPassword()
		if err := f.conn.SetPassword(t.Context(), name, password, database.Statements{}); !errors.Is(err, database.ErrMissing) {
			t.Errorf("%v", err)
		}
		f.refused(t, name, password)
	},
	"a dropped user is refused, and dropping again does nothing": func(t *testing.T, f *fixture) {
		name := newName()
		password := f.create(t, name)
		for range 2 {
			if err := f.conn.Drop(t.Context(), name, database.Statements{}); err != nil {
				t.Error(err)
			}
			f.refused(t, name, password)
		}
	},
	"a name that is taken stays as it is": func(t *testing.T, f *fixture) {
		name := newName()
		first, second := f.create(t, name), newPassword()
		err := f.conn.Create(t.Context(), database.User{Name: name, Password: second}, f.statements())
		if !errors.Is(err, database.ErrExists) {
			t.Errorf("%v", err)
		}
		hides(t, err, second)
		f.accepted(t, name, first)
		f.refused(t, name, second)
	},
	"what fails half-way leaves nothing": func(t *testing.T, f *fixture) {
		if f.Broken == nil {
			return
		}
		name, password := newName(), newPassword()
		u := database.User{Name: name, Password: password, Expires: time.Now().Add(time.Hour)}
		err := f.conn.Create(t.Context(), u, database.Statements{Create: f.Broken})
		if err == nil || errors.Is(err, database.ErrExists) {
			t.Errorf("%v", err)
		}
		hides(t, err, password)
		f.refused(t, name, password)
		f.createWith(t, name, newPassword()) // the name is free
	},
	"an empty password is none": func(t *testing.T, f *fixture) {
		name := newName()
		if err := f.conn.Create(t.Context(), database.User{Name: name}, f.statements()); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("create: %v", err)
		}
		password := f.create(t, name)
		if err := f.conn.SetPassword(t.Context(), name, secret.Bytes{}, database.Statements{}); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("set: %v", err)
		}
		f.accepted(t, name, password)
	},
	"passwords and names may have any characters": func(t *testing.T, f *fixture) {
		passwords := []string{
			`it's`, `"quoted"`, `back\slash`, `ends with \`, `\'; DROP TABLE x; --`, `$$ $1 ?`, `{{name}}`, `%s%d`, " space ", "a\tb",
			`'' OR 1=1`, "`tick`", `/* # -- */`, strings.Repeat("x'", 40),
		}
		for i, text := range passwords {
			name := newName()
			if i < len(f.Nasty) {
				name = f.Nasty[i]
			}
			password := secret.Text(text)
			f.createWith(t, name, password)
			f.accepted(t, name, password)
			f.refused(t, name, secret.Text(text+"x"))
			if err := f.conn.SetPassword(t.Context(), name, secret.Text("x"+text), database.Statements{}); err != nil {
				t.Errorf("password %d: %v", i, err)
			}
			f.accepted(t, name, secret.Text("x"+text))
			if err := f.conn.Drop(t.Context(), name, database.Statements{}); err != nil {
				t.Errorf("name %q: %v", name, err)
			}
			f.refused(t, name, secret.Text("x"+text))
		}
	},
	"sessions are counted and ended": func(t *testing.T, f *fixture) {
		name := newName()
		password := f.create(t, name)
		other := newName()
		otherLives := f.Session(t, other, f.create(t, other).RevealText())
		f.sessions(t, name, 0)
		first, second := f.Session(t, name, password.RevealText()), f.Session(t, name, password.RevealText())
		f.sessions(t, name, 2)
		if err := f.conn.EndSessions(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if first() || second() {
			t.Error("a session lives on")
		}
		f.sessions(t, name, 0)
		if !otherLives() {
			t.Error("another's session has ended")
		}
		if err := f.conn.EndSessions(t.Context(), name); err != nil {
			t.Errorf("none: %v", err)
		}
	},
	"a network that fails is no refusal": func(t *testing.T, f *fixture) {
		p := parts.NewProxy(t, f.Server.Address())
		conn := f.open(t, "127.0.0.1", p.Port())
		p.Refuse()
		f.inconclusive(t, conn)
		p.Cut()
		for _, mode := range []func(){p.Stall, p.Mute} {
			mode()
			f.inconclusive(t, conn)
			p.Pass()
		}
	},
	"a server that is not there is no refusal": func(t *testing.T, f *fixture) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // nobody listens there now
		f.inconclusive(t, f.open(t, "127.0.0.1", l.Addr().(*net.TCPAddr).Port))
	},
	"a created user whose answer was lost is settled by a login": func(t *testing.T, f *fixture) {
		p := parts.NewProxy(t, f.Server.Address())
		conn := f.open(t, "127.0.0.1", p.Port())
		name, password := newName(), newPassword()
		lost := p.CutAfter(f.CommitCreate)
		err := conn.Create(t.Context(), database.User{Name: name, Password: password, Expires: time.Now().Add(time.Hour)}, f.statements())
		<-lost
		if err == nil || errors.Is(err, database.ErrExists) || errors.Is(err, database.ErrRefused) {
			t.Errorf("%v", err)
		}
		hides(t, err, password)
		if err := conn.Login(t.Context(), name, password); err != nil && !errors.Is(err, database.ErrRefused) {
			t.Errorf("the login settles nothing: %v", err)
		}
		if err := conn.Drop(t.Context(), name, database.Statements{}); err != nil {
			t.Error(err)
		}
		f.refused(t, name, password)
	},
	"a password whose answer was lost is settled by a login": func(t *testing.T, f *fixture) {
		p := parts.NewProxy(t, f.Server.Address())
		conn := f.open(t, "127.0.0.1", p.Port())
		name := newName()
		before, after := f.create(t, name), newPassword()
		lost := p.CutAfter(f.CommitPassword)
		err := conn.SetPassword(t.Context(), name, after, database.Statements{})
		<-lost
		if err == nil || errors.Is(err, database.ErrMissing) || errors.Is(err, database.ErrRefused) {
			t.Errorf("%v", err)
		}
		hides(t, err, before, after)
		if err := conn.Login(t.Context(), name, after); err != nil {
			t.Errorf("the new one: %v", err)
		}
		if err := conn.Login(t.Context(), name, before); !errors.Is(err, database.ErrRefused) {
			t.Errorf("the old one: %v", err)
		}
	},
	"wrong credentials of the administrator show nowhere": func(t *testing.T, f *fixture) {
		canary := secret.Text("canary-" + newName())
		wrong := *f
		wrong.Server.Password = canary.RevealText()
		conn := wrong.open(t, f.Server.Host, f.Server.Port)
		for doing, err := range map[string]error{
			"ping":     conn.Ping(t.Context()),
			"create":   conn.Create(t.Context(), database.User{Name: newName(), Password: newPassword()}, f.statements()),
			"password": conn.SetPassword(t.Context(), newName(), newPassword(), database.Statements{}),
			"drop":     conn.Drop(t.Context(), newName(), database.Statements{}),
			"end":      conn.EndSessions(t.Context(), newName()),
		} {
			if err == nil {
				t.Errorf("%s: no error", doing)
				continue
			}
			hides(t, err, canary)
		}
	},
}

// patience is how long a call waits for a network that fails.
const patience = 300 * time.Millisecond

// inconclusive checks that neither a right nor a wrong password is called wrong.
func (f *fixture) inconclusive(t *testing.T, conn database.Conn) {
	t.Helper()
	for _, password := range []secret.Bytes{secret.Text(f.Server.Password), newPassword()} {
		ctx, cancel := contextFor(t, patience)
		err := conn.Login(ctx, f.Server.User, password)
		cancel()
		if err == nil || errors.Is(err, database.ErrRefused) {
			t.Errorf("login: %v", err)
		}
		hides(t, err, password)
	}
	ctx, cancel := contextFor(t, patience)
	defer cancel()
	if err := conn.Ping(ctx); err == nil {
		t.Error("the ping has worked")
	}
}

// sessions waits until the user has n sessions: a server ends one after it has
// said so.
func (f *fixture) sessions(t *testing.T, name string, n int) {
	t.Helper()
	ctx, cancel := contextFor(t, 20*time.Second)
	defer cancel()
	for {
		got, err := f.conn.Sessions(ctx, name)
		if err != nil {
			t.Fatalf("want %d sessions, have %d: %v", n, got, err)
		}
		if got == n {
			return
		}
	}
}
