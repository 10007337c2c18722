package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// On a terminal each step is shown once, with what holds it up.
func TestProgressIsShownOnATerminal(t *testing.T) {
	states := []string{
		`{"attempts":1,"attempt":null,"last_error":""}`,
		`{"attempts":2,"attempt":{"number":2,"step":"set","tries":0}}`,
		`{"attempts":2,"attempt":{"number":2,"step":"set","tries":1},"last_error":"the database did not answer"}`,
		`{"attempts":2,"attempt":{"number":2,"step":"await","tries":0,"published":"2026-01-02T03:04:05Z","version":4,"consumers":{"moved":1,"behind":2}}}`,
		`{"attempts":2,"attempt":{"number":2,"step":"await","tries":0,"published":"2026-01-02T03:04:05Z","version":4,"consumers":{"moved":1,"behind":2}}}`,
		`{"attempts":2,"attempt":null}`,
	}
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := `{"attempt":2}`
		switch r.URL.Path {
		case "/v1/sys/coffer/rotation/db":
			data = states[min(looks, len(states)-1)]
			looks++
		case "/v1/sys/coffer/rotation/db/attempts":
			data = `{"attempts":[{"number":2,"old":"dead","tested":"worked"}]}`
		}
		fmt.Fprintf(w, `{"data":%s}`, data)
	}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	code := Main([]string{"rotation", "rotate", "-wait", "db"}, System{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, StderrTTY: true,
		Getenv: func(name string) string {
			return map[string]string{"VAULT_ADDR": server.URL, "VAULT_TOKEN": "t", "HOME": t.TempDir()}[name]
		},
		After: func(time.Duration) <-chan time.Time { now := make(chan time.Time); close(now); return now },
	})
	want := "begin\nset\nset: the database did not answer\nawait (version 4, consumers: 1 moved, 2 behind)\n"
	if code != exitOK || stderr.String() != want || !strings.Contains(stdout.String(), "dead") {
		t.Errorf("%d\n%s\nwant:\n%s\n%s", code, &stderr, want, &stdout)
	}
}
