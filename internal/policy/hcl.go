package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	hclstrconv "github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// parseHCL reads HCL into an object.
func parseHCL(text []byte) (node, error) {
	// The parser calls itself for each bracket, and a stack that overflows takes
	// the process with it.
	if line, deep := tooDeep(text); deep {
		return node{}, errorAt(line, "nested deeper than %d blocks", maxDepth)
	}
	// Keys that are given twice are found later, with JSON's.
	file, err := parser.ParseDontErrorOnDuplicateKeys(text)
	if err != nil {
		return node{}, hclError(err)
	}
	return fromAST(file.Node)
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

func hclError(err error) error {
	var at *parser.PosError
	if errors.As(err, &at) {
		return errorAt(at.Pos.Line, "%s", at.Err)
	}
	return errorAt(0, "the text ends before a value does")
}

// fromAST turns a node of HCL's tree into ours.
func fromAST(n ast.Node) (node, error) {
	switch n := n.(type) {
	case *ast.ObjectList:
		return fromItems(n)
	case *ast.ObjectType:
		o, err := fromItems(n.List)
		o.line = n.Lbrace.Line
		return o, err
	case *ast.ListType:
		l := node{shape: list, line: n.Lbrack.Line}
		for _, item := range n.List {
			one, err := fromAST(item)
			if err != nil {
				return node{}, err
			}
			l.items = append(l.items, one)
		}
		return l, nil
	case *ast.LiteralType:
		return fromToken(n.Token)
	}
	panic(fmt.Sprintf("policy: internal error: HCL node %T", n)) // the parser makes no other
}

func fromItems(items *ast.ObjectList) (node, error) {
	o := node{shape: object, line: 1}
	for _, item := range items.Items {
		inner, err := fromAST(item.Val)
		if err != nil {
			return node{}, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- { // the last label is the innermost
			key, err := fromToken(item.Keys[i].Token)
			if err != nil {
				return node{}, err
			}
			text, _ := key.value.(string) // the parser takes only names and texts
			e := entry{key: text, line: key.line, value: inner}
			inner = node{shape: object, line: key.line, entries: []entry{e}}
		}
		o.entries = append(o.entries, inner.entries...)
	}
	return o, nil
}

// fromToken reads a literal without token.Value, which panics on a text that
// cannot be unquoted and on a number that is too large.
func fromToken(t token.Token) (node, error) {
	n := node{line: t.Pos.Line, value: t.Text}
	switch t.Type {
	case token.STRING:
		text, err := hclstrconv.Unquote(t.Text)
		if err != nil {
			return node{}, errorAt(t.Pos.Line, "malformed text in quotes")
		}
		n.value = text
	case token.HEREDOC:
		n.value = heredoc(t.Text)
	case token.BOOL:
		n.value = t.Text == "true"
	case token.NUMBER, token.FLOAT:
		n.value = json.Number(t.Text)
	}
	return n, nil
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
