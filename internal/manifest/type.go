package manifest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// Type is what a value must look like.
type Type string

// The types.
const (
	String   Type = "string" // anything
	Int      Type = "int"
	Number   Type = "number"
	Bool     Type = "bool"
	Port     Type = "port"
	URL      Type = "url"
	Duration Type = "duration"
	JSON     Type = "json"
	PEM      Type = "pem"
	Base64   Type = "base64"
	Hex      Type = "hex"
	UUID     Type = "uuid"
)

// Types are all types, in the order of the documentation.
var Types = []Type{String, Int, Number, Bool, Port, URL, Duration, JSON, PEM, Base64, Hex, UUID}

func typeNames() string {
	names := make([]string, len(Types))
	for i, t := range Types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// rule is what a type takes.
type rule struct {
	want string
	ok   func(string) bool
}

var rules = map[Type]rule{
	String:   {"a text", func(string) bool { return true }},
	Int:      {"a whole number", func(s string) bool { _, err := strconv.ParseInt(s, 10, 64); return err == nil }},
	Number:   {"a number", isNumber},
	Bool:     {"true or false (or 1, 0, yes, no, on, off)", isBool},
	Port:     {"a number from 1 to 65535", func(s string) bool { n, err := strconv.ParseUint(s, 10, 16); return err == nil && n > 0 }},
	URL:      {"a URL with scheme and host", isURL},
	Duration: {`seconds, or a duration such as "90s", "1h30m" or "7d"`, isDuration},
	JSON:     {"JSON", func(s string) bool { return json.Valid([]byte(s)) }},
	PEM:      {"PEM blocks, and nothing else", isPEM},
	Base64:   {"base64, of either alphabet", isBase64},
	Hex:      {"hexadecimal digits, two for each byte", func(s string) bool { _, err := hex.DecodeString(s); return err == nil && s != "" }},
	UUID:     {"a UUID", uuidForm.MatchString},
}

// Check says what is wrong with a value, without repeating any of it. The error
// tells if white space at its ends is all that is wrong.
func (t Type) Check(value string) error {
	r, ok := rules[t]
	if !ok {
		return fmt.Errorf("unknown type %s", shown(string(t)))
	}
	if r.ok(value) {
		return nil
	}
	text := fmt.Sprintf("it is no %s: want %s", t, r.want)
	if trimmed := strings.TrimSpace(value); trimmed != value && r.ok(trimmed) {
		text += "; it would be one without the white space at its ends"
	}
	return errors.New(text)
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && !strings.ContainsAny(s, "_xXnNpP") // no hex, Inf, NaN
}

func isBool(s string) bool {
	return slices.Contains([]string{"true", "false", "1", "0", "yes", "no", "on", "off"}, strings.ToLower(s))
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return false
	}
	return u.Host != "" || strings.HasPrefix(s, u.Scheme+":///") // unix:///run/app.sock
}

func isDuration(s string) bool {
	d, err := logical.ParseDuration(s)
	return err == nil && s != "" && d >= 0
}

func isPEM(s string) bool {
	rest, blocks := []byte(s), 0
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			return blocks > 0 && strings.TrimSpace(string(rest)) == ""
		}
		// What stands in front of a block is passed over silently.
		if !strings.HasPrefix(strings.TrimSpace(string(rest)), "-----BEGIN ") {
			return false
		}
		rest, blocks = after, blocks+1
	}
}

func isBase64(s string) bool {
	if s == "" {
		return false
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if _, err := e.DecodeString(s); err == nil {
			return true
		}
	}
	return false
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
