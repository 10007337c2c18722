// Package template renders text/template files that ask for secrets, in the
// idiom of consul-template and Vault Agent:
//
//	{{ with secret "secret/data/app" }}password = {{ .Data.data.password }}{{ end }}
//
// Beside it stand our own references: ${vault:secret/app#password} in the text
// and {{ ref "vault:secret/app#password" }}.
//
// A [Template] knows no server. It says what it needs; a [Store] asks, remembers
// the answers for all templates that share it, and keeps them fresh. What is in a
// secret is never looked at for templates or references in its turn.
//
// Errors name the template, the line and the path of a secret, and never quote a
// value.
//
// Start reading at [Parse], then [Store.Render] and [Store.Follow].
package template

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"github.com/cofferhq/coffer/secrets"
)

// Options says how a template is read.
type Options struct {
	Name        string // in errors, usually the path of the file; empty: "template"
	Left, Right string // delimiters; empty: {{ and }}

	// ErrorOnMissingKey makes a field that is not there an error; without it
	// "<no value>" is printed.
	ErrorOnMissingKey bool

	// Getenv serves the functions that read the environment; nil: it is empty.
	Getenv func(name string) string

	// ReadFile serves the function file; nil: the function is refused, as who may
	// write a template could print every file of this machine.
	ReadFile func(path string) ([]byte, error)
}

// Template is a text that was parsed. It is immutable and safe for concurrent use.
type Template struct {
	name  string
	base  *template.Template // with the names of all functions; cloned for each pass
	tools tools
}

// SyntaxError is a text that is no template.
type SyntaxError struct {
	Name string // of the template
	Line int    // from 1; zero: unknown
	Text string // what is the matter
}

var _ error = (*SyntaxError)(nil)

func (e *SyntaxError) Error() string { return at(e.Name, e.Line) + ": " + e.Text }

// at is a place for people.
func at(name string, line int) string {
	if line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, line)
}

// Parse reads a text. It asks nobody. The error is a [*SyntaxError].
func Parse(text string, o Options) (*Template, error) {
	if o.Name == "" {
		o.Name = "template"
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	t := &Template{name: o.Name, tools: tools{getenv: o.Getenv, readFile: o.ReadFile}}
	missing := "missingkey=default"
	if o.ErrorOnMissingKey {
		missing = "missingkey=error"
	}
	base := template.New(rootName).Delims(o.Left, o.Right).Option(missing)
	// The functions that are bound here are never called: each pass has its own.
	base, err := base.Funcs(t.functions(nil)).Parse(text)
	if err != nil {
		return nil, syntaxError(o.Name, err)
	}
	for _, one := range base.Templates() {
		if one.Tree == nil {
			continue
		}
		if err := t.splice(text, one.Tree.Root); err != nil {
			return nil, err
		}
	}
	t.base = base
	return t, nil
}

// rootName stands for the template's own name within text/template, whose errors
// have it at their beginning: a path could have a colon.
const rootName = "T"

// where finds the line in what text/template says.
var where = regexp.MustCompile(`^template: [^:]*:(\d+)(?::\d+)?: `)

// undefined finds the function that text/template does not know.
var undefined = regexp.MustCompile(`^function "([^"]*)" not defined$`)

// syntaxError keeps of the parser's words those that do not quote the text.
func syntaxError(name string, err error) error {
	e := &SyntaxError{Name: name}
	text := err.Error()
	if found := where.FindStringSubmatch(text); found != nil {
		fmt.Sscan(found[1], &e.Line)
		text = text[len(found[0]):]
	}
	e.Text = text
	if found := undefined.FindStringSubmatch(text); found != nil {
		e.Text = fmt.Sprintf("there is no function %q", found[1])
		if why := elsewhere()[found[1]]; why != "" {
			e.Text += ": " + why
		}
	}
	return e
}

// elsewhere are functions of consul-template that are not for this program.
var elsewhere = sync.OnceValue(func() map[string]string {
	all := map[string]string{
		"pkiCert": `use {{ with secret "pki/issue/ROLE" "common_name=…" }}, which is renewed as well`,
		"plugin":  "programs are not run from templates",
	}
	for _, name := range strings.Fields("key keyExists keyOrDefault ls safeLs tree safeTree service services node nodes " +
		"datacenters connect caRoots caLeaf peerings partitions exportedServices") {
		all[name] = "it asks Consul"
	}
	for _, name := range strings.Fields("nomadService nomadServices nomadVar nomadVarList nomadVarListSafe nomadVarExists") {
		all[name] = "it asks Nomad"
	}
	for _, name := range []string{"spew_dump", "spew_printf", "spew_sdump", "spew_sprintf"} {
		all[name] = "it is for debugging, and shows secrets"
	}
	return all
})

// splice puts calls of ref in place of the references within the texts of list.
func (t *Template) splice(text string, list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	var nodes []parse.Node
	for _, n := range list.Nodes {
		var err error
		replaced := []parse.Node{n}
		switch n := n.(type) {
		case *parse.TextNode:
			replaced, err = t.spliceText(text, n)
		case *parse.IfNode:
			err = t.spliceBranch(text, &n.BranchNode)
		case *parse.RangeNode:
			err = t.spliceBranch(text, &n.BranchNode)
		case *parse.WithNode:
			err = t.spliceBranch(text, &n.BranchNode)
		}
		if err != nil {
			return err
		}
		nodes = append(nodes, replaced...)
	}
	list.Nodes = nodes
	return nil
}

func (t *Template) spliceBranch(text string, b *parse.BranchNode) error {
	if err := t.splice(text, b.List); err != nil {
		return err
	}
	return t.splice(text, b.ElseList)
}

// spliceText cuts a text at its references.
func (t *Template) spliceText(text string, n *parse.TextNode) ([]parse.Node, error) {
	parsed, err := secrets.ParseText(string(n.Text))
	if err != nil {
		offset := int(n.Pos)
		if pe := new(secrets.ParseError); errors.As(err, &pe) {
			offset += pe.Offset
		}
		line := 1 + strings.Count(text[:min(offset, len(text))], "\n")
		return nil, &SyntaxError{Name: t.name, Line: line, Text: err.Error()}
	}
	if len(parsed.References()) == 0 {
		plain, _ := parsed.Plain()
		n.Text = []byte(plain)
		return []parse.Node{n}, nil
	}
	return t.cut(n, 1+strings.Count(text[:min(int(n.Pos), len(text))], "\n"))
}

// Functions returns the names of all functions that are ours, sorted.
func Functions() []string {
	t := &Template{}
	return slices.Sorted(maps.Keys(t.functions(nil)))
}

// ReadBelow reads a file that lies in a folder, wherever links lead: for
// Options.ReadFile. The path may have the folder in front.
func ReadBelow(dir, path string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/"); ok {
		path = rest
	}
	return root.ReadFile(path)
}
