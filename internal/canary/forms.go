package canary

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
)

// needle is one form of the beginning of a secret.
type needle struct {
	secret, form string
	text         []byte // at least eight bytes
}

// needlesOf returns every form that is looked for.
func needlesOf(s Secret) []needle {
	begin := beginning(s.Text)
	var all []needle
	add := func(form string, texts ...string) {
		for _, text := range texts {
			same := func(n needle) bool { return string(n.text) == text }
			if len(text) >= MinBytes && !slices.ContainsFunc(all, same) {
				all = append(all, needle{s.Name, form, []byte(text)})
			}
		}
	}
	add("as it is", begin)
	add("in other case", strings.ToLower(begin), strings.ToUpper(begin))
	add("escaped for JSON", jsonEscaped(begin), escapeEach(begin, `\u%04x`), escapeEach(begin, `\u%04X`))
	add("escaped for URLs", url.QueryEscape(begin), url.PathEscape(begin), (&url.URL{Path: "/" + begin}).EscapedPath()[1:])
	add("percent-encoded", escapeEach(begin, "%%%02x"), escapeEach(begin, "%%%02X"))
	add("escaped for HTML", html.EscapeString(begin), escapeEach(begin, "&#%d;"), escapeEach(begin, "&#x%x;"))
	add("quoted for Go", strings.Trim(fmt.Sprintf("%q", begin), `"`), strings.Trim(fmt.Sprintf("%+q", begin), `"`))
	add("hexadecimal", hex.EncodeToString([]byte(begin)), strings.ToUpper(hex.EncodeToString([]byte(begin))))
	add("hexadecimal with blanks", fmt.Sprintf("% x", begin), fmt.Sprintf("% X", begin))
	add("a list of numbers", numbers(begin, ","), numbers(begin, ", "), numbers(begin, " "))
	add("base64", aligned(begin, base64Bits, base64.RawStdEncoding.EncodeToString)...)
	add("base64 for URLs", aligned(begin, base64Bits, base64.RawURLEncoding.EncodeToString)...)
	add("base32", aligned(begin, base32Bits, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString)...)
	add("base32, extended", aligned(begin, base32Bits, base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString)...)
	add("UTF-16", utf16Text(begin, 0), utf16Text(begin, 1))
	add("reversed", reversed(begin))
	return all
}

// beginning is as much of a secret as it takes to know it by: eight bytes, more if
// these are hexadecimal digits alone, as hashes are full of those.
func beginning(text string) string {
	end := MinBytes
	for end < min(len(text), 2*MinBytes) && strings.Trim(text[:end], "0123456789abcdefABCDEF") == "" {
		end++
	}
	return text[:end]
}

func jsonEscaped(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("canary: internal error: " + err.Error()) // a text always marshals
	}
	return strings.Trim(string(quoted), `"`)
}

// escapeEach writes each byte with a format.
func escapeEach(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func numbers(s, between string) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(s)), " ", between), "[]")
}

const (
	base64Bits = 6 // a character
	base32Bits = 5
)

// aligned returns what an encoding makes of s wherever s stands in what is
// encoded, without the characters that its neighbours share.
func aligned(s string, bits int, encode func([]byte) string) []string {
	var all []string
	for before := range bits {
		text := encode([]byte(strings.Repeat("\x00", before) + s))
		first := (8*before + bits - 1) / bits
		end := 8 * (before + len(s)) / bits
		all = append(all, text[first:end])
	}
	return all
}

// utf16Text encodes s; first is where the byte stands that is not zero.
func utf16Text(s string, first int) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		pair := [2]byte{byte(u), byte(u >> 8)}
		b = append(b, pair[first], pair[1-first])
	}
	return string(b)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
