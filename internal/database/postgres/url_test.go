package postgres

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/secret"
)

// misleading are variables that pgconn would heed.
var misleading = map[string]string{
	"PGHOST": "elsewhere.invalid", "PGPORT": "1", "PGUSER": "other", "PGPASSWORD": "other", "PGDATABASE": "other", "PGOPTIONS": "-c x=y",
	"PGSSLMODE": "disable", "PGSSLROOTCERT": "/missing", "PGTZ": "Mars", "PGAPPNAME": "other", "PGTARGETSESSIONATTRS": "standby",
	"PGCONNECT_TIMEOUT": "1", "PGPASSFILE": "/missing", "PGSERVICEFILE": "/missing", "PGREQUIREAUTH": "none",
}

func TestOnlyTheConfigurationSaysWhomToDial(t *testing.T) {
	for name, value := range misleading {
		t.Setenv(name, value)
	}
	const u, p = `us'er @`, `p%4'\ {{username}}@/:w`
	tests := []struct{ name, url, want string }{
		{"a URL", "postgresql://{{username}}:{{password}}@h:7/db?sslmode=disable", u + "|" + p + "|h:7|db"},
		{"a URL with nothing but a host", "postgres://{{username}}:{{password}}@h", u + "|" + p + "|h:5432|" + u},
		{"a URL of two hosts", "postgres://{{username}}:{{password}}@h,i:8/db?sslmode=disable", u + "|" + p + "|h:5432|db|i:8"},
		{"a URL of an IPv6 host", "postgres://{{username}}:{{password}}@[::1]/db?sslmode=disable", u + "|" + p + "|::1:5432|db"},
		{"a URL without a password", "postgres://{{username}}@h/db?sslmode=disable", u + "||h:5432|db"},
		{"credentials in the query", "postgres://h/db?user={{username}}&password={{password}}&sslmode=disable", u + "|" + p + "|h:5432|db"},
		{"a URL with a password of its own", "postgres://x:y%40@h/db?sslmode=disable", "x|y@|h:5432|db"},
		{"keywords", "host=h user={{username}} password={{password}} sslmode=disable", u + "|" + p + "|h:5432|" + u},
		{"quoted keywords", "host='h' port=9 user='{{username}}' password='{{password}}' dbname=d sslmode=disable", u + "|" + p + "|h:9|d"},
		{"a socket", "host=/run/x user=u password={{password}}", "u|" + p + "|/run/x:5432|u"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cc, err := parse(database.Config{URL: secret.Text(test.url), Username: u, Password: secret.Text(p)})
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s|%s|%s:%d|%s", cc.User, cc.Password, cc.Host, cc.Port, cc.Database)
			for _, f := range cc.Fallbacks {
				if f.Host != cc.Host {
					got += fmt.Sprintf("|%s:%d", f.Host, f.Port)
				}
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if len(cc.RuntimeParams) != 1 || cc.RuntimeParams["application_name"] != "coffer" {
				t.Errorf("parameters %v", cc.RuntimeParams)
			}
		})
	}
}

func TestURLsThatCannotBeUsedAreNotQuoted(t *testing.T) {
	const canary = "canary"
	for name, url := range map[string]string{
		"no URL":            "postgres://u:canary@[h/db",
		"a bad port":        "postgres://u:canary@h:canary/db",
		"no keywords":       "canary",
		"no host":           "postgres://u:canary@/db",
		"no user":           "host=h password=canary",
		"a service":         "service=canary user=u host=h",
		"a service's file":  "postgres://u:canary@h/db?servicefile=/etc/passwd",
		"a password's file": "postgres://u@h/db?passfile=/etc/passwd",
		"unknown":           "postgres://u@h/db?canary=x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(database.Config{URL: secret.Text(url)})
			if err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEscapedValuesStayEscaped(t *testing.T) {
	cc, err := parse(database.Config{
		URL: secret.Text("postgres://{{username}}:{{password}}@h/"), Username: "u", Password: secret.Text("a%40b"), DisableEscaping: true,
	})
	if err != nil || cc.Password != "a@b" {
		t.Errorf("%v", err)
	}
}

// The vector of RFC 7677 §3.
func TestVerifierOfTheRFC(t *testing.T) {
	const auth = "n=user,r=rOprNGfwEbeRWgbNEkqO," +
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	stored, server, err := scramKeys(secret.Text("pencil"), unbase64(t, "W22ZaJ0SNY7soEsUEjb6gQ=="))
	if err != nil {
		t.Fatal(err)
	}
	if got := b64(mac(server, auth)); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server signature %s", got)
	}
	// The proof is ClientKey XOR ClientSignature, and StoredKey is H(ClientKey).
	proof := unbase64(t, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	for i, b := range mac(stored, auth) {
		proof[i] ^= b
	}
	if got := hash(proof); got != b64(stored) {
		t.Errorf("stored key %s", got)
	}
}

func TestTLSFollowsTheModeAndTheCA(t *testing.T) {
	ca := testCA(t)
	tests := []struct {
		name, mode, ca string
		check          func(*tls.Config) bool
		plaintext      bool // may be tried too
	}{
		{"the default tries TLS first", "", "", func(c *tls.Config) bool { return c != nil && c.InsecureSkipVerify }, true},
		{"a CA leaves no way without TLS", "", ca, verifiesAll, false},
		{"a CA with allow", "allow", ca, verifiesAll, false},
		{"a CA with require", "require", ca, verifiesAll, false},
		{"a CA with verify-full", "verify-full", ca, verifiesAll, false},
		{"a CA with verify-ca", "verify-ca", ca, func(c *tls.Config) bool { return c.VerifyConnection != nil && c.RootCAs != nil }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url := "postgres://u:p@h/db"
			if test.mode != "" {
				url += "?sslmode=" + test.mode
			}
			cc, err := parse(database.Config{URL: secret.Text(url), CA: test.ca})
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(cc.TLSConfig) {
				t.Errorf("%+v", cc.TLSConfig)
			}
			plaintext := false
			for _, f := range cc.Fallbacks {
				plaintext = plaintext || f.TLSConfig == nil
			}
			if plaintext != test.plaintext {
				t.Errorf("plain text: %t", plaintext)
			}
		})
	}
	if _, err := parse(database.Config{URL: secret.Text("postgres://u:p@h/db?sslmode=disable"), CA: ca}); err == nil {
		t.Error("a CA and no TLS")
	}
}

func verifiesAll(c *tls.Config) bool {
	return c != nil && !c.InsecureSkipVerify && c.RootCAs != nil && c.ServerName == "h" && c.VerifyConnection == nil
}

// Whatever stands in the place of the password, errors do not repeat it, and what
// is dialled is what the text says.
func FuzzParse(f *testing.F) {
	f.Add("postgres://u:", "@h:5432/db?sslmode=disable")
	f.Add("host=h user=u password=", " dbname=x")
	f.Add("postgresql://", "@[::1],h/db?&&#")
	f.Fuzz(func(t *testing.T, before, after string) {
		const canary = "cAnArY7"
		cfg := database.Config{URL: secret.Text(before + canary + after)}
		cc, err := parse(cfg)
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("%v", err)
			}
			return
		}
		if cc.Host == nobody || cc.User == "" || cc.User == nobody {
			t.Errorf("%q: nobody to dial", before+canary+after)
		}
	})
}
