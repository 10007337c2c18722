package generate

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/source"
)

func policies(_ context.Context, name string) (password.Policy, error) {
	if name != "pin" {
		return password.Policy{}, logical.Invalid("the password policy %q does not exist", name)
	}
	return password.Parse(`length = 8 rule "charset" { charset = "0123456789" }`)
}

func made(t *testing.T, config string) source.Values {
	t.Helper()
	src, err := Kind(policies).Open(json.RawMessage(config), source.Replace)
	if err != nil {
		t.Fatal(err)
	}
	v, err := src.Create(t.Context(), source.Attempt{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range src.Fields() {
		if v[name].Empty() {
			t.Errorf("no %q", name)
		}
	}
	if len(v) != len(src.Fields()) {
		t.Errorf("%d values, %q", len(v), src.Fields())
	}
	if err := src.Test(t.Context(), v); !errors.Is(err, source.ErrNoLogin) {
		t.Errorf("a login: %v", err)
	}
	return v
}

func TestPlainSecrets(t *testing.T) {
	tests := []struct {
		config string
		field  string
		length int
	}{
		{``, "password", 20},
		{`{"type":"password","policy":"pin"}`, "password", 8},
		{`{"type":"bytes"}`, "value", 44},
		{`{"type":"bytes","length":64,"encoding":"hex"}`, "value", 128},
		{`{"type":"bytes","length":32,"encoding":"base64url"}`, "value", 43},
		{`{"type":"uuid"}`, "value", 36},
	}
	for _, test := range tests {
		t.Run(test.config, func(t *testing.T) {
			one, other := made(t, test.config)[test.field], made(t, test.config)[test.field]
			if len(one.Reveal()) != test.length || one.Equal(other) {
				t.Errorf("%d bytes, want %d; the same twice: %t", len(one.Reveal()), test.length, one.Equal(other))
			}
		})
	}
}

func TestKeyPairsBelongTogether(t *testing.T) {
	for _, config := range []string{
		`{"type":"ed25519"}`, `{"type":"rsa","bits":2048}`, `{"type":"ecdsa"}`, `{"type":"ecdsa","curve":"P521"}`,
	} {
		v := made(t, config)
		private, _ := pem.Decode(v["private_key"].Reveal())
		public, _ := pem.Decode(v["public_key"].Reveal())
		key, err := x509.ParsePKCS8PrivateKey(private.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", config, err)
		}
		want, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
		if err != nil || string(want) != string(public.Bytes) {
			t.Errorf("%s: another key's public half (%v)", config, err)
		}
	}
}

func TestCertificatesAreGoodForTLS(t *testing.T) {
	ca := authority(t)
	signed, err := json.Marshal(map[string]any{
		"type": "certificate", "common_name": "db", "alt_names": []string{"db.local", "127.0.0.1"}, "ttl": "1h", "key": "ed25519",
		"ca_certificate": ca["certificate"].RevealText(), "ca_private_key": ca["private_key"].RevealText(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]string{
		"signs itself":           `{"type":"certificate","common_name":"db","alt_names":["db.local","127.0.0.1"],"ttl":"1h"}`,
		"signed by an authority": string(signed),
	} {
		t.Run(name, func(t *testing.T) {
			v := made(t, config)
			pair, err := tls.X509KeyPair(v["certificate"].Reveal(), v["private_key"].Reveal())
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(v["issuing_ca"].Reveal())
			for _, host := range []string{"db.local", "127.0.0.1"} {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
					t.Errorf("%s: %v", host, err)
				}
			}
			if left := time.Until(pair.Leaf.NotAfter); left < 50*time.Minute || left > time.Hour {
				t.Errorf("valid for %v", left)
			}
		})
	}
}

// authority is a certificate that may sign others.
func authority(t *testing.T) source.Values {
	t.Helper()
	g := &generator{settings: settings{CommonName: "ca", Key: "ecdsa", Curve: "P256"}, now: time.Now}
	key, err := g.newKey("ecdsa")
	if err != nil {
		t.Fatal(err)
	}
	template, err := g.template()
	if err != nil {
		t.Fatal(err)
	}
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := privatePEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return source.Values{"certificate": block("CERTIFICATE", der), "private_key": private}
}

func TestBadSettingsAreRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{"type":"pin"}`:                                                "no type",
		`{"tpye":"uuid"}`:                                               "unknown",
		`{"type":"bytes","length":4}`:                                   "between 16 and 4096",
		`{"type":"bytes","encoding":"rot13"}`:                           "encoding",
		`{"type":"rsa","bits":512}`:                                     "between 2048 and 8192",
		`{"type":"ecdsa","curve":"P-256"}`:                              "curve",
		`{"type":"certificate"}`:                                        "common_name",
		`{"type":"certificate","common_name":"x","ttl":"never"}`:        "ttl",
		`{"type":"certificate","common_name":"x","ca_certificate":"x"}`: "both",
		`{"type":"certificate","common_name":"x","ca_certificate":"x","ca_private_key":"CANARY"}`: "not a PEM pair",
		`[]`: "wrong type",
	} {
		_, err := Kind(policies).Open(json.RawMessage(config), source.Replace)
		if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", config, err)
		}
	}
	src, err := Kind(policies).Open(json.RawMessage(`{"policy":"gone"}`), source.Replace)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Create(t.Context(), source.Attempt{}); err == nil {
		t.Error("a password by a policy that does not exist")
	}
}
