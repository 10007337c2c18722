package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type leaky struct {
	User     string `json:"user"`
	Password string `json:"pw"`
}

type marshalled struct{ text string }

func (m marshalled) String() string               { return "harmless" }
func (m marshalled) MarshalText() ([]byte, error) { return []byte(m.text), nil }

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value { return slog.StringValue(v.text) }

func TestHandler(t *testing.T) {
	const secret, number = "hunter2!x", 918273645
	r := New()
	r.Set(Secret("A", secret), Secret("PIN", fmt.Sprint(number)))
	for _, kind := range []string{"text", "json"} {
		t.Run(kind, func(t *testing.T) {
			var out bytes.Buffer
			var to slog.Handler = slog.NewTextHandler(&out, nil)
			if kind == "json" {
				to = slog.NewJSONHandler(&out, nil)
			}
			log := slog.New(r.Handler(to))
			log.Debug("not enabled " + secret)
			log = log.With("with", secret, "fine", 7).WithGroup("group-" + secret)
			log.Error("login with "+secret, "password", secret, "err", fmt.Errorf("dial: %w", errors.New(secret)),
				"struct", leaky{"app", secret}, "pointer", &leaky{"app", secret}, "bytes", []byte(secret), "marshals", marshalled{secret},
				"valuer", valuer{secret}, "number", number, "key-"+secret, 1, slog.Group("g", "deep", secret),
				"count", 42, "took", time.Second, "ok", true, "list", []string{"kept"}, "raw", []byte("plain"))
			line := out.String()
			if strings.Contains(line, secret) || strings.Contains(line, fmt.Sprint(number)) || strings.Contains(line, "aHVudGVyMiF4") {
				t.Error(line)
			}
			for _, want := range []string{"login with [redacted]", "42", "kept", "app", "dial: [redacted]"} {
				if !strings.Contains(line, want) {
					t.Errorf("%q is lost: %s", want, line)
				}
			}
		})
	}
}

func TestAccessLog(t *testing.T) {
	const secret = "hunter2!x"
	r := New()
	r.Set(Secret("A", secret))
	tests := []struct {
		name    string
		serve   http.HandlerFunc
		want    string
		aborted bool
	}{
		{"an answer", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, "status=200 bytes=5", false},
		{"no answer at all", func(http.ResponseWriter, *http.Request) {}, "status=200 bytes=0", false},
		{"a status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		}, "status=418 bytes=0", false},
		{"a flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, "status=200 bytes=0", false},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "status=0 bytes=0", true},
		{"a hijack", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			conn.Close()
		}, "status=101 bytes=0", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			done := make(chan struct{})
			logged := r.AccessLog(slog.New(slog.NewTextHandler(&out, nil)), tt.serve)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				defer close(done)
				logged.ServeHTTP(w, req)
			}))
			defer server.Close()
			req, err := http.NewRequest("GET", server.URL+"/a/hunter2%21x?token=hunter2!x", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer other-secret")
			req.Header.Set("Referer", "https://h/?t=hunter2%21x")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if (err != nil) != tt.aborted {
				t.Errorf("error %v", err)
			}
			<-done
			line := out.String()
			if strings.Contains(line, secret) || strings.Contains(line, "%21") || strings.Contains(line, "other-secret") {
				t.Error(line)
			}
			for _, want := range []string{"method=GET", `url="/a/[redacted]?token=[redacted]"`, tt.want, `referer="https://h/?t=[redacted]"`} {
				if !strings.Contains(line, want) {
					t.Errorf("%q is missing: %s", want, line)
				}
			}
		})
	}
}
