package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/redact"
)

func TestCleanLog(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing secret", `level=INFO msg="listening" url=https://127.0.0.1:8200`, `level=INFO msg="listening" url=https://127.0.0.1:8200`},
		{"a service token", "denied: cfs.3fKq9ZpWm2XcVbN7sDgHjL1aYtRe4Uo8 twice", "denied: [redacted] twice"},
		{"a batch token, at the end", "token=x cfb.AAAAAQIDBAUGBwgJCgsMDQ4P_-x", "token=[redacted] [redacted]"},
		{"a Vault token with a namespace", `"hvs.CAESIJlU02Q1Zf0aQ1LxqFh1c2VyX3Rva2Vu.ns1"`, `"[redacted]"`},
		{"a Vault token of old", "s.Ga5jyNq6kNfRMVQk2LY1j9iu,", "[redacted],"},
		{"a web token", "auth eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", "auth [redacted]"},
		{"words that begin as tokens do", "s.handler hvs.short cfs. fs.File", "s.handler hvs.short cfs. fs.File"},
		{"a URL with a password", `dial "postgres://app:s3cr3t@db:5432/x?sslmode=off": refused`, `dial "postgres://app:[redacted]@db:5432/x?sslmode=off": refused`},
		{"a URL whose password is not encoded", "redis://:p@ss/w:rd@db", "redis://:[redacted]@db"},
		{"a URL whose user is a token", "https://cfs.3fKq9ZpWm2XcVbN7sDgHjL1aYtRe4Uo8:x@h", "https://[redacted]:[redacted]@h"},
		{"a URL with a name only", "postgres://app@db", "postgres://app@db"},
		{"a URL without anything", "x://", "x://"},
		{"a list of settings", "host=db user=app password=s3cr3t sslmode=off", "host=db user=app password=[redacted] sslmode=off"},
		{"a setting in quotes", "PGPASSWORD='s3 cr3t' x", "PGPASSWORD='[redacted]' x"},
		{"a setting in quotes in quotes", `msg="bad password=\"s3\" here"`, `msg="bad password=\"[redacted]" here"`},
		{"a setting without a value", "password= x", "password= x"},
		{"what is known", "the key is Zmlyc3Qta2V5LXZhbHVl", "the key is [redacted]"},
	}
	known := redact.New()
	known.Set(redact.Secret("KEY", "first-key-value"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			n, err := CleanLog(&out, known).Write([]byte(tt.in))
			if n != len(tt.in) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestCleanLogInBothForms(t *testing.T) {
	err := errors.New(`connect "postgres://app:s3cr3t@db/x" password="s3cr3t" (token hvs.CAESIJlU02Q1Zf0aQ1LxqFh1c2VyX3Rva2Vu)`)
	var out bytes.Buffer
	to := CleanLog(&out, redact.New())
	slog.New(slog.NewTextHandler(to, nil)).Error("s3t", "error", err)
	slog.New(slog.NewJSONHandler(to, nil)).Error("s3t", "error", err)
	if text := out.String(); strings.Contains(text, "s3cr3t") || strings.Contains(text, "CAES") || strings.Count(text, "\n") != 2 {
		t.Error(text)
	}
}

func TestCleanLogTellsOfFailures(t *testing.T) {
	if _, err := CleanLog(broken{}, redact.New()).Write([]byte("line")); err == nil {
		t.Error("no error")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// No token is left, whatever stands around it.
func FuzzHideShapes(f *testing.F) {
	f.Add([]byte("a://b:c@d password='x' s.Ga5jyNq6kNfRMVQk2LY1j9iu"))
	f.Add([]byte("://password=x:eyJhbGciOiJIUzI1NiJ9abcdef@h"))
	f.Fuzz(func(t *testing.T, text []byte) {
		clean := hideShapes(text)
		for i := range clean {
			if i > 0 && isTokenByte(clean[i-1]) {
				continue
			}
			if start, end := tokenAt(clean, i); start != end {
				t.Errorf("%q is left of %q", clean[start:end], text)
			}
		}
	})
}
