package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	hclstrconv "github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// maxDepth is how deep blocks and lists may stand in one another, in either
// syntax. Vault's own keys need four.
const maxDepth = 32

// syntaxError is a text that cannot be read at all.
type syntaxError struct {
	line int // from 1; zero: unknown
	text string
}

func (e *syntaxError) Error() string { return e.text }

// parseHCL reads HCL into an object. Its errors are *syntaxError.
func parseHCL(text []byte) (value, error) {
	// The parser calls itself for each brace, and a stack that overflows takes
	// the process with it.
	if line, deep := tooDeep(text); deep {
		return value{}, &syntaxError{line, fmt.Sprintf("nested deeper than %d blocks", maxDepth)}
	}
	file, err := parser.ParseDontErrorOnDuplicateKeys(text)
	if err != nil {
		return value{}, hclError(err)
	}
	return fromNode(file.Node)
}

// tooDeep returns the line at which text nests deeper than maxDepth.
func tooDeep(text []byte) (line int, deep bool) {
	s := scanner.New(text)
	s.Error = func(token.Pos, string) {} // the parser will say it
	depth := 0
	for {
		switch tok := s.Scan(); tok.Type {
		case token.LBRACE, token.LBRACK:
			if depth++; depth > maxDepth {
				return tok.Pos.Line, true
			}
		case token.RBRACE, token.RBRACK:
			depth--
		case token.EOF:
			return 0, false
		}
	}
}

func hclError(err error) *syntaxError {
	var at *parser.PosError
	if !errors.As(err, &at) {
		return &syntaxError{0, "the file ends before a value does"}
	}
	text := at.Err.Error()
	if strings.HasPrefix(text, "Unknown token") { // it goes on with the token, which may be anybody's password
		text = "expected a value: a text in quotes, a number, true or false, a list or a block"
	}
	return &syntaxError{at.Pos.Line, text}
}

// fromNode turns a node of HCL's tree into a value.
func fromNode(n ast.Node) (value, error) {
	switch n := n.(type) {
	case *ast.ObjectList:
		return fromItems(n)
	case *ast.ObjectType:
		v, err := fromItems(n.List)
		v.line = n.Lbrace.Line
		return v, err
	case *ast.ListType:
		v := value{shape: list, line: n.Lbrack.Line}
		for _, item := range n.List {
			one, err := fromNode(item)
			if err != nil {
				return value{}, err
			}
			v.items = append(v.items, one)
		}
		return v, nil
	case *ast.LiteralType:
		return fromToken(n.Token)
	}
	panic(fmt.Sprintf("config: internal error: HCL node %T", n)) // the parser makes no other
}

func fromItems(items *ast.ObjectList) (value, error) {
	v := value{shape: object, line: 1}
	for _, item := range items.Items {
		inner, err := fromNode(item.Val)
		if err != nil {
			return value{}, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- { // the last label is the innermost
			key, err := fromToken(item.Keys[i].Token)
			if err != nil {
				return value{}, err
			}
			e := entry{key: key.text, line: key.line, value: inner}
			inner = value{shape: object, line: key.line, entries: []entry{e}}
		}
		v.entries = append(v.entries, inner.entries...)
	}
	return v, nil
}

// fromToken reads a literal without token.Value, which panics on a text that
// cannot be unquoted and a number that is too large.
func fromToken(t token.Token) (value, error) {
	v := value{shape: scalar, line: t.Pos.Line, text: t.Text}
	switch t.Type {
	case token.STRING:
		text, err := hclstrconv.Unquote(t.Text)
		if err != nil {
			return value{}, &syntaxError{t.Pos.Line, "malformed text in quotes"}
		}
		v.text = text
	case token.HEREDOC:
		v.text = heredoc(t.Text)
	}
	return v, nil
}

// heredoc returns the lines between the first and the last of text, which are
// the markers. After "<<-" the indentation of the last line is taken off each.
func heredoc(text string) string {
	first, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	cut := strings.LastIndexByte(rest, '\n') + 1
	body, marker := rest[:cut], rest[cut:]
	if !strings.HasPrefix(first, "<<-") {
		return body
	}
	indent := marker[:len(marker)-len(strings.TrimLeft(marker, " \t"))]
	var b strings.Builder
	for line := range strings.Lines(body) {
		b.WriteString(strings.TrimPrefix(line, indent))
	}
	return b.String()
}
