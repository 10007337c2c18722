package template

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
)

const (
	// maxPasses is how often a template is executed until all that it needs is
	// known. Each pass but the last finds a question that depends on an answer.
	maxPasses = 32
	// maxQueries is how many questions one template may have.
	maxQueries = 1024
	// MaxBytes is how large the result of a template may be.
	MaxBytes = 64 << 20
)

// ExecError is a template that could not be executed. It holds no value.
type ExecError struct {
	Name string // of the template
	Line int    // from 1; zero: unknown
	Text string
	Err  error // what a function says; may be nil
}

var _ error = (*ExecError)(nil)

func (e *ExecError) Error() string { return at(e.Name, e.Line) + ": " + e.Text }
func (e *ExecError) Unwrap() error { return e.Err }

// pass is one execution of a template.
type pass struct {
	lookup  func(Query) (*Answer, bool) // of what is known
	used    map[key]Query
	missing []Query
	tree    *template.Template // that is executed
	depth   int                // of executeTemplate within executeTemplate
}

// execute runs t over what is known. The result is of use only if nothing is
// missing afterwards, and so is the error.
func (t *Template) execute(p *pass) ([]byte, error) {
	p.used = map[key]Query{}
	clone, err := t.base.Clone()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	p.tree = clone.Funcs(t.functions(p))
	out := &limited{}
	if err := p.tree.Execute(out, nil); err != nil {
		return nil, t.execError(err)
	}
	return out.Bytes(), nil
}

// ask returns what is known, and remembers what is not.
func (p *pass) ask(q Query) (*Answer, error) {
	k := q.key()
	_, again := p.used[k]
	if !again && len(p.used) == maxQueries {
		return nil, fmt.Errorf("the template asks for more than %d secrets", maxQueries)
	}
	p.used[k] = q
	if a, ok := p.lookup(q); ok {
		return a, nil
	}
	if !again {
		p.missing = append(p.missing, q)
	}
	return nil, nil
}

// limited is a buffer that refuses to grow without end.
type limited struct{ bytes.Buffer }

func (l *limited) Write(text []byte) (int, error) {
	if l.Len()+len(text) > MaxBytes {
		return 0, errTooLarge
	}
	return l.Buffer.Write(text)
}

var errTooLarge = said(fmt.Errorf("the result exceeds %d bytes", MaxBytes))

// complaint is an error whose text is ours, and holds no value.
type complaint struct{ error }

func (c complaint) Unwrap() error { return c.error }

func said(err error) error {
	if err == nil {
		return nil
	}
	return complaint{err}
}

// harmless are beginnings of what text/template says that quote the template at
// most: names of fields, functions and types.
var harmless = []string{
	"map has no entry for key ", "nil data; no entry for key ", "nil pointer evaluating ", "can't evaluate field ",
	"wrong number of args for ", "wrong type for value; ", "exceeded maximum template depth ", "template ",
	"can't give argument to non-function ", "can't call method/function ", "invalid value; ", "can't iterate over ",
}

// execError takes from the words of text/template what could be a value.
func (t *Template) execError(err error) error {
	e := &ExecError{Name: t.name, Text: "it cannot be executed here"}
	text := err.Error()
	if found := where.FindStringSubmatch(text); found != nil {
		fmt.Sscan(found[1], &e.Line)
	}
	if c := (complaint{}); errors.As(err, &c) {
		e.Text, e.Err = c.Error(), c.error
		return e
	}
	failed := template.ExecError{}
	if !errors.As(err, &failed) {
		return e
	}
	if _, cause, ok := strings.Cut(text, ">: "); ok {
		e.Text += reasonOf(cause)
	}
	return e
}

func reasonOf(cause string) string {
	for _, begins := range harmless {
		if strings.HasPrefix(cause, begins) {
			return ": " + cause
		}
	}
	if name, ok := strings.CutPrefix(cause, "error calling "); ok {
		name, _, _ = strings.Cut(name, ":")
		return ": function " + name
	}
	return ""
}
