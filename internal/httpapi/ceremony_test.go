package httpapi_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// Both forms of one-time password uncover a token that is root's: the server's
// own, and those that clients bring which know Vault's length.
func TestAGeneratedRootTokenWorks(t *testing.T) {
	for _, tt := range []struct{ name, otp string }{
		{"with the server's password", ""},
		{"with a password of Vault's length", "BMjzW3wAsEzINXCM05Wbas3u9zSl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			begun := s.must(http.MethodPut, "/v1/sys/generate-root/attempt", `{"otp":"`+tt.otp+`"}`)
			otp := begun.text(t, "otp")
			done := s.must(http.MethodPut, "/v1/sys/generate-root/update", `{"key":"`+s.keys[0]+`","nonce":"`+begun.text(t, "nonce")+`"}`)
			token, err := base64.RawStdEncoding.DecodeString(done.text(t, "encoded_root_token"))
			if err != nil || len(token) != len(otp) {
				t.Fatalf("%d bytes, the password has %d: %v", len(token), len(otp), err)
			}
			for i := range token {
				token[i] ^= otp[i]
			}
			if tt.otp == "" && !strings.HasPrefix(string(token), "cfs.") {
				t.Error("the token does not have the usual form")
			}
			look := s.must(http.MethodGet, "/v1/auth/token/lookup-self", "", "X-Vault-Token", string(token))
			if got := look.text(t, "data.policies.0"); got != "root" {
				t.Errorf("its policy is %s", got)
			}
		})
	}
}
