package redis

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

func TestRulesOfARole(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want []string // nil: refused
	}{
		{"none", nil, []string{"~*", "+@read"}},
		{"as JSON in a text", []string{`["~app:*", "+@write"]`}, []string{"~app:*", "+@write"}},
		{"in a list", []string{"~app:*", "+@write"}, []string{"~app:*", "+@write"}},
		{"separated by spaces", []string{"~app:* +@write"}, []string{"~app:*", "+@write"}},
		{"with a password", []string{`["~*", ">x"]`}, nil},
		{"without one", []string{`["~*", "NoPass"]`}, nil},
		{"a reset", []string{"reset ~*"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Kind.Refuse(database.Statements{Create: test.in})
			if test.want == nil {
				if !errors.Is(err, logical.ErrInvalid) {
					t.Errorf("%v", err)
				}
				return
			}
			if got := rules(test.in); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestConfigurationsThatCannotBeUsed(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":              `{}`,
		"a port out of range":  `{"host":"h","port":65536,"username":"u","password":"p"}`,
		"a CA without TLS":     `{"host":"h","port":1,"username":"u","password":"p","ca_cert":"x"}`,
		"a CA that is none":    `{"host":"h","port":1,"username":"u","password":"p","tls":true,"ca_cert":"x"}`,
		"an unknown way":       `{"host":"h","port":1,"username":"u","password":"p","persistence_mode":"x"}`,
		"a name with no field": `{"host":"h","port":1,"username":"u","password":"p","username_template":"{{.X}}"}`,
	} {
		if _, err := Kind.Parse(plugin, []byte(raw)); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsersHaveTheRulesAndNothingElse(t *testing.T) {
	s := parts.Redis(t)
	conn := open(t, s, s.User, s.Password, nil)
	u := database.User{Name: "ruled", Password: secret.Text("p")}
	if err := conn.Create(t.Context(), u, database.Statements{Create: []string{`["~app:*", "+get", "+set"]`}}); err != nil {
		t.Fatal(err)
	}
	defer conn.Drop(t.Context(), "ruled", database.Statements{})
	c, err := redis.DialContext(t.Context(), "tcp", s.Address(), redis.DialUsername("ruled"), redis.DialPassword("p"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("SET", "app:x", "1"); err != nil {
		t.Error(err)
	}
	for _, command := range [][]any{{"other"}, {"app:x", "x"}} {
		if _, err := c.Do("GETDEL", command...); err == nil {
			t.Errorf("%v was allowed", command)
		}
	}
}

func TestWhatCannotBeKeptIsAnError(t *testing.T) {
	s := parts.Redis(t)
	// The server has been started without a configuration file.
	conn := open(t, s, s.User, s.Password, map[string]any{"persistence_mode": "REWRITE"})
	u := database.User{Name: "unkept", Password: secret.Text("password")}
	if err := conn.Create(t.Context(), u, database.Statements{}); !errors.Is(err, logical.ErrUpstream) {
		t.Errorf("create: %v", err)
	}
	if err := conn.Login(t.Context(), u.Name, u.Password); !errors.Is(err, database.ErrRefused) {
		t.Errorf("a user whose creation has failed: %v", err)
	}
	if err := conn.Drop(t.Context(), u.Name, database.Statements{}); !errors.Is(err, logical.ErrUpstream) {
		t.Errorf("drop: %v", err)
	}
}

func TestNamesThatTheServerCannotHave(t *testing.T) {
	s := parts.Redis(t)
	conn := open(t, s, s.User, s.Password, nil)
	for _, name := range []string{"", "two words", "a\nb", "zero\x00", "no\xfftext"} {
		err := conn.Create(t.Context(), database.User{Name: name, Password: secret.Text("p")}, database.Statements{})
		if !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestClientsAreCountedByUser(t *testing.T) {
	const list = "id=1 addr=1 name=user=b user=a cmd=x\nid=2 user=b\nid=3 user=ab resp=2\n\nid=4 user=a\n"
	if n := clients(list, "a"); n != 2 {
		t.Errorf("%d", n)
	}
}

func TestTLSWithTheServersCA(t *testing.T) {
	s := parts.Redis(t)
	ca, pair := parts.Certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go forward(l, s.Address())
	for name, test := range map[string]struct {
		with  map[string]any
		works bool
	}{
		"its CA":          {map[string]any{"tls": true, "ca_cert": ca}, true},
		"another CA":      {map[string]any{"tls": true, "ca_cert": parts.OtherCA(t)}, false},
		"any certificate": {map[string]any{"tls": true, "insecure_tls": true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.with["port"] = l.Addr().(*net.TCPAddr).Port
			conn := open(t, s, s.User, s.Password, test.with)
			if err := conn.Ping(t.Context()); (err == nil) != test.works {
				t.Errorf("%v", err)
			}
			err := conn.Login(t.Context(), s.User, secret.Text("wrong"))
			if errors.Is(err, database.ErrRefused) != test.works || strings.Contains(err.Error(), "wrong") && test.works {
				t.Errorf("login: %v", err)
			}
		})
	}
}

// forward passes what comes in to a server, until the listener ends.
func forward(l net.Listener, address string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", address)
		if err != nil {
			client.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
			go func() {
				io.Copy(pair[0], pair[1])
				pair[0].Close()
			}()
		}
	}
}
