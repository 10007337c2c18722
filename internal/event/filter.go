package event

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-bexpr/grammar"

	"github.com/cofferhq/coffer/internal/logical"
)

// Bounds of a filter. Whoever parses it can be anybody with a token, and the
// grammar's parser tries again and again where parentheses nest.
const (
	MaxFilterBytes  = 64 << 10
	maxFilterNested = 6

	// What parsing may cost: some milliseconds, and more for what is long.
	filterSteps     = 128 << 10
	filterByteSteps = 32
)

// Filter is a boolean expression about an event, in the language of go-bexpr that
// Vault uses for it. It is immutable. A nil Filter is true of every event.
type Filter struct {
	holds func(m *Message) bool
	// paths are the only values of data_path of which it can be true; nil: any.
	paths []string
}

// fields are what an expression can ask for, as Vault documents it. The second
// result says whether the event has it.
var fields = map[string]func(m *Message) (string, bool){
	"event_type":          func(m *Message) (string, bool) { return m.Type, true },
	"namespace":           func(m *Message) (string, bool) { return m.hub.namespace(m.Namespace), true },
	"source_plugin_mount": func(m *Message) (string, bool) { return m.MountPath, true },
	"operation":           func(m *Message) (string, bool) { v, ok := m.Metadata["operation"]; return v, ok },
	dataPath:              func(m *Message) (string, bool) { v, ok := m.Metadata[dataPath]; return v, ok },
}

// ParseFilter returns the filter that text says; nil for none. The error is of
// [logical.ErrInvalid].
func ParseFilter(text string) (*Filter, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > MaxFilterBytes {
		return nil, logical.Invalid("filter: longer than %d bytes", MaxFilterBytes)
	}
	if depth(text) > maxFilterNested {
		return nil, logical.Invalid("filter: parentheses nest deeper than %d", maxFilterNested)
	}
	steps := filterSteps + filterByteSteps*uint64(len(text))
	tree, err := grammar.Parse("", []byte(text), grammar.MaxExpressions(steps))
	if err != nil {
		return nil, logical.Invalid("filter: not an expression such as data_path == \"secret/data/db\" and operation != \"delete\"")
	}
	e, ok := tree.(grammar.Expression)
	if !ok {
		return nil, logical.Invalid("filter: not an expression")
	}
	f, err := compile(e)
	if err != nil {
		return nil, logical.Invalid("filter: %s", err)
	}
	return f, nil
}

// depth is how deep parentheses nest, those in texts counted too.
func depth(text string) int {
	deepest, now := 0, 0
	for _, c := range text {
		switch c {
		case '(':
			now++
			deepest = max(deepest, now)
		case ')':
			now--
		}
	}
	return deepest
}

func compile(e grammar.Expression) (*Filter, error) {
	switch e := e.(type) {
	case *grammar.UnaryExpression:
		inner, err := compile(e.Operand)
		if err != nil {
			return nil, err
		}
		return &Filter{holds: func(m *Message) bool { return !inner.holds(m) }}, nil
	case *grammar.BinaryExpression:
		return compileBoth(e)
	case *grammar.MatchExpression:
		return compileMatch(e)
	}
	return nil, fmt.Errorf("expressions about collections: an event has none")
}

func compileBoth(e *grammar.BinaryExpression) (*Filter, error) {
	left, err := compile(e.Left)
	if err != nil {
		return nil, err
	}
	right, err := compile(e.Right)
	if err != nil {
		return nil, err
	}
	if e.Operator == grammar.BinaryOpAnd {
		f := &Filter{holds: func(m *Message) bool { return left.holds(m) && right.holds(m) }, paths: left.paths}
		if f.paths == nil || right.paths != nil && len(right.paths) < len(f.paths) {
			f.paths = right.paths
		}
		return f, nil
	}
	f := &Filter{holds: func(m *Message) bool { return left.holds(m) || right.holds(m) }}
	if left.paths != nil && right.paths != nil {
		f.paths = append(slices.Clone(left.paths), right.paths...)
	}
	return f, nil
}

func compileMatch(e *grammar.MatchExpression) (*Filter, error) {
	name := strings.Trim(e.Selector.String(), "/")
	of, ok := fields[name]
	if !ok {
		return nil, fmt.Errorf("%q is none of what can be asked for: %s", name, strings.Join(sortedKeys(fields), ", "))
	}
	value := ""
	if e.Value != nil {
		value = e.Value.Raw
	}
	test, err := tester(e.Operator, value)
	if err != nil {
		return nil, err
	}
	absent := e.Operator.NotPresentDisposition()
	f := &Filter{holds: func(m *Message) bool {
		if v, ok := of(m); ok {
			return test(v)
		}
		return absent
	}}
	if name == dataPath && e.Operator == grammar.MatchEqual {
		f.paths = []string{value}
	}
	return f, nil
}

// tester returns what an operator says of a text.
func tester(op grammar.MatchOperator, value string) (func(v string) bool, error) {
	switch op {
	case grammar.MatchEqual:
		return func(v string) bool { return v == value }, nil
	case grammar.MatchNotEqual:
		return func(v string) bool { return v != value }, nil
	case grammar.MatchIn, grammar.MatchContains:
		return func(v string) bool { return strings.Contains(v, value) }, nil
	case grammar.MatchNotIn, grammar.MatchNotContains:
		return func(v string) bool { return !strings.Contains(v, value) }, nil
	case grammar.MatchIsEmpty:
		return func(v string) bool { return v == "" }, nil
	case grammar.MatchIsNotEmpty:
		return func(v string) bool { return v != "" }, nil
	case grammar.MatchMatches, grammar.MatchNotMatches:
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("%q is no regular expression", value)
		}
		return func(v string) bool { return re.MatchString(v) == (op == grammar.MatchMatches) }, nil
	}
	return nil, fmt.Errorf("the operator %q is not for texts", op)
}
