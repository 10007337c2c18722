package webhook

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

var key = []byte("a key of twenty-four bytes, or more")

func opened(t *testing.T, s *httptest.Server) source.Source {
	t.Helper()
	config := map[string]any{"url": s.URL, "signing_key": "whsec_" + base64.StdEncoding.EncodeToString(key)}
	if c := s.Certificate(); c != nil {
		config["ca_cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Kind().Open(text, source.Replace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func TestAServiceIsAskedWithASignature(t *testing.T) {
	var asked []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		want := "v1," + base64.StdEncoding.EncodeToString(sign(key, r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body))
		if !hmac.Equal([]byte(want), []byte(r.Header.Get("webhook-signature"))) {
			t.Errorf("signature %q", r.Header.Get("webhook-signature"))
		}
		var q struct{ Action string }
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		asked = append(asked, q.Action)
		fmt.Fprint(w, `{"result":"ok","values":{"value":"new"},"sessions":2}`)
	}))
	defer s.Close()
	src := opened(t, s)
	a := source.Attempt{ID: "A1"}
	made, err := src.Create(t.Context(), a)
	if err != nil || made["value"].RevealText() != "new" {
		t.Fatal(err)
	}
	if err := errors.Join(src.Set(t.Context(), a), src.Test(t.Context(), made), src.Retire(t.Context(), a)); err != nil {
		t.Error(err)
	}
	if n, err := src.Sessions(t.Context(), made); n != 2 || err != nil {
		t.Error(n, err)
	}
	if got := strings.Join(asked, " "); got != "create set test retire sessions" {
		t.Error(got)
	}
}

// The example of the specification's reference implementations.
func TestTheSignatureIsThatOfTheSpecification(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := base64.StdEncoding.EncodeToString(sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))
	if got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestServicesThatFail(t *testing.T) {
	tests := []struct {
		name string
		does http.HandlerFunc
		want string
	}{
		{"answers with an error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "CANARY", http.StatusInternalServerError) }, "status 500"},
		{"sends us elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "status 307"},
		{"answers too much", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, maxAnswer+1)) }, "more than"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "did not answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(test.does)
			defer s.Close()
			err := opened(t, s).Set(t.Context(), source.Attempt{Candidate: source.Values{"value": secret.Text("CANARY")}})
			if !errors.Is(err, logical.ErrUpstream) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(key)
	for config, want := range map[string]string{
		`{"url":"http://example.com","signing_key":"` + good + `"}`:         "https",
		`{"url":"https://u:p@example.com","signing_key":"` + good + `"}`:    "without credentials",
		`{"url":"gopher://x","signing_key":"` + good + `"}`:                 "http or https",
		`{"url":"https://example.com","signing_key":"c2hvcnQ="}`:            "signing_key",
		`{"url":"https://x","signing_key":"` + good + `","ca_cert":"none"}`: "ca_cert",
		`{"url":1}`: "wrong type",
	} {
		_, err := Kind().Open(json.RawMessage(config), source.Replace)
		if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}
