package stanza

import (
	"errors"
	"strconv"
)

// Plain returns the text of a scalar; see [Node.Text].
func (n Node) Plain() (string, error) {
	text, ok := n.Text()
	if !ok {
		return "", errors.New("expected a single value")
	}
	return text, nil
}

// Bool returns a scalar that says true or false, also as a text.
func (n Node) Bool() (bool, error) {
	s, err := n.Plain()
	if err != nil {
		return false, err
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("expected true or false")
	}
	return b, nil
}

// Count returns a whole number that fits an int on every machine.
func (n Node) Count() (int, error) {
	s, err := n.Plain()
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, errors.New("expected a whole number")
	}
	return int(i), nil
}

// Blocks returns n if it is an object, and the objects in it if it is a list of
// nothing else.
func (n Node) Blocks() ([]Node, error) {
	nodes := n.Items
	if n.Shape != List {
		nodes = []Node{n}
	}
	for _, o := range nodes {
		if o.Shape != Object {
			return nil, errors.New("expected a block in braces")
		}
	}
	return nodes, nil
}
