package template

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// sprigFunctions are those of Masterminds/sprig that people use in templates of
// secrets, under their names there. All can be called as sprig_NAME; without it
// where consul-template has no function of the name.
var sprigFunctions = template.FuncMap{
	"default":  func(other any, value ...any) any { return orDefault(other, value) },
	"coalesce": coalesce,
	"empty":    isEmpty,
	"ternary":  ternary,
	"quote":    func(values ...any) (string, error) { return quoted(strconv.Quote, values) },
	"squote": func(values ...any) (string, error) {
		return quoted(func(s string) string { return "'" + s + "'" }, values)
	},
	"upper":   strings.ToUpper,
	"lower":   strings.ToLower,
	"title":   title,
	"trim":    strings.TrimSpace,
	"nospace": func(s string) string { return strings.Join(strings.Fields(s), "") },
	"trunc":   trunc,
	"repeat":  repeat,
	"replace": func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
	"nindent": func(spaces int, s string) (string, error) {
		text, err := indent(spaces, s)
		return "\n" + text, err
	},
	"b64enc":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"b64dec":    func(s string) (string, error) { return decoded(base64.StdEncoding.DecodeString(s)) },
	"hasPrefix": func(prefix, s string) bool { return strings.HasPrefix(s, prefix) },
	"hasSuffix": func(suffix, s string) bool { return strings.HasSuffix(s, suffix) },
	"hasKey":    func(m map[string]any, key string) bool { _, ok := m[key]; return ok },
	"keys":      func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) },
	"list":      func(values ...any) []any { return values },
	"dict":      dict,
	"fail":      func(text string) (string, error) { return "", errors.New(text) },
	"required":  required,
	"toString":  plain,
}

func isEmpty(v any) bool {
	truth, _ := template.IsTrue(v)
	return !truth
}

// orDefault is called with one value, or none if nothing came through the pipe.
func orDefault(other any, value []any) any {
	if len(value) == 0 || isEmpty(value[0]) {
		return other
	}
	return value[0]
}

func coalesce(values ...any) any {
	if i := slices.IndexFunc(values, func(v any) bool { return !isEmpty(v) }); i >= 0 {
		return values[i]
	}
	return nil
}

func ternary(yes, no any, condition bool) any {
	if condition {
		return yes
	}
	return no
}

func quoted(quote func(string) string, values []any) (string, error) {
	var all []string
	for _, v := range values {
		if v == nil {
			continue
		}
		text, err := plain(v)
		if err != nil {
			return "", err
		}
		all = append(all, quote(text))
	}
	return strings.Join(all, " "), nil
}

// trunc keeps the first bytes, or the last ones if the number is negative.
func trunc(n int, s string) string {
	switch {
	case n >= 0 && n < len(s):
		return s[:n]
	case n < 0 && -n < len(s) && n != -n:
		return s[len(s)+n:]
	}
	return s
}

func repeat(n int, s string) (string, error) {
	if n < 0 || len(s) > 0 && n > MaxBytes/len(s) {
		return "", fmt.Errorf("the result exceeds %d bytes", MaxBytes)
	}
	return strings.Repeat(s, n), nil
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("want pairs of names and values")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("a name is a text, not %s", reflect.TypeOf(pairs[i]))
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// required refuses what is empty, in the words of the template.
func required(text string, value any) (any, error) {
	if isEmpty(value) {
		return nil, errors.New(text)
	}
	return value, nil
}
