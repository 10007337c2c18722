package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// server stands in for a real one: a key-value mount with one secret, and a
// login that succeeds.
func server() *httptest.Server {
	answers := map[string]string{
		"/v1/sys/internal/ui/mounts/secret/db":    `{"request_id":"1","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
		"/v1/sys/internal/ui/mounts/secret/other": `{"request_id":"2","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
		"/v1/secret/data/db":                      `{"request_id":"3","data":{"data":{"user":"app","port":5432},"metadata":{"version":4}}}`,
		"/v1/auth/approle/login":                  `{"request_id":"4","auth":{"client_token":"cfs.x","lease_duration":3600,"policies":["default","app"]}}`,
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			body = `{"errors":[]}`
		}
		_, _ = io.WriteString(w, body)
	}))
}

func Example() {
	srv := server()
	defer srv.Close()
	ctx := context.Background()

	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := c.LoginAppRole(ctx, "approle", "my-role-id", "my-secret-id")
	if err != nil {
		log.Fatal(err)
	}
	c.SetToken(auth.ClientToken)

	kv, err := c.ReadKV(ctx, "secret/db", 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", kv.Version, "of", kv.Mount+kv.Path, "for", kv.Data["user"], "at", kv.Data["port"])
	// Output: version 4 of secret/db for app at 5432
}

func ExampleConfigFromEnv() {
	env := map[string]string{
		"VAULT_ADDR":  "https://vault.example.com:8200",
		"COFFER_ADDR": "https://coffer.example.com:8200",
	}
	cfg, err := client.ConfigFromEnv(func(name string) string { return env[name] })
	fmt.Println(cfg.Address, err)
	// Output: https://coffer.example.com:8200 <nil>
}

func ExampleClient_ReadKV_missing() {
	srv := server()
	defer srv.Close()
	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.ReadKV(context.Background(), "secret/other", 0)
	fmt.Println(errors.Is(err, client.ErrNotFound), err)
	// Output: true read "secret/other": no such secret
}

func ExampleClient_Read() {
	srv := server()
	defer srv.Close()
	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	s, err := c.Read(context.Background(), "secret/nothing/here")
	fmt.Println(s == nil, err)
	// Output: true <nil>
}

func ExampleClient_Batch() {
	srv := server()
	defer srv.Close()
	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	reads := []api.BatchRead{{Path: "secret/data/db"}, {Path: "secret/data/none"}}
	results, err := c.Batch(context.Background(), reads) // one request, if the server is coffer
	if err != nil {
		log.Fatal(err)
	}
	for i, r := range results {
		fmt.Println(reads[i].Path, r.Secret != nil, r.Err)
	}
	// Output:
	// secret/data/db true <nil>
	// secret/data/none false <nil>
}

func ExampleClient_ReadKVUnless() {
	srv := server()
	defer srv.Close()
	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	last, err := c.ReadKV(context.Background(), "secret/db", 0)
	if err != nil {
		log.Fatal(err)
	}
	kv, err := c.ReadKVUnless(context.Background(), "secret/db", 0, last.Secret.ETag)
	if errors.Is(err, client.ErrNotModified) {
		kv, err = last, nil
	}
	fmt.Println(kv.Version, err)
	// Output: 4 <nil>
}

func ExampleClient_Events() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		text := `{"id":"1","data":{"event":{"metadata":{"data_path":"secret/data/db","vault_index":"7"}},"event_type":"kv-v2/data-write"}}`
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(text))
		conn.CloseRead(r.Context())
	}))
	defer srv.Close()
	c, err := client.New(client.Config{Address: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	options := client.EventOptions{Filter: client.FilterPaths("secret/data/db", "secret/data/queue")}
	for e, err := range c.Events(context.Background(), "kv-v2/*", options) {
		switch {
		case errors.Is(err, client.ErrEventsMissed):
			fmt.Println("read everything")
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Println(e.Type, e.Path, e.Revision)
		break
	}
	// Output: kv-v2/data-write secret/data/db 7
}
