package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/secret"
)

const value = "hunter2-opensesame"

// holder has secrets in all the places in which a struct can have them.
type holder struct {
	Open    secret.Bytes
	hidden  secret.Bytes
	pointer *secret.Bytes
	list    []secret.Bytes
	table   map[string]secret.Bytes
	any     any
}

func newHolder() holder {
	s := secret.Text(value)
	return holder{s, s, &s, []secret.Bytes{s}, map[string]secret.Bytes{"k": s}, s}
}

func TestNoVerbPrintsASecret(t *testing.T) {
	h := newHolder()
	forms := []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprint([]byte(value)), fmt.Sprintf("%#v", []byte(value))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%p", "%T", "%z"} {
		for _, v := range []any{h, &h, h.Open, &h.Open, h.list, h.table, h.any, []any{h}, error(wrapper{h})} {
			got := fmt.Sprintf(verb, v)
			for _, form := range forms {
				if strings.Contains(got, strings.Trim(form, "[]")) {
					t.Errorf("%s of %T prints the secret", verb, v)
				}
			}
		}
	}
	if got := fmt.Sprintf("%s %v", h.Open, h.Open); got != "[secret] [secret]" {
		t.Error(got)
	}
}

type wrapper struct{ h holder }

func (w wrapper) Error() string { return fmt.Sprint(w.h) }

func TestNoEncoderMarshalsASecret(t *testing.T) {
	h := newHolder()
	if out, err := json.Marshal(h); !errors.Is(err, secret.ErrMarshal) {
		t.Errorf("JSON: %s, %v", out, err)
	}
	if out, err := json.Marshal(map[string]any{"k": h.Open}); !errors.Is(err, secret.ErrMarshal) {
		t.Errorf("JSON of a map: %s, %v", out, err)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(h.Open); err == nil || strings.Contains(buf.String(), value) {
		t.Errorf("gob: %v", err)
	}
}

func TestNoLogHasASecret(t *testing.T) {
	h := newHolder()
	var buf bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&buf, nil)), slog.New(slog.NewJSONHandler(&buf, nil))} {
		log.Info("message", "secret", h.Open, "holder", h, "pointer", &h.Open, slog.Group("g", "s", h.Open))
	}
	if strings.Contains(buf.String(), value) {
		t.Error("the log has the secret")
	}
	if !strings.Contains(buf.String(), "secret=[secret]") {
		t.Errorf("the log has no place holder: %s", &buf)
	}
}

func TestASecretIsACopy(t *testing.T) {
	in := []byte(value)
	s := secret.New(in)
	in[0] = 'X'
	if s.RevealText() != value || string(s.Reveal()) != value {
		t.Error("the secret has changed with the slice it was made of")
	}
}

func TestSecretsCompare(t *testing.T) {
	tests := []struct {
		name  string
		a, b  secret.Bytes
		equal bool
	}{
		{"the same", secret.Text("a"), secret.New([]byte("a")), true},
		{"another", secret.Text("a"), secret.Text("b"), false},
		{"a longer one", secret.Text("a"), secret.Text("ab"), false},
		{"the zero value and an empty one", secret.Bytes{}, secret.Text(""), true},
		{"the zero value and another", secret.Bytes{}, secret.Text("a"), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.a.Equal(test.b) != test.equal || test.b.Equal(test.a) != test.equal {
				t.Errorf("not %t", test.equal)
			}
			if test.a.Empty() != (len(test.a.Reveal()) == 0) {
				t.Error("Empty disagrees with Reveal")
			}
		})
	}
}
