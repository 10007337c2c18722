package template

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"text/template"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/secrets"
)

// tools are what functions use of this machine.
type tools struct {
	getenv   func(string) string
	readFile func(string) ([]byte, error)
}

// functions are what a template can call in a pass. Of p nothing is used before
// one of them is called.
func (t *Template) functions(p *pass) template.FuncMap {
	all := template.FuncMap{
		"secret":       func(path string, fields ...string) (*api.Secret, error) { return p.secret(path, fields) },
		"secrets":      func(path string) ([]string, error) { return p.list(path) },
		"ref":          func(text string) (string, error) { return p.ref(text) },
		"env":          t.tools.getenv,
		"mustEnv":      t.tools.mustEnv,
		"envOrDefault": t.tools.envOrDefault,
		"file":         t.tools.file,
		"writeToFile":  refuseWrite,
		"timestamp":    timestamp,
		"executeTemplate": func(name string, data ...any) (string, error) {
			return t.executeNamed(p, name, data)
		},
	}
	maps.Copy(all, textFunctions)
	maps.Copy(all, encodingFunctions)
	maps.Copy(all, dataFunctions)
	maps.Copy(all, numberFunctions)
	for name, fn := range sprigFunctions {
		all["sprig_"+name] = fn
		if _, taken := all[name]; !taken {
			all[name] = fn
		}
	}
	return guard(all)
}

// guard makes the errors of all functions ours: text/template prints a panic, and
// what it prints could be a value.
func guard(all template.FuncMap) template.FuncMap {
	for name, fn := range all {
		all[name] = guarded(name, reflect.ValueOf(fn)).Interface()
	}
	return all
}

var errorType = reflect.TypeFor[error]()

func guarded(name string, fn reflect.Value) reflect.Value {
	of := fn.Type()
	if of.NumOut() != 2 || of.Out(1) != errorType {
		return fn
	}
	return reflect.MakeFunc(of, func(args []reflect.Value) []reflect.Value {
		var out []reflect.Value
		if of.IsVariadic() {
			out = fn.CallSlice(args)
		} else {
			out = fn.Call(args)
		}
		if err, _ := out[1].Interface().(error); err != nil {
			out[1] = reflect.ValueOf(said(fmt.Errorf("%s: %w", name, err))).Convert(errorType)
		}
		return out
	})
}

// secret reads, or writes if there are fields. It returns nil as long as the
// answer is not known.
func (p *pass) secret(path string, fields []string) (*api.Secret, error) {
	q, err := newQuery(Read, path, fields)
	if err != nil {
		return nil, err
	}
	a, err := p.ask(q)
	switch {
	case err != nil || a == nil:
		return nil, err
	case a.err != nil:
		return nil, a.err
	case a.secret == nil && q.Operation == Read:
		return nil, fmt.Errorf("%s: %w", q.Path, ErrAbsent)
	}
	return a.secret, nil
}

// ErrAbsent says that there is no such secret.
var ErrAbsent = errors.New("no such secret")

// list returns the names below path, none if there is nothing.
func (p *pass) list(path string) ([]string, error) {
	q, err := newQuery(List, path, nil)
	if err != nil {
		return nil, err
	}
	a, err := p.ask(q)
	switch {
	case err != nil || a == nil:
		return nil, err
	case a.err != nil:
		return nil, a.err
	case a.secret == nil:
		return nil, nil
	}
	keys, _ := a.secret.Data["keys"].([]any)
	var names []string
	for _, k := range keys {
		if name, ok := k.(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// ref returns what a reference stands for.
func (p *pass) ref(text string) (string, error) {
	parsed, err := secrets.Parse(text)
	if err != nil {
		return "", err
	}
	refs := parsed.References()
	if len(refs) != 1 || parsed.String() != refs[0].String() {
		return "", errors.New("want one reference, such as vault:secret/db#password")
	}
	ref := refs[0]
	q := Query{Operation: Read, Namespace: ref.Namespace, Path: ref.Path}
	if ref.Version != 0 {
		q.Params = fmt.Sprintf("version=%d", ref.Version)
	}
	a, err := p.ask(q)
	if err != nil || a == nil {
		return "", err
	}
	value, err := a.field(ref)
	if err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	return value, nil
}

func (t tools) mustEnv(name string) (string, error) {
	if value := t.getenv(name); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("the variable %s is not set", name)
}

func (t tools) envOrDefault(name, other string) string {
	if value := t.getenv(name); value != "" {
		return value
	}
	return other
}

func (t tools) file(path string) (string, error) {
	if t.readFile == nil {
		return "", errors.New("files may not be read: allow it where templates are configured")
	}
	content, err := t.readFile(path)
	return string(content), err
}

// refuseWrite is for templates that were made for consul-template.
func refuseWrite(string, ...any) (string, error) {
	return "", errors.New("a template cannot write files: give each file a template of its own")
}

// timestamp returns the time in UTC, in RFC 3339 or a layout of package time.
// With "unix" it is the number of seconds.
func timestamp(layout ...string) (string, error) {
	now := time.Now().UTC()
	switch {
	case len(layout) == 0:
		return now.Format(time.RFC3339), nil
	case len(layout) > 1:
		return "", errors.New("want one layout")
	case layout[0] == "unix":
		return fmt.Sprint(now.Unix()), nil
	}
	return now.Format(layout[0]), nil
}

// executeNamed returns the result of a template that was defined within this one.
func (t *Template) executeNamed(p *pass, name string, data []any) (string, error) {
	if p.depth++; p.depth > maxDepth {
		return "", fmt.Errorf("templates stand within each other more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if len(data) > 1 {
		return "", errors.New("want one argument after the name")
	}
	named := p.tree.Lookup(name)
	if named == nil {
		return "", fmt.Errorf("there is no template %q", name)
	}
	var dot any
	if len(data) == 1 {
		dot = data[0]
	}
	var out limited
	if err := named.Execute(&out, dot); err != nil {
		return "", t.execError(err)
	}
	return out.String(), nil
}

// maxDepth bounds templates that execute each other.
const maxDepth = 100
