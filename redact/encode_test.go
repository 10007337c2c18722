package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// Values with all that encoders care about.
var awkward = []string{
	"correct-horse", `pa"ss\wo/rd<&>'x`, "tab\there\nline two, long\r\nnext one", "p\u00e4ssw\u00f6rt \U0001f511 key", "a b+c%d=e&f#g?h", "\x00\x01\x02\x7f\x80\xff\xferaw", "$HOME`id`!~{}[]|;*",
}

// What the encoders of the standard library make of a value is removed.
func TestEncodersOfTheStandardLibrary(t *testing.T) {
	marshal := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	encoders := map[string]func(string) string{
		"url.QueryEscape": url.QueryEscape,
		"url.PathEscape":  url.PathEscape,
		"url.URL path":    func(s string) string { return (&url.URL{Path: "/" + s}).String() },
		"url.URL user": func(s string) string {
			return (&url.URL{Scheme: "x", User: url.UserPassword("u", s), Host: "h"}).String()
		},
		"url.Values":   func(s string) string { return url.Values{"k": {s}}.Encode() },
		"json.Marshal": func(s string) string { return marshal(map[string]string{"k": s}) },
		"json, twice":  func(s string) string { return marshal(marshal(map[string]string{"k": s})) },
		"json.Encoder without HTML": func(s string) string {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if err := e.Encode(s); err != nil {
				t.Fatal(err)
			}
			return b.String()
		},
		"strconv.Quote":        strconv.Quote,
		"strconv.QuoteToASCII": strconv.QuoteToASCII,
		"%q of bytes":          func(s string) string { return fmt.Sprintf("%q", []byte(s)) },
		"html.EscapeString":    html.EscapeString,
		"hex":                  func(s string) string { return hex.EncodeToString([]byte(s)) },
		"%X":                   func(s string) string { return fmt.Sprintf("%X", s) },
		"base64":               func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 for URLs":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"JSON of bytes":        func(s string) string { return marshal([]byte(s)) },
	}
	for name, encode := range encoders {
		for _, secret := range awkward {
			checkRemoved(t, name, secret, encode(secret))
		}
	}
	if got := cleanOf(t, awkward[1], xmlOf(t, awkward[1])); strings.Contains(got, "wo/rd") {
		t.Errorf("xml: %q", got)
	}
}

func xmlOf(t *testing.T, s string) string {
	t.Helper()
	b, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func cleanOf(t *testing.T, secret, encoded string) string {
	t.Helper()
	r := New()
	if w := r.Set(Secret("A", secret)); w != nil {
		t.Fatal(w)
	}
	return r.String(encoded)
}

// checkRemoved checks that nothing is left of what encoded holds between the
// parts that are the same for another secret.
func checkRemoved(t *testing.T, name, secret, encoded string) {
	t.Helper()
	clean := cleanOf(t, secret, encoded)
	left := strings.ReplaceAll(clean, Marker, "")
	// Quotes, the key of an object, a URL's other parts, base64's padding.
	if !strings.Contains(clean, Marker) || len(left) > len(`"{\"k\":\"\"}"`) {
		t.Errorf("%s of %q is %q, of which is left: %q", name, secret, encoded, clean)
	}
}

// What other programs write, taken from their documentation and from running
// them.
func TestEncodersOfOthers(t *testing.T) {
	tests := []struct{ name, secret, encoded string }{
		{"Python's json.dumps", "p\u00e4ss \U0001f511/x", `"p\u00e4ss \ud83d\udd11/x"`},
		{"PHP's json_encode", "p\u00e4ss \U0001f511/x", `"p\u00e4ss \ud83d\udd11\/x"`},
		{"a JSON encoder with capital digits", "p\u00e4ss\u00f6<1>\x1b", `"p\u00E4ss\u00F6<1>\u001B"`},
		{"Gson's toJson", "it's <a=b>", `"it\u0027s \u003ca\u003db\u003e"`},
		{".NET's JSON", "it's \"a+b\" p\u00e4ss", `"it\u0027s \u0022a\u002Bb\u0022 p\u00E4ss"`},
		{"JavaScript's encodeURIComponent", "a b(c)'d'/e!*~", "a%20b(c)'d'%2Fe!*~"},
		{"JavaScript's encodeURI", "a b?c=d&e/f#", "a%20b?c=d&e/f#"},
		{"Python's quote", "a b/c+d~e", "a%20b/c%2Bd~e"},
		{"PHP's urlencode", "a b/c~d", "a+b%2Fc%7Ed"},
		{"percent-encoding in small letters", "a b/c+d", "a%20b%2fc%2bd"},
		{"a shell's quotes", "it's me: $x", `'it'\''s me: $x'`},
		{"Python's shlex.quote", "it's me: $x", `'it'"'"'s me: $x'`},
		{"a shell's double quotes", "say \"$x\" `y`", "\"say \\\"\\$x\\\" \\`y\\`\""},
		{"bash's printf %q", "it's $5 (a|b)", `it\'s\ \$5\ \(a\|b\)`},
		{"bash's printf %q, line end", "one'two\nthree\x01", `$'one\'two\nthree\001'`},
		{"Python's repr", "it's a \"test\"\n\x00", `'it\'s a "test"\n\x00'`},
		{"Python's repr, other quotes", "it's a test\n", `"it's a test"`},
		{"Python's repr of bytes", "p\u00e4ssword!", `b'p\xc3\xa4ssword!'`},
		{"Python's html.escape", `a<b>"c"'d'&e`, "a&lt;b&gt;&quot;c&quot;&#x27;d&#x27;&amp;e"},
		{"XML", `a<b>"c"'d'&e`, "a&lt;b&gt;&quot;c&quot;&apos;d&apos;&amp;e"},
		{"SQL", "it's secret", "'it''s secret'"},
		{"CSV", `say "secret"`, `"say ""secret"""`},
		{"a Basic header", "s3cr3t-pass", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:s3cr3t-pass"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clean := cleanOf(t, tt.secret, tt.encoded)
			left := strings.ReplaceAll(clean, Marker, "")
			if left == clean || len(strings.Trim(left, `b'"$= `)) > 0 && !strings.HasPrefix(left, "Basic ") {
				t.Errorf("left of %q: %q", tt.encoded, clean)
			}
		})
	}
}

// Whatever stands around a value in base64, no character that depends on it
// alone is left.
func TestBase64InAllAlignments(t *testing.T) {
	const secret = "s3cr3t-p\xffss?>~"
	for before := range 7 {
		for after := range 7 {
			text := strings.Repeat("\xaa", before) + secret + strings.Repeat("\x55", after)
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
				encoded := e.EncodeToString([]byte(text))
				head, tail, ok := strings.Cut(cleanOf(t, secret, encoded), Marker)
				// A character at either end may hold bits of the neighbours.
				own := len(secret) + before
				if !ok || len(head) > (before*8+5)/6 || len(strings.TrimRight(tail, "=")) > (len(text)*8+5)/6-own*8/6 {
					t.Errorf("%d bytes before, %d after: %s: left %q and %q", before, after, encoded, head, tail)
				}
			}
		}
	}
}
