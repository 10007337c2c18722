package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
)

// anyParameter is the name that stands for every parameter.
const anyParameter = "*"

// refusesBody returns why the parameters in body are not allowed, or zero.
// Required ones must be there; then denied ones must not; then, if some are
// allowed, there must be no others. A name that stands in the body twice is
// looked at twice.
func (r *rule) refusesBody(body json.RawMessage) Reason {
	missing := len(r.required)
	seen := make(map[string]bool, missing)
	forbidden := false
	err := eachParameter(body, func(name string, value any) {
		if r.isRequired(name) && !seen[name] {
			seen[name] = true
			missing--
		}
		if r.forbids(name, value) {
			forbidden = true
		}
	})
	switch {
	case err != nil:
		return UnreadableBody
	case missing > 0:
		return MissingParameter
	case forbidden:
		return ForbiddenParameter
	}
	return 0
}

// forbids says whether a parameter, its name in lower case, may not be given
// this value.
func (r *rule) forbids(name string, value any) bool {
	if _, all := r.denied[anyParameter]; all {
		return true
	}
	if values, ok := r.denied[name]; ok && isOneOf(value, values) {
		return true
	}
	if len(r.allowed) == 0 {
		return false
	}
	if values, ok := r.allowed[name]; ok && name != anyParameter {
		return !isOneOf(value, values)
	}
	_, all := r.allowed[anyParameter]
	return !all
}

// isOneOf says whether value is among values; no values means any.
func isOneOf(value any, values []any) bool {
	return len(values) == 0 || slices.ContainsFunc(values, func(want any) bool { return matchesValue(want, value) })
}

// matchesValue compares what a policy wants with what a request has. Texts of a
// policy may begin or end with "*"; all else must be equal, types included.
func matchesValue(want, have any) bool {
	switch want := want.(type) {
	case string:
		text, ok := have.(string)
		return ok && matchesText(want, text)
	case json.Number:
		n, ok := have.(json.Number)
		return ok && sameNumber(want, n)
	case []any:
		list, ok := have.([]any)
		return ok && slices.EqualFunc(want, list, matchesValue)
	}
	return want == have // a boolean or null
}

// matchesText is Vault's simple glob: "*" at the beginning, at the end or both.
// A lone "*" is only itself.
func matchesText(want, have string) bool {
	if len(want) < 2 {
		return want == have
	}
	tail, front := strings.CutPrefix(want, "*")
	middle, back := strings.CutSuffix(tail, "*")
	switch {
	case front && back:
		return strings.Contains(have, middle)
	case front:
		return strings.HasSuffix(have, middle)
	case back:
		return strings.HasPrefix(have, middle)
	}
	return want == have
}

// sameNumber compares the values of two JSON numbers. Long ones, whose exact
// value could cost much memory, are only compared as texts.
func sameNumber(a, b json.Number) bool {
	const maxDigits = 40
	if a == b {
		return true
	}
	if len(a) > maxDigits || len(b) > maxDigits {
		return false
	}
	x, _, errX := big.ParseFloat(a.String(), 10, 256, big.ToNearestEven)
	y, _, errY := big.ParseFloat(b.String(), 10, 256, big.ToNearestEven)
	return errX == nil && errY == nil && x.Cmp(y) == 0
}

var errNoObject = errors.New("policy: body is not a JSON object")

// eachParameter calls do with each top-level parameter of a JSON object, names
// in lower case. No body has none.
func eachParameter(body json.RawMessage, do func(name string, value any)) error {
	if len(body) == 0 || string(body) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errNoObject
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return errNoObject
		}
		name, _ := t.(string) // a JSON key is nothing else
		var value any
		if err := dec.Decode(&value); err != nil {
			return errNoObject
		}
		do(strings.ToLower(name), value)
	}
	if _, err := dec.Token(); err != nil {
		return errNoObject
	}
	if _, err := dec.Token(); err != io.EOF {
		return errNoObject
	}
	return nil
}
