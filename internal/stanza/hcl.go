package stanza

import (
	"bytes"
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

// ParseHCL reads HCL into an object. Its errors are [*SyntaxError].
func ParseHCL(text []byte) (Node, error) {
	// The parser does so too; what is checked here must be what it reads.
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if err := checkScan(text); err != nil {
		return Node{}, err
	}
	// Keys that are given twice are the reader's business, as in JSON.
	file, err := parser.ParseDontErrorOnDuplicateKeys(text)
	if err != nil {
		return Node{}, hclError(err)
	}
	return fromAST(file.Node)
}

// checkScan refuses what the parser cannot be trusted with. It calls itself for
// each bracket, and a stack that overflows takes the process with it. A null byte
// is an end to the scanner, behind which the parser may go on.
func checkScan(text []byte) error {
	if at := bytes.IndexByte(text, 0); at >= 0 {
		return &SyntaxError{1 + bytes.Count(text[:at], []byte{'\n'}), "unexpected null character (0x00)"}
	}
	s := scanner.New(text)
	s.Error = func(token.Pos, string) {} // the parser will say it
	depth := 0
	for {
		switch tok := s.Scan(); tok.Type {
		case token.LBRACE, token.LBRACK:
			if depth++; depth > maxDepth {
				return tooDeep(tok.Pos.Line)
			}
		case token.RBRACE, token.RBRACK:
			depth--
		case token.EOF:
			return nil
		}
	}
}

// quoting are the beginnings of what the parser says with words of the text in
// it, and what is said instead. They may follow where a list or block begins.
var quoting = []struct{ begins, instead string }{
	{"Unknown token", "expected a value: a text in quotes, a number, true or false, a list or a block"},
	{"key '", "expected start of object ('{') or assignment ('=') after a key"},
}

func hclError(err error) *SyntaxError {
	var at *parser.PosError
	if !errors.As(err, &at) {
		return &SyntaxError{0, EndsEarly}
	}
	text := at.Err.Error()
	// Each cut leaves only what stands before it, so the first one wins whatever
	// the order.
	for _, q := range quoting {
		if before, _, found := strings.Cut(text, q.begins); found {
			text = before + q.instead
		}
	}
	return &SyntaxError{at.Pos.Line, text}
}

// fromAST turns a node of HCL's tree into ours.
func fromAST(n ast.Node) (Node, error) {
	switch n := n.(type) {
	case *ast.ObjectList:
		return fromItems(n)
	case *ast.ObjectType:
		o, err := fromItems(n.List)
		o.Line = n.Lbrace.Line
		return o, err
	case *ast.ListType:
		l := Node{Shape: List, Line: n.Lbrack.Line}
		for _, item := range n.List {
			one, err := fromAST(item)
			if err != nil {
				return Node{}, err
			}
			l.Items = append(l.Items, one)
		}
		return l, nil
	case *ast.LiteralType:
		return fromToken(n.Token)
	}
	panic(fmt.Sprintf("stanza: internal error: HCL node %T", n)) // the parser makes no other
}

func fromItems(items *ast.ObjectList) (Node, error) {
	o := Node{Shape: Object, Line: 1}
	for _, item := range items.Items {
		inner, err := fromAST(item.Val)
		if err != nil {
			return Node{}, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- { // the last label is the innermost
			key, err := fromToken(item.Keys[i].Token)
			if err != nil {
				return Node{}, err
			}
			text, _ := key.Value.(string) // the parser takes only names and texts
			e := Entry{Key: text, Line: key.Line, Value: inner}
			inner = Node{Shape: Object, Line: key.Line, Entries: []Entry{e}}
		}
		o.Entries = append(o.Entries, inner.Entries...)
	}
	return o, nil
}

// fromToken reads a literal without token.Value, which panics on a text that
// cannot be unquoted and on a number that is too large.
func fromToken(t token.Token) (Node, error) {
	n := Node{Shape: Scalar, Line: t.Pos.Line, Value: t.Text}
	switch t.Type {
	case token.STRING:
		text, err := hclstrconv.Unquote(t.Text)
		if err != nil {
			return Node{}, &SyntaxError{t.Pos.Line, "malformed text in quotes"}
		}
		n.Value = text
	case token.HEREDOC:
		n.Value = heredoc(t.Text)
	case token.BOOL:
		n.Value = t.Text == "true"
	case token.NUMBER, token.FLOAT:
		n.Value = json.Number(t.Text)
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
