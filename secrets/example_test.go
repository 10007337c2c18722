package secrets_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// answers are those of a server with one secret.
var answers = map[string]string{
	"/v1/sys/health": `{"version":"1.19.0"}`,
	"/v1/sys/internal/ui/mounts/secret/app/db": `{"request_id":"1","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
	"/v1/secret/data/app/db": `{"request_id":"2","data":{"data":{"username":"app","password":"s3cr3t"},
		"metadata":{"version":4,"created_time":"2026-01-02T03:04:05Z"}}}`,
}

func server() (*client.Client, func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer s3cr3t" {
			fmt.Fprint(w, "welcome")
			return
		}
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	c, err := client.New(client.Config{Address: srv.URL, Token: "t"})
	if err != nil {
		log.Fatal(err)
	}
	return c, srv.Close
}

func ExampleOpen() {
	c, stop := server()
	defer stop()
	password, err := secrets.Open(context.Background(), "vault:secret/app/db#password", secrets.WithClient(c))
	if err != nil {
		log.Fatal(err)
	}
	defer password.Close()
	password.OnChange(func(_ context.Context, v secrets.Value) error {
		log.Print("version ", v.Version())
		return nil
	})
	v := password.Value()
	fmt.Println(v, "has", len(v.Reveal()), "bytes, version", v.Version())
	// Output: [secret] has 6 bytes, version 4
}

func ExampleOpenGroup() {
	c, stop := server()
	defer stop()
	g, err := secrets.OpenGroup(context.Background(), map[string]string{
		"username": "vault:secret/app/db#username",
		"password": "vault:secret/app/db#password",
	}, secrets.WithClient(c))
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	s := g.Snapshot() // both of one version
	fmt.Println(s.Value("username").Reveal(), s.Value("password"))
	// Output: app [secret]
}

func ExampleLoad() {
	c, stop := server()
	defer stop()
	var config struct {
		Password secrets.Value `secret:"vault:secret/app/db#password"`
		Database string        `secret:"postgres://${vault:secret/app/db#username}@db/app"`
		Timeout  time.Duration `env:"APP_TIMEOUT,optional"`
	}
	config.Timeout = time.Minute
	if err := secrets.Load(context.Background(), &config, secrets.WithClient(c)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(config)
	// Output: {[secret] postgres://app@db/app 1m0s}
}

func ExampleWatch() {
	c, stop := server()
	defer stop()
	type config struct {
		User     string        `secret:"vault:secret/app/db#username"`
		Password secrets.Value `secret:"vault:secret/app/db#password"`
	}
	w, err := secrets.Watch[config](context.Background(), secrets.WithClient(c))
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	w.OnChange(func(_ context.Context, c *config) error {
		log.Print("another password of ", c.User)
		return nil // now the server is told that it is in use
	})
	fmt.Println(w.Current().User, w.Current().Password.Version())
	// Output: app 4
}

func ExampleTransport() {
	c, stop := server()
	defer stop()
	key, err := secrets.Open(context.Background(), "vault:secret/app/db#password", secrets.WithClient(c))
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()
	api := &http.Client{Transport: &secrets.Transport{Secret: key}}
	resp, err := api.Get(c.URL("hello", nil).String())
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	// Output: welcome <nil>
}
