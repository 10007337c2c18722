package secrets

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type level int16

// Base is embedded, so it is exported.
type Base struct {
	Name string `secret:"vault:secret/all#name"`
}

type everything struct {
	Base
	Password Value           `secret:"vault:secret/all#password"`
	Whole    string          `secret:"postgres://app:${vault:secret/all#password}@db/app"`
	Key      []byte          `secret:"vault:secret/all#password"`
	Debug    bool            `secret:"vault:secret/all#yes"`
	Port     uint16          `secret:"vault:secret/all#port"`
	Level    level           `secret:"vault:secret/all#port"`
	Ratio    float32         `secret:"vault:secret/all#ratio"`
	Timeout  time.Duration   `env:"LOAD_TIMEOUT,optional"`
	Unset    string          `env:"LOAD_UNSET,optional"`
	Preset   string          `env:"LOAD_UNSET" secret:"vault:secret/all#name"`
	Absent   string          `secret:"vault:secret/none?optional#k"`
	Address  netip.Addr      `secret:"vault:secret/all#address"`
	Identity tls.Certificate `secret:"vault:secret/all#pem"`
	Inner    struct {
		URL    url.URL  `secret:"vault:secret/all#url"`
		Remote *url.URL `secret:"vault:secret/all#url"`
	}
	Other   int
	private int
}

func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// stock puts a secret with a field for each type.
func stock(h *house, more map[string]string) {
	h.Helper()
	data := map[string]string{
		"name": "app", "password": "p1", "yes": "true", "port": "5432", "ratio": "0.5", "address": "10.0.0.1",
		"pem": certificate(h.T), "url": "https://db.example/x",
	}
	for name, value := range more {
		data[name] = value
	}
	text, err := json.Marshal(data)
	if err != nil {
		h.Fatal(err)
	}
	h.put("all", string(text))
}

func TestAStructIsLoaded(t *testing.T) {
	t.Setenv("LOAD_TIMEOUT", "90s")
	inHouse(t, "with every type there is", func(h *house) {
		stock(h, nil)
		c := everything{Other: 7, private: 8, Unset: "kept", Absent: "kept"}
		if err := Load(h.Context(), &c, h.options()...); err != nil {
			h.Fatal(err)
		}
		if c.Password.Reveal() != "p1" || c.Password.Version() != 1 || len(c.Identity.Certificate) != 1 {
			h.Errorf("password %q, version %d, %d certificates", c.Password.Reveal(), c.Password.Version(), len(c.Identity.Certificate))
		}
		got := fmt.Sprint(c.Name, c.Whole, string(c.Key), c.Debug, c.Port, c.Level, c.Ratio, c.Timeout, c.Unset, c.Preset, c.Absent,
			c.Address, c.Inner.URL.Host, c.Inner.Remote.Path, c.Other, c.private)
		want := fmt.Sprint("app", "postgres://app:p1@db/app", "p1", true, 5432, 5432, 0.5, 90*time.Second, "kept", "app", "kept",
			"10.0.0.1", "db.example", "/x", 7, 8)
		if got != want {
			h.Errorf("got  %s\nwant %s", got, want)
		}
	})
	inHouse(t, "and the token given back", func(h *house) {
		var c struct {
			Password string `secret:"vault:secret/app/db#password"`
		}
		if err := Load(h.Context(), &c, h.options(WithLogin(AppRole("approle", "r", "s")))...); err != nil || c.Password != "p1" {
			h.Error(err)
		}
		if d := cmp.Diff([]string{"0 login", "0 revoke token1"}, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "but not with what has a lease", func(h *house) {
		var c struct {
			Password string `secret:"vault:database/creds/app#password"`
		}
		err := Load(h.Context(), &c, h.options()...)
		if err == nil || !strings.Contains(err.Error(), "Password: it has a lease") || c.Password != "" {
			h.Error(err)
		}
		if d := cmp.Diff([]string{"0 make 1 for given", "0 revoke lease1"}, h.requests()); d != "" {
			h.Error(d)
		}
	})
}

func TestAllThatIsWrongWithAStructIsTold(t *testing.T) {
	inHouse(t, "its tags", func(h *house) {
		var c struct {
			A string   `secret:"vault:x"`
			B chan int `secret:"vault:secret/all#name"`
			C string   `env:"LOAD_UNSET"`
			D string   `env:",optional"`
			E string   `env:"X,please"`
			f string   `secret:"vault:secret/all#name"`
			G struct {
				H string `secret:"vault:x"`
			}
		}
		_ = c.f
		err := Load(h.Context(), &c, h.options()...)
		for _, name := range strings.Fields("A B C D E f G.H") {
			if err == nil || !strings.Contains(err.Error(), name+": ") {
				h.Errorf("nothing of %s in: %v", name, err)
			}
		}
	})
	inHouse(t, "its values, of which none is shown", func(h *house) {
		stock(h, map[string]string{"bad": "hush-hush"})
		var c struct {
			A int             `secret:"vault:secret/all#bad"`
			B bool            `secret:"vault:secret/all#bad"`
			C float64         `secret:"vault:secret/all#bad"`
			D time.Duration   `secret:"vault:secret/all#bad"`
			E tls.Certificate `secret:"vault:secret/all#bad"`
			F netip.Addr      `secret:"vault:secret/all#bad"`
			G url.URL         `secret:":${vault:secret/all#bad}"`
			H uint8           `secret:"vault:secret/all#port"`
			I string          `secret:"vault:secret/all#missing"`
			J string          `secret:"vault:secret/all#name"`
		}
		err := Load(h.Context(), &c, h.options()...)
		if err == nil {
			h.Fatal("it was loaded")
		}
		for _, name := range strings.Split("ABCDEFGHI", "") {
			if !strings.Contains(err.Error(), name+": ") {
				h.Errorf("nothing of %s in: %v", name, err)
			}
		}
		if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "5432") {
			h.Error("it shows a value: ", err)
		}
		if field := new(FieldError); !errors.As(err, &field) || !errors.Is(err, ErrAbsent) || c.J != "" {
			h.Errorf("%v; J is %q", err, c.J)
		}
	})
	inHouse(t, "itself", func(h *house) {
		for _, target := range []any{nil, 1, struct{}{}, new(int), (*everything)(nil), &struct{ A int }{}} {
			if err := Load(h.Context(), target, h.options()...); err == nil {
				h.Errorf("%T", target)
			}
		}
		if _, err := Watch[int](h.Context(), h.options()...); err == nil {
			h.Error("an int")
		}
	})
}

type login struct {
	User string `secret:"vault:secret/app/db#username"`
	Pass Value  `secret:"vault:secret/app/db#password"`
	Port int    `secret:"vault:secret/net#port"`
}

func TestAStructIsWatched(t *testing.T) {
	withPush(t, "and each change is another copy", func(h *house) {
		h.put("net", `{"port":1}`)
		w, err := Watch[login](h.Context(), h.options()...)
		if err != nil {
			h.Fatal(err)
		}
		pass(0)
		first := w.Current()
		if first != w.Current() {
			h.Error("there are two copies of one generation")
		}
		var told []string
		w.OnChange(func(_ context.Context, l *login) error {
			told = append(told, fmt.Sprintf("%s %d %v", l.User, l.Port, l == w.Current()))
			return nil
		})
		h.put("app/db", `{"username":"u2","password":"p2"}`)
		pass(0)
		if now := w.Current(); now.User != "u2" || now.Pass.Reveal() != "p2" || now.Pass.Version() != 2 || first.User != "u1" {
			h.Errorf("%+v, before %+v", now, first)
		}
		if d := cmp.Diff([]string{"u2 1 true"}, told); d != "" {
			h.Error(d)
		}
		h.close(w)
	})
	withPush(t, "and what does not fit is held back, it alone", func(h *house) {
		h.put("net", `{"port":1}`)
		w, err := Watch[login](h.Context(), h.options()...)
		if err != nil {
			h.Fatal(err)
		}
		pass(0)
		h.put("net", `{"port":"none"}`)
		h.put("app/db", `{"username":"u2","password":"p2"}`)
		pass(0)
		field := new(FieldError)
		if now := w.Current(); now.User != "u2" || now.Port != 1 || !errors.As(w.Err(), &field) || field.Field != "Port" {
			h.Errorf("%+v, %v", now, w.Err())
		}
		h.put("net", `{"port":3}`)
		pass(0)
		if now := w.Current(); now.Port != 3 || w.Err() != nil {
			h.Errorf("%+v, %v", now, w.Err())
		}
		h.close(w)
	})
	inHouse(t, "unless it cannot be filled", func(h *house) {
		h.put("net", `{"port":"none"}`)
		_, err := Watch[login](h.Context(), h.options()...)
		if field := new(FieldError); !errors.As(err, &field) || field.Field != "Port" {
			h.Error(err)
		}
	})
}
