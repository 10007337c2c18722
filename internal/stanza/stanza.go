// Package stanza reads HCL and JSON into one small tree, whose nodes know their
// lines. It is what policies and configurations are written in; what the keys
// mean is the business of who reads the tree.
//
// Start reading at [Node], then [ParseHCL] and [ParseJSON].
package stanza

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth is how deep blocks and lists may stand in one another, in either
// syntax. A policy needs five, a configuration four.
const maxDepth = 32

// Shape is what a [Node] is made of.
type Shape uint8

// The shapes of a node.
const (
	Null   Shape = iota // only JSON has it
	Scalar              // a text, a number or a boolean
	List
	Object
)

// Node is a part of a text, whether that was HCL or JSON. The labels of a block
// are objects around it: `a "b" { }` and `a { b { } }` are the same.
type Node struct {
	Shape   Shape
	Line    int     // from 1
	Value   any     // of a scalar: string, json.Number or bool; nil: no scalar
	Items   []Node  // of a list
	Entries []Entry // of an object, in the order of the text; keys may repeat
}

// Entry is a key of an object and what it stands for.
type Entry struct {
	Key   string
	Line  int // from 1
	Value Node
}

// Text returns a scalar as it was written, a text without its quotes, and
// whether n is one.
func (n Node) Text() (text string, ok bool) {
	switch v := n.Value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// EndsEarly is the text of a [SyntaxError] where nothing is wrong but the end.
const EndsEarly = "the text ends before a value does"

// SyntaxError is a text that cannot be read at all.
type SyntaxError struct {
	Line int    // from 1; zero: unknown
	Text string // what is the matter; never repeats the text, which may be a password
}

var _ error = (*SyntaxError)(nil)

// Error returns the text behind its line.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

func tooDeep(line int) *SyntaxError {
	return &SyntaxError{line, fmt.Sprintf("nested deeper than %d blocks", maxDepth)}
}
