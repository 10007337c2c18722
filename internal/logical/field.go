package logical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FieldType says what a field of a request holds and how loosely it may be
// written.
type FieldType uint8

// The types of field, with what clients send for them.
const (
	Text     FieldType = iota // "x"; numbers and booleans become their text
	Lower                     // as Text, in lower case: names of policies
	Bool                      // true, "true", "1", 1
	Int                       // 5, "5"
	Duration                  // seconds: 90, "90", "90s", "1h30m", "1d"
	Texts                     // ["a","b"], "a,b"; elements trimmed, empty ones dropped
	Ints                      // [1,2], ["1","2"], "1,2", 1
	TextMap                   // {"k":"v"}; a JSON text of such an object; ["k=v"]
	Object                    // any JSON object, kept as json.RawMessage
	Any                       // any JSON value, kept as json.RawMessage
	Time                      // RFC 3339, or Unix seconds
)

// Field is one field of a request.
type Field struct {
	Type FieldType
	Help string // one sentence
}

// Fields maps names to fields.
type Fields map[string]Field

// Accept converts the fields that the request brought: those of the path, then
// those of the body, then (for operations without a body) those of the query.
// Fields that are not declared are ignored, null counts as absent. It replaces
// what an earlier Accept has set.
func (r *Request) Accept(fields Fields, params []Param, query map[string][]string) error {
	r.values, r.params = nil, params
	if err := r.acceptValues(fields, query); err != nil {
		return err
	}
	for i, p := range params {
		if lower := strings.ToLower(p.Value); fields[p.Name].Type == Lower && lower != p.Value {
			r.params = slices.Clone(params)
			r.params[i].Value = lower
			params = r.params
		}
	}
	return nil
}

func (r *Request) acceptValues(fields Fields, query map[string][]string) error {
	if len(fields) == 0 || len(r.Body) == 0 && len(query) == 0 {
		return nil
	}
	body, err := r.bodyFields()
	if err != nil {
		return err
	}
	r.values = make(map[string]any, len(fields))
	for name, f := range fields {
		raw, ok := body[name]
		if !ok {
			if texts, inQuery := query[name]; inQuery && len(texts) > 0 {
				raw, ok = quote(texts), true
			}
		}
		if !ok || string(raw) == "null" {
			continue
		}
		v, err := convert(f.Type, raw)
		if err != nil {
			return Invalid("error converting input for field %q: %s", name, err)
		}
		r.values[name] = v
	}
	return nil
}

// bodyFields returns the fields of the body, undecoded; nil if there is no body.
func (r *Request) bodyFields() (fields map[string]json.RawMessage, err error) {
	if len(r.Body) == 0 {
		return nil, nil
	}
	if json.Unmarshal(r.Body, &fields) != nil {
		return nil, Invalid("failed to parse JSON input: the body is not an object")
	}
	return fields, nil
}

// NeedData returns an error of kind [ErrInvalid] if the body has no fields: for
// engines that keep the body itself.
func (r *Request) NeedData() error {
	fields, err := r.bodyFields()
	if err == nil && len(fields) == 0 {
		err = Invalid("missing data fields")
	}
	return err
}

func quote(texts []string) json.RawMessage {
	var raw []byte
	if len(texts) == 1 {
		raw, _ = json.Marshal(texts[0]) // a string always marshals
	} else {
		raw, _ = json.Marshal(texts)
	}
	return raw
}

// Has says whether the request brought the field.
func (r *Request) Has(name string) bool {
	if _, ok := r.param(name); ok {
		return true
	}
	_, ok := r.values[name]
	return ok
}

// param returns a field that stands in the path.
func (r *Request) param(name string) (string, bool) {
	for _, p := range r.params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Text returns a field of type Text or Lower, or one of the path; "" if absent.
func (r *Request) Text(name string) string {
	if text, ok := r.param(name); ok {
		return text
	}
	return value[string](r, name)
}

// Bool returns a field of type Bool, false if absent.
func (r *Request) Bool(name string) bool { return value[bool](r, name) }

// Int returns a field of type Int, 0 if absent.
func (r *Request) Int(name string) int { return value[int](r, name) }

// Duration returns a field of type Duration, 0 if absent.
func (r *Request) Duration(name string) time.Duration { return value[time.Duration](r, name) }

// Texts returns a field of type Texts, nil if absent; never nil if present.
func (r *Request) Texts(name string) []string { return value[[]string](r, name) }

// Ints returns a field of type Ints, nil if absent.
func (r *Request) Ints(name string) []int { return value[[]int](r, name) }

// TextMap returns a field of type TextMap, nil if absent; never nil if present.
func (r *Request) TextMap(name string) map[string]string { return value[map[string]string](r, name) }

// Raw returns a field of type Object or Any, nil if absent.
func (r *Request) Raw(name string) json.RawMessage { return value[json.RawMessage](r, name) }

// Time returns a field of type Time, the zero time if absent.
func (r *Request) Time(name string) time.Time { return value[time.Time](r, name) }

func value[T any](r *Request, name string) T {
	v, ok := r.values[name]
	if !ok {
		var zero T
		return zero
	}
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("logical: internal error: field %q is read as %T but declared otherwise", name, t))
	}
	return t
}

func convert(t FieldType, raw json.RawMessage) (any, error) {
	switch t {
	case Text:
		return textOf(raw)
	case Lower:
		s, err := textOf(raw)
		return strings.ToLower(s), err
	case Bool:
		s, err := textOf(raw)
		if err != nil {
			return nil, err
		}
		if s == "" {
			return false, nil
		}
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("expected a boolean")
		}
		return b, nil
	case Int:
		return intOf(raw)
	case Duration:
		s, err := textOf(raw)
		if err != nil {
			return nil, err
		}
		return ParseDuration(s)
	case Texts:
		return textsOf(raw)
	case Ints:
		texts, err := textsOf(raw)
		if err != nil {
			return nil, err
		}
		ints := make([]int, len(texts))
		for i, s := range texts {
			if ints[i], err = strconv.Atoi(s); err != nil {
				return nil, fmt.Errorf("expected a list of integers")
			}
		}
		return ints, nil
	case TextMap:
		return textMapOf(raw)
	case Object:
		if len(raw) == 0 || raw[0] != '{' {
			return nil, fmt.Errorf("expected an object")
		}
		return raw, nil
	case Any:
		return raw, nil
	case Time:
		s, err := textOf(raw)
		if err != nil {
			return nil, err
		}
		if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(sec, 0).UTC(), nil
		}
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, fmt.Errorf("expected a time in RFC 3339 form")
		}
		return at.UTC(), nil
	}
	panic(fmt.Sprintf("logical: internal error: field type %d", t))
}

// scalar decodes one JSON value, numbers as json.Number.
func scalar(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("malformed JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("malformed JSON")
	}
	return v, nil
}

func textOf(raw json.RawMessage) (string, error) {
	v, err := scalar(raw)
	if err != nil {
		return "", err
	}
	s, ok := plainText(v)
	if !ok {
		return "", fmt.Errorf("expected a single value, got a list or an object")
	}
	return s, nil
}

func plainText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

func intOf(raw json.RawMessage) (int, error) {
	s, err := textOf(raw)
	if err != nil {
		return 0, err
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err == nil {
		return n, nil
	}
	f, ferr := strconv.ParseFloat(s, 64) // 5.0 and 1e3 are integers too
	if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("expected an integer")
	}
	return int(f), nil
}

func textsOf(raw json.RawMessage) ([]string, error) {
	v, err := scalar(raw)
	if err != nil {
		return nil, err
	}
	texts := []string{}
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			texts = append(texts, s)
		}
	}
	if list, ok := v.([]any); ok {
		for _, item := range list {
			s, ok := plainText(item)
			if !ok {
				return nil, fmt.Errorf("expected a list of texts")
			}
			add(s)
		}
		return texts, nil
	}
	s, ok := plainText(v)
	if !ok {
		return nil, fmt.Errorf("expected a list of texts")
	}
	for _, part := range strings.Split(s, ",") {
		add(part)
	}
	return texts, nil
}

func textMapOf(raw json.RawMessage) (map[string]string, error) {
	v, err := scalar(raw)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(string); ok { // an object as text, or k=v pairs
		if strings.HasPrefix(strings.TrimSpace(s), "{") {
			return textMapOf(json.RawMessage(s))
		}
		if v = []any{}; s != "" {
			var pairs []any
			for _, p := range strings.Split(s, ",") {
				pairs = append(pairs, p)
			}
			v = pairs
		}
	}
	texts := map[string]string{}
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if item == nil {
				texts[k] = ""
				continue
			}
			s, ok := plainText(item)
			if !ok {
				return nil, fmt.Errorf("expected an object of texts")
			}
			texts[k] = s
		}
	case []any:
		for _, item := range v {
			s, _ := item.(string)
			k, val, ok := strings.Cut(s, "=")
			if !ok {
				return nil, fmt.Errorf("expected key=value")
			}
			texts[strings.TrimSpace(k)] = strings.TrimSpace(val)
		}
	default:
		return nil, fmt.Errorf("expected an object of texts")
	}
	return texts, nil
}

// maxSeconds bounds durations, to some 272 years: room to add without overflow.
const maxSeconds = 1 << 33

// ParseDuration reads a duration as Vault's clients write it: a number of
// seconds, or a Go duration that also knows days ("1d"). The empty text is zero;
// negative ones are refused, and those of more than 272 years.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		return scaled(sec, time.Second)
	}
	if text, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.ParseFloat(text, 64); err == nil {
			return scaled(days, 24*time.Hour)
		}
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("expected a duration such as 90, \"90s\", \"1h30m\" or \"1d\"")
	case d < 0:
		return 0, fmt.Errorf("a duration cannot be negative")
	case d > maxSeconds*time.Second:
		return 0, fmt.Errorf("duration is out of range")
	}
	return d, nil
}

// scaled is n units.
func scaled(n float64, unit time.Duration) (time.Duration, error) {
	switch {
	case n < 0:
		return 0, fmt.Errorf("a duration cannot be negative")
	case !(n*unit.Seconds() <= maxSeconds): // or not a number
		return 0, fmt.Errorf("duration is out of range")
	case n == math.Trunc(n):
		return time.Duration(n) * unit, nil
	}
	return time.Duration(n * float64(unit)), nil
}
