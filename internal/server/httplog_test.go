package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestWhatNetHTTPQuotesIsNotLogged(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"what clients send", `http2: server: error reading preface from client 192.0.2.1:4: bogus greeting "s3cr3t"`, "error reading preface from client 192.0.2.1:4: bogus greeting"},
		{"nothing", "http: TLS handshake error from 192.0.2.1:4: EOF", "http: TLS handshake error from 192.0.2.1:4: EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
			httpErrors(log).Print(tt.line)
			if got := b.String(); !strings.Contains(got, tt.want) || strings.Contains(got, "s3cr3t") || !strings.Contains(got, "level=DEBUG") {
				t.Errorf("logged: %s", got)
			}
		})
	}
}
