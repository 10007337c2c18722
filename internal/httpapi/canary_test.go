package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/canary"
	"github.com/cofferhq/coffer/internal/logical"
)

// panicker is an engine that panics with what it was given in the value.
var panicker = logical.Kind{
	Type: "panicker",
	New: func(logical.MountPoint) (*logical.Engine, error) {
		do := func(_ struct{}, _ context.Context, r *logical.Request) (*logical.Response, error) {
			switch text := r.Text("password"); r.Text("how") {
			case "text":
				panic("the password is " + text)
			case "error":
				panic(fmt.Errorf("log in: %w", errors.New(text)))
			case "stringer":
				panic(&struct{ Password string }{text})
			default: // the runtime's own panics repeat values, too
				_ = any(text).(error)
			}
			return nil, nil
		}
		return &logical.Engine{Endpoints: logical.Bind(struct{}{}, logical.Routes[struct{}]{
			{Op: logical.Write, Path: "it", Do: do, Help: "Panic.", Fields: logical.Fields{
				"password": {Type: logical.Text, Help: "A secret."}, "how": {Type: logical.Text, Help: "The kind of panic."},
			}},
		})}, nil
	},
}

// The tests of package canary plant secrets in the real program, in which no
// request is known to panic.
func TestAPanicTellsNobodyWhatItPanickedWith(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	s.must(http.MethodPut, "/v1/sys/audit/file", `{"type":"file","options":{"file_path":"`+file+`"}}`)
	s.must(http.MethodPost, "/v1/sys/mounts/panicker", `{"type":"panicker"}`)
	secret := canary.Secret{Name: "value", Text: canary.New()}
	for _, how := range []string{"text", "error", "stringer", "runtime"} {
		a := s.do(http.MethodPost, "/v1/panicker/it", `{"how":"`+how+`","password":"`+secret.Text+`"}`)
		if a.status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", how, a.status, a.body)
		}
		if hits := canary.NewSearcher(secret).Search(a.body); len(hits) > 0 {
			t.Errorf("%s: the answer shows it: %v", how, hits)
		}
	}
	s.Close()
	audit, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(s.log.String(), "panic while serving"); n != 4 {
		t.Errorf("the log tells of %d panics, want 4", n)
	}
	for place, text := range map[string][]byte{"log": s.log.Bytes(), "audit": audit} {
		if hits := canary.NewSearcher(secret).Search(text); len(hits) > 0 {
			t.Errorf("the %s shows it: %v", place, hits)
		}
	}
}
