package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

// known are tokens whose shape alone gives them away.
var known = map[string]string{
	"github-token":      "ghp_" + "aBcD1234efGH5678ijKL9012mnOP340m9dbX",
	"coffer-token":      "cfs." + "0123456789ABCDEFGHIJKLMN3MsZcf",
	"aws-access-key-id": "AKIA" + "Z7QX2MVN5RPLK3TD",
	"stripe-secret-key": "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc",
	"slack-token":       "xoxb-" + "2847561930-5839201746573-Kq7Zr2dVx9mWcPbT4sYhLgNf",
	"sendgrid-api-key":  "SG." + "Kq7Zr2dVx9mWcPbT4sYhLg.Nf8uKeQoRiAjXzB5v1DkJ3pL6sT0wYcH2dGmE4nVrUx",
	"google-api-key":    "AIza" + "SyD3kq7Zr2dVx9mWcPbT4sYhLgNf8uKeQoR",
	"jwt":               "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiI4NDcxMjAzIiwicm9sZSI6ImFkbWluIiwiaWF0IjoxNzE2MjM5MDIyfQ.Kq7Zr2dVx9mWcPbT4sYhLgNf8uKeQoRiAjXzB5v1DkJ",
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("contexts_test: internal error: strings are always marshalled")
	}
	return string(b)
}

func toUTF16(text string, order binary.ByteOrder, mark bool) string {
	var b []byte
	if mark {
		text = "\ufeff" + text
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return string(b)
}

// contexts are the ways in which files hold a secret.
var contexts = []struct {
	name, path string
	text       func(secret string) string
}{
	{"an env file", ".env", func(s string) string { return "A=1\nAPP_TOKEN=" + s + "\nB=2\n" }},
	{"an exported variable", "run.sh", func(s string) string { return "export APP_TOKEN='" + s + "'\n" }},
	{"YAML", "a.yaml", func(s string) string { return "app:\n  token: " + s + "\n  x: 1\n" }},
	{"JSON", "a.json", func(s string) string { return toJSON(map[string]any{"a": 1, "token": s}) }},
	{"JSON in JSON", "a.json", func(s string) string { return toJSON(map[string]any{"body": toJSON(map[string]string{"token": s})}) }},
	{"JSON in JSON in JSON", "a.json", func(s string) string {
		return toJSON(map[string]string{"a": toJSON(map[string]string{"b": toJSON(map[string]string{"token": s})})})
	}},
	{"minified code", "a.min.js", func(s string) string { return `!function(){var a=1,b={token:"` + s + `",c:2};d(a)}();` }},
	{"a percent-encoded address", "a.log", func(s string) string { return "GET /x?q=" + url.QueryEscape(`{"token":"`+s+`"}`) + " 200\n" }},
	{"base 64", "a.txt", func(s string) string {
		return "data: " + base64.StdEncoding.EncodeToString([]byte("app_token = "+s+"\n")) + "\n"
	}},
	{"base 64 for addresses", "a.txt", func(s string) string {
		return "data: " + base64.RawURLEncoding.EncodeToString([]byte("token="+s)) + "\n"
	}},
	{"base 64 in lines", "a.txt", func(s string) string {
		text := base64.StdEncoding.EncodeToString([]byte("# a file with some text in front\napp_token = " + s + "\n# and some more after it, to fill the lines\n"))
		var b strings.Builder
		for len(text) > 64 {
			b.WriteString(text[:64] + "\n")
			text = text[64:]
		}
		return b.String() + text + "\n"
	}},
	{"base 64 in base 64", "a.txt", func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("x: " + base64.StdEncoding.EncodeToString([]byte("token: "+s+"\n"))))
	}},
	{"hexadecimal", "a.txt", func(s string) string { return "dump " + hex.EncodeToString([]byte("token="+s)) + "\n" }},
	{"UTF-16 with a mark", "a.txt", func(s string) string { return toUTF16("token="+s+"\r\n", binary.LittleEndian, true) }},
	{"UTF-16, big end first", "a.txt", func(s string) string { return toUTF16("token="+s+"\r\n", binary.BigEndian, true) }},
	{"UTF-16 without a mark", "a.txt", func(s string) string { return toUTF16("the token = "+s+"\r\n", binary.LittleEndian, false) }},
	{"a Kubernetes secret", "s.yaml", func(s string) string {
		return "kind: Secret\ndata:\n  token: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n"
	}},
	{"Terraform", "a.tf", func(s string) string { return "resource \"x\" \"y\" {\n  token = \"" + s + "\"\n}\n" }},
	{"a diff", "a.diff", func(s string) string { return "@@ -1 +1 @@\n-token = \"\"\n+token = \"" + s + "\"\n" }},
	{"a comment", "a.go", func(s string) string { return "// use " + s + " for now\n" }},
	{"a notebook", "a.ipynb", func(s string) string { return toJSON(map[string]any{"source": []string{"token = '" + s + "'\n"}}) }},
	{"a binary file", "a.bin", func(s string) string { return "\x7fELF\x00\x01\x02" + s + "\x00\x00more\x00" }},
	{"wide strings of a program", "a.exe", func(s string) string {
		return "MZ\x90\x00\x03\xff\xfe\x81" + toUTF16("one", binary.LittleEndian, false) + "\x00\x00\x99" + toUTF16("token="+s, binary.LittleEndian, false) + "\x00\x00\x81\x82"
	}},
	{"a table of Markdown", "a.md", func(s string) string { return "| token | `" + s + "` |\n" }},
}

func TestKnownTokensAreFoundInAllContexts(t *testing.T) {
	s := newScanner(t, Options{})
	for _, c := range contexts {
		t.Run(c.name, func(t *testing.T) {
			for id, secret := range known {
				var found []Finding
				err := s.Scan(context.Background(), Input{Path: c.path, Data: []byte(c.text(secret))}, Sink{Found: func(f Finding) { found = append(found, f) }})
				if err != nil || len(found) != 1 || found[0].RuleID != id || found[0].Secret.Reveal() != secret {
					t.Errorf("%s: %v, %s", id, err, describe(found))
				}
			}
		})
	}
}

func TestPasswordsAreFoundInAllContexts(t *testing.T) {
	s := newScanner(t, Options{})
	for _, c := range contexts {
		switch c.name {
		case "a comment", "a binary file", "a table of Markdown", "wide strings of a program":
			continue // nothing says what it is, or names mean little there
		}
		t.Run(c.name, func(t *testing.T) {
			const secret = "k3Vq8sLm2x"
			text := strings.NewReplacer("token", "password", "TOKEN", "PASSWORD").Replace(c.text(secret))
			if strings.HasPrefix(c.name, "base 64") || c.name == "hexadecimal" || strings.HasPrefix(c.name, "UTF-16") {
				return // the name is encoded, too
			}
			found := s.Bytes(c.path, []byte(text))
			if len(found) != 1 || found[0].Secret.Reveal() != secret {
				t.Error(describe(found))
			}
		})
	}
}

func TestPlacesOfEncodedSecrets(t *testing.T) {
	s := newScanner(t, Options{})
	secret := known["github-token"]
	for _, test := range []struct{ name, before, after string }{
		{"base 64", "x\n  data: ", "\n"}, {"hexadecimal", "x\n  data: ", "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain := "some words and then " + secret + " and others"
			text, width := base64.StdEncoding.EncodeToString([]byte(plain)), 4.0/3
			if test.name == "hexadecimal" {
				text, width = hex.EncodeToString([]byte(plain)), 2
			}
			found := s.Bytes("a", []byte(test.before+text+test.after))
			if len(found) != 1 {
				t.Fatal(describe(found))
			}
			want := len(test.before) + int(float64(strings.Index(plain, secret))*width)
			if got := int(found[0].Start.Offset); got < want-3 || got > want+3 || found[0].Start.Line != 2 {
				t.Errorf("at %v, want offset %d", found[0].Start, want)
			}
		})
	}
}

func archives(t *testing.T, secret string) map[string][]byte {
	t.Helper()
	text := []byte("token = " + secret + "\n")
	var gz, tarred, zipped, nested bytes.Buffer
	g := gzip.NewWriter(&gz)
	tw := tar.NewWriter(&tarred)
	zw := zip.NewWriter(&zipped)
	nw := zip.NewWriter(&nested)
	_, err := g.Write(text)
	err = errors.Join(err, g.Close(), tw.WriteHeader(&tar.Header{Name: "in/a.txt", Size: int64(len(text)), Mode: 0o600}))
	_, err2 := tw.Write(text)
	w, err3 := zw.Create("in/a.txt")
	_, err4 := w.Write(text)
	err = errors.Join(err, err2, err3, err4, tw.Close(), zw.Close())
	n, err2 := nw.Create("lib/b.jar")
	_, err3 = n.Write(zipped.Bytes())
	if err = errors.Join(err, err2, err3, nw.Close()); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"a.txt.gz": gz.Bytes(), "a.tar": tarred.Bytes(), "a.zip": zipped.Bytes(), "a.war": nested.Bytes()}
}

func TestArchivesAreOpened(t *testing.T) {
	s := newScanner(t, Options{})
	paths := map[string]string{"a.txt.gz": "a.txt", "a.tar": "a.tar!/in/a.txt", "a.zip": "a.zip!/in/a.txt", "a.war": "a.war!/lib/b.jar!/in/a.txt"}
	for name, data := range archives(t, known["github-token"]) {
		var got []string
		sink := Sink{Found: func(f Finding) { got = append(got, f.Path) }, Skipped: func(path string, err error) { t.Errorf("%s: %v", path, err) }}
		for _, in := range []Input{{Path: name, Data: data}, {Path: name, R: bytes.NewReader(data)}} {
			got = nil
			if err := s.Scan(context.Background(), in, sink); err != nil || len(got) != 1 || got[0] != paths[name] {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
}

func TestBombsAreTold(t *testing.T) {
	var bomb bytes.Buffer
	g := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 64 {
		if _, err := g.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	deep := bomb.Bytes()
	for range 5 {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(deep); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		deep = b.Bytes()
	}
	for _, test := range []struct {
		name string
		data []byte
		want error
	}{
		{"one that grows a thousandfold", bomb.Bytes(), ErrTooBig},
		{"archives in archives", deep, ErrTooDeep},
		{"half an archive", archives(t, "x")["a.txt.gz"][:20], ErrDamaged},
		{"a zip archive without its end", archives(t, "x")["a.zip"][:60], ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got error
			sink := Sink{Found: func(Finding) {}, Skipped: func(_ string, err error) { got = err }}
			if err := newScanner(t, Options{}).Scan(context.Background(), Input{Path: "x", Data: test.data}, sink); err != nil || !errors.Is(got, test.want) {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestSecretsDoNotPrintThemselves(t *testing.T) {
	found := newScanner(t, Options{}).Bytes("x", []byte(`password = "k3Vq8sLm2x"`))
	if len(found) != 1 {
		t.Fatal(describe(found))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, found[0]); strings.Contains(got, "k3Vq8") || strings.Contains(got, "6b335671") {
			t.Errorf("%s prints the secret", verb)
		}
	}
	if _, err := json.Marshal(found[0]); !errors.Is(err, ErrMarshal) {
		t.Errorf("marshalled: %v", err)
	}
}

func TestACommentAllowsItsLine(t *testing.T) {
	text := []byte("password = \"k3Vq8sLm2x\" # coffer:allow\npassword = \"p7Zt4wRc9n\"\n")
	if found := newScanner(t, Options{}).Bytes("x", text); len(found) != 1 || found[0].Secret.Reveal() != "p7Zt4wRc9n" {
		t.Error(describe(found))
	}
	if found := newScanner(t, Options{IgnoreAllow: true}).Bytes("x", text); len(found) != 2 {
		t.Error(describe(found))
	}
}
