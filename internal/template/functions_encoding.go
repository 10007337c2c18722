package template

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// encodingFunctions turn values into texts and back. What cannot be read is never
// quoted.
var encodingFunctions = template.FuncMap{
	"base64Encode":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64Decode":    func(s string) (string, error) { return decoded(base64.StdEncoding.DecodeString(s)) },
	"base64URLEncode": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64URLDecode": func(s string) (string, error) { return decoded(base64.URLEncoding.DecodeString(s)) },
	"hexEncode":       func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hexDecode":       func(s string) (string, error) { return decoded(hex.DecodeString(s)) },
	"sha256Hex":       func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) },
	"md5sum":          func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) },
	"hmacSHA256Hex":   hmacSHA256Hex,
	"toJSON":          func(v any) (string, error) { text, err := encodeJSON(v, ""); return string(text), err },
	"toJSONPretty":    func(v any) (string, error) { text, err := encodeJSON(v, "  "); return string(text), err },
	"toUnescapedJSON": func(v any) (string, error) { text, err := encodeJSON(v, ""); return string(text), err },
	"toYAML":          toYAML,
	"toTOML":          toTOML,
	"parseJSON":       parseJSON,
	"parseYAML":       parseYAML,
	"parseBool":       func(s string) (bool, error) { v, err := strconv.ParseBool(s); return v, unread(err, "true or false") },
	"parseInt": func(s string) (int64, error) {
		v, err := strconv.ParseInt(s, 10, 64)
		return v, unread(err, "a whole number")
	},
	"parseUint": func(s string) (uint64, error) {
		v, err := strconv.ParseUint(s, 10, 64)
		return v, unread(err, "a whole number")
	},
	"parseFloat": func(s string) (float64, error) {
		v, err := strconv.ParseFloat(s, 64)
		return v, unread(err, "a number")
	},
}

func decoded(text []byte, err error) (string, error) {
	return string(text), unread(err, "a text in that encoding")
}

// unread says what was wanted in place of the cause, which quotes the value.
func unread(err error, want string) error {
	if err == nil {
		return nil
	}
	return errors.New("the value is not " + want)
}

func hmacSHA256Hex(message, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func parseJSON(s string) (any, error) {
	if s == "" {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, unread(err, "JSON")
	}
	_, err := d.Token()
	if !errors.Is(err, io.EOF) {
		return nil, errors.New("the value is not JSON: there is more after its end")
	}
	return v, nil
}

func parseYAML(s string) (any, error) {
	if s == "" {
		return map[string]any{}, nil
	}
	var v any
	if err := yaml.Unmarshal([]byte(s), &v); err != nil {
		return nil, unread(err, "YAML")
	}
	return v, nil
}

func toYAML(v any) (string, error) {
	tree, err := tree(v)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(tree), e.Close()); err != nil {
		return "", errors.New("the value cannot be written as YAML")
	}
	return strings.TrimSpace(b.String()), nil
}

func toTOML(v any) (string, error) {
	tree, err := tree(v)
	if err != nil {
		return "", err
	}
	if _, ok := tree.(map[string]any); !ok {
		return "", errors.New("only a map can be written as TOML")
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(tree); err != nil {
		return "", errors.New("the value cannot be written as TOML")
	}
	return strings.TrimSpace(b.String()), nil
}

// tree makes maps, lists and Go's numbers of anything that JSON can hold: encoders
// take a json.Number for a text.
func tree(v any) (any, error) {
	text, err := encodeJSON(v, "")
	if err != nil {
		return nil, err
	}
	parsed, err := parseJSON(string(text))
	if err != nil {
		return nil, err
	}
	return numbers(parsed), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = numbers(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = numbers(inner)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}
