package canary_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cofferhq/coffer/internal/canary"
)

func TestASecretIsFoundInEveryForm(t *testing.T) {
	for _, secret := range []string{"correct-horse-battery", `"<&>\é%+ /=`, "\x00\x01\xff\xfe\x80binary", "3f2a77b1-9c0d-4e5f-8a6b-1c2d3e4f5a6b"} {
		for name, text := range formsOf(t, secret) {
			for lead := range 6 {
				data := []byte(strings.Repeat("x", lead) + text + "yz")
				hits := canary.NewSearcher(canary.Secret{Name: "it", Text: secret}).Search(data)
				if len(hits) == 0 || hits[0].Secret != "it" {
					t.Errorf("%q, %s, %d bytes in, is not found in %q", secret, name, lead, data)
				}
			}
		}
	}
}

// formsOf encodes a secret by other means than the searcher's, where there are
// some.
func formsOf(t *testing.T, secret string) map[string]string {
	t.Helper()
	inJSON, err := json.Marshal(map[string]string{"k": secret})
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{
		"as it is": secret, "its beginning": secret[:9] + "…",
		"hexadecimal": hex.EncodeToString([]byte(secret)), "HEXADECIMAL": fmt.Sprintf("%X", secret),
		"a Go slice": fmt.Sprint([]byte(secret)), "hexadecimal with blanks": fmt.Sprintf("% x", secret),
		"quoted": fmt.Sprintf("%q", secret), "a query": url.Values{"k": {secret}}.Encode(), "a path": (&url.URL{Path: "/" + secret}).String(),
		"HTML": html.EscapeString(secret), "reversed": string(reverse([]byte(secret))),
		"gzip": gzipped(t, secret), "gzip of base64 in gzip": gzipped(t, "{"+gzipped(t, base64.StdEncoding.EncodeToString([]byte(secret)))+"}"),
		"JSON": string(inJSON),
	}
	if strings.ToValidUTF8(secret, "") != secret {
		delete(forms, "JSON") // which cannot hold it
	} else {
		var x bytes.Buffer
		if err := xml.EscapeText(&x, []byte(secret)); err != nil {
			t.Fatal(err)
		}
		for _, u := range utf16.Encode([]rune(secret)) {
			forms["UTF-16"] += string([]byte{byte(u), byte(u >> 8)})
		}
	}
	for before := range 5 {
		lead := []byte(strings.Repeat("-", before))
		forms[fmt.Sprintf("base64 after %d bytes", before)] = base64.StdEncoding.EncodeToString(append(lead, secret...))
		forms[fmt.Sprintf("base64 for URLs after %d bytes", before)] = base64.RawURLEncoding.EncodeToString(append(lead, secret...))
		forms[fmt.Sprintf("base32 after %d bytes", before)] = base32.StdEncoding.EncodeToString(append(lead, secret...))
	}
	return forms
}

func reverse(b []byte) []byte { slices.Reverse(b); return b }

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	s := canary.NewSearcher(canary.Secret{Name: "it", Text: "correct-horse-battery"})
	for name, text := range map[string]string{
		"nothing":                         "",
		"seven bytes of it":               "correct",
		"its beginning, cut":              "correct_horse-battery",
		"its end":                         "horse-battery",
		"a broken gzip member":            "\x1f\x8b\x08\x00correct",
		"less than a window of its bytes": "corr",
	} {
		if hits := s.Search([]byte(text)); len(hits) > 0 {
			t.Errorf("%s: found %v", name, hits)
		}
	}
}

func TestHitsTellWhichSecretInWhichFormWhere(t *testing.T) {
	s := canary.NewSearcher(canary.Secret{Name: "one", Text: "first-of-two"}, canary.Secret{Name: "two", Text: "second-of-two"})
	hits := s.Search([]byte("first-of-two first-of-two " + hex.EncodeToString([]byte("second-of-two"))))
	if len(hits) != 2 {
		t.Fatalf("%d hits, want one of each secret: %v", len(hits), hits)
	}
	for i, want := range []canary.Hit{{Secret: "one", Form: "as it is", At: 0}, {Secret: "two", Form: "hexadecimal", At: 26}} {
		got := hits[i]
		if got.Around == "" {
			t.Errorf("hit %d does not tell what is around", i)
		}
		got.Around = ""
		if got != want {
			t.Errorf("hit %d: %v, want %v", i, got, want)
		}
	}
}

// Whatever stands around a secret must not hide it.
func FuzzASecretIsFoundWhateverIsAround(f *testing.F) {
	f.Add([]byte("before"), []byte("after"), uint8(0))
	f.Add([]byte("\x1f\x8b\x08"), []byte("\x1f\x8b\x08"), uint8(1))
	const secret = "correct-horse-battery"
	s := canary.NewSearcher(canary.Secret{Name: "it", Text: secret})
	f.Fuzz(func(t *testing.T, before, after []byte, form uint8) {
		whole := slices.Concat(before, []byte(secret), after)
		switch form % 3 {
		case 1:
			whole = []byte(hex.EncodeToString(whole))
		case 2:
			whole = []byte(base64.StdEncoding.EncodeToString(whole))
		}
		if len(s.Search(whole)) == 0 {
			t.Errorf("not found in %q", whole)
		}
	})
}
